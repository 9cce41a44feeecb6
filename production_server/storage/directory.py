"""Directories of this machine as stores of objects: `file:///folder`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from production_server.errors import ObjectUnusable, StorageUnavailable
from production_server.storage.locations import Location
from production_server.storage.objects import (
    PAGE,
    Page,
    Reference,
    forbidden,
    missing,
    replaced,
    too_large,
)


class Directory:
    """Regular files only. Links are not followed out of `roots`, and no folder that is a link is looked into."""

    def __init__(self, roots: Sequence[Location]) -> None:
        self._roots = tuple(os.path.realpath(_path(root)).rstrip("/") for root in roots)

    def pages(self, location: Location, *, cursor: str) -> Iterator[Page]:
        """A folder's files have no order that it could be gone on in: a listing begins anew, whatever `cursor` says."""
        del cursor
        folder = Path(_path(location))
        self._check(os.path.realpath(folder), location)
        try:
            found = _files(folder) if folder.is_dir() else iter([folder])
            if not folder.exists():
                raise missing(location)
            references = (_reference(path) for path in found)
            while page := tuple(islice(references, PAGE)):
                yield Page(page, "")
        except OSError as exc:
            raise _translated(exc, location) from exc

    def fetch(self, location: Location, *, etag: str, max_bytes: int) -> bytes:
        try:
            # Without waiting for somebody to write into what is a pipe.
            descriptor = os.open(_path(location), os.O_RDONLY | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                self._check(_opened_path(descriptor, location), location)
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode):
                    raise missing(location)
                if etag and _etag(found) != etag:
                    raise replaced(location)
                if found.st_size > max_bytes:
                    raise too_large(location, found.st_size, max_bytes)
                return file.read(found.st_size)
        except OSError as exc:
            raise _translated(exc, location) from exc

    def _check(self, real: str, location: Location) -> None:
        """Whether a path behind all links is one that may be read.

        Raises:
            ObjectUnusable: links have led out of what is allowed.
        """
        if not any(real == root or real.startswith(f"{root}/") for root in self._roots):
            raise forbidden(location)


def _files(folder: Path) -> Iterator[Path]:
    """All regular files in a folder and those in it; never more than one folder's open at each depth."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path)


def _reference(path: Path) -> Reference:
    try:
        found = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        # Gone since its folder was read: as an item it says so itself.
        return Reference(f"file://{path}")
    return Reference(f"file://{path}", _etag(found), found.st_size)


def _opened_path(descriptor: int, location: Location) -> str:
    """The path behind all links of a file that is open: nobody can put a link in its way any more."""
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:  # no Linux
        return os.path.realpath(_path(location))


def _etag(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns:x}-{found.st_size:x}"


def _path(location: Location) -> str:
    return f"/{location.key}"


def _translated(exc: OSError, location: Location) -> ObjectUnusable | StorageUnavailable:
    if isinstance(exc, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return missing(location)
    if isinstance(exc, PermissionError):
        return forbidden(location)
    return StorageUnavailable(f"{location.url}: {exc.strerror}")
