"""Folders in buckets that this service writes to, as well: what a store of models lies in."""

from __future__ import annotations

import errno
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from production_server.errors import CeleriacError, StorageUnavailable
from production_server.storage.az import AzureBlobs
from production_server.storage.gs import GoogleStorage
from production_server.storage.locations import Location
from production_server.storage.objects import missing
from production_server.storage.remote import ANSWER_TIMEOUT_S, Dialect, Entry, Late, RemoteBuckets
from production_server.storage.s3 import S3

SLOWEST_BYTES_S = 100_000
"""A large file has as many seconds more as it takes at this rate."""
_TAKEN = {409, 412}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class BucketFolder:
    """The objects under one prefix of a bucket, by their keys behind it. Blocks; safe to share between threads.

    Each method raises ObjectUnusable where the store refuses or has no such bucket, StorageUnavailable where it does
    not answer.
    """

    def __init__(self, location: Location) -> None:
        """`location` is of one of the `WRITABLE_SCHEMES`; nothing is asked yet."""
        self.url = location.url.rstrip("/")
        self._root = replace(location, key=f"{location.key.strip('/')}/".lstrip("/"))
        self._bucket = _WritableBuckets(location.scheme, _dialect(location.scheme))

    def entries(self, under: str = "") -> list[Entry]:
        """What lies there now: all objects whose keys begin so, with their keys behind the prefix, in no order."""
        location, cut = self._at(under), len(self._root.key)
        return [replace(each, key=each.key[cut:]) for each in self._bucket.entries(location)]

    def read(self, key: str, *, max_bytes: int) -> bytes:
        """A small object.

        Raises:
            ObjectUnusable: it is not there (code `object_missing`), or larger (`object_too_large`).
        """
        return self._bucket.fetch(self._at(key), etag="", max_bytes=max_bytes)

    def download(self, key: str, target: Path, *, size_bytes: int) -> None:
        """Write an object into a file; of a large one only pieces are in memory. `size_bytes`: as it was listed.

        Raises:
            OSError: the file cannot be written.
        """
        self._bucket.download(self._at(key), target, size_bytes)

    def upload(self, source: Path, key: str) -> None:
        """Make a file an object, whole or not at all."""
        self._bucket.upload(source, self._at(key))

    def write(self, key: str, data: bytes) -> None:
        """Make bytes an object, whatever was there."""
        self._bucket.write(self._at(key), data)

    def create(self, key: str, data: bytes) -> bool:
        """Make bytes an object if there is none of that name; whether it was so. Of several at once one succeeds."""
        return self._bucket.create(self._at(key), data)

    def delete(self, key: str) -> None:
        """Remove an object; does nothing where there is none."""
        self._bucket.delete(self._at(key))

    def _at(self, key: str) -> Location:
        return replace(self._root, key=self._root.key + key)


class _WritableBuckets(RemoteBuckets):
    """All buckets of one kind of store, by the calls with which fsspec writes."""

    def entries(self, location: Location) -> list[Entry]:
        found: list[Entry] = []
        cursor, is_last = "", False
        while not is_last:
            listed = self._list(location, cursor)
            found += listed.entries
            cursor, is_last = listed.cursor, listed.is_last
        return found

    def download(self, location: Location, target: Path, size_bytes: int) -> None:
        filesystem = self._opened_at(location)
        asked = filesystem._get_file(_path(location), str(target))  # noqa: SLF001  # fsspec's way to call from a loop
        self._move(location, filesystem, asked, size_bytes, file=target)

    def upload(self, source: Path, location: Location) -> None:
        filesystem, size_bytes = self._opened_at(location), source.stat().st_size
        asked = filesystem._put_file(str(source), _path(location))  # noqa: SLF001  # as above
        self._move(location, filesystem, asked, size_bytes, file=source)

    def write(self, location: Location, data: bytes) -> None:
        filesystem = self._opened_at(location)
        asked = filesystem._pipe_file(_path(location), data)  # noqa: SLF001  # as above
        self._move(location, filesystem, asked, len(data))

    def create(self, location: Location, data: bytes) -> bool:
        filesystem = self._opened_at(location)
        asked = filesystem._pipe_file(_path(location), data, mode="create")  # noqa: SLF001  # as above
        try:
            self._answer(filesystem, asked)
        except Exception as exc:
            if isinstance(exc, FileExistsError) or self._told_status(exc) in _TAKEN:
                return False
            raise self._translated(exc, location) from exc
        return True

    def delete(self, location: Location) -> None:
        filesystem = self._opened_at(location)
        try:
            self._answer(filesystem, filesystem._rm_file(_path(location)))  # noqa: SLF001  # as above
        except Exception as exc:
            if not isinstance(exc, FileNotFoundError) and self._told_status(exc) != 404:
                raise self._translated(exc, location) from exc

    def _opened_at(self, location: Location) -> Any:
        try:
            return self._opened()
        except Exception as exc:
            raise self._translated(exc, location) from exc

    def _move(
        self,
        location: Location,
        filesystem: Any,
        asked: Coroutine[Any, Any, Any],
        size_bytes: int,
        *,
        file: Path | None = None,
    ) -> None:
        """Wait for that many bytes. What the file of this machine has against it is passed on."""
        try:
            self._answer(filesystem, asked, within_s=ANSWER_TIMEOUT_S + size_bytes / SLOWEST_BYTES_S)
        except Late as exc:
            raise StorageUnavailable(f"{location.url}: the store is too slow") from exc
        except OSError as exc:
            if exc.errno in _FULL or (file is not None and exc.filename == str(file)):
                raise
            raise self._translated(exc, location) from exc
        except Exception as exc:
            raise self._translated(exc, location) from exc

    def _translated(self, exc: Exception, location: Location) -> CeleriacError:
        if isinstance(exc, FileNotFoundError) and not self._told_status(exc):
            return missing(location)
        return super()._translated(exc, location)


def _dialect(scheme: str) -> Dialect:
    if scheme == "s3":
        return S3()
    return GoogleStorage(writes=True) if scheme == "gs" else AzureBlobs()


def _path(location: Location) -> str:
    """As fsspec has it."""
    return f"{location.bucket}/{location.key}"
