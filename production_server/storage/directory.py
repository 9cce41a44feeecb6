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
        self._roots = tuple(Path(os.path.realpath(_path(root))) for root in roots)

    def pages(self, location: Location, *, cursor: str) -> Iterator[Page]:
        """A folder's files have no order that it could be gone on in: a listing begins anew, whatever `cursor` says."""
        del cursor
        folder = _path(location)
        is_folder = self._real(location).is_dir()
        try:
            found = _files(folder) if is_folder else iter([folder])
            if not folder.exists():
                raise missing(location)
            references = (_reference(path) for path in found)
            while page := tuple(islice(references, PAGE)):
                yield Page(page, "")
        except OSError as exc:
            raise _translated(exc, location) from exc

    def fetch(self, location: Location, *, etag: str, max_bytes: int) -> bytes:
        real = self._real(location)
        try:
            # Without waiting for somebody to write into what is a pipe.
            descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode):
                    raise missing(location)
                if etag and _etag(found) != etag:
                    raise replaced(location)
                if found.st_size > max_bytes:
                    raise too_large(location, found.st_size, max_bytes)
                return file.read(max_bytes)
        except OSError as exc:
            raise _translated(exc, location) from exc

    def _real(self, location: Location) -> Path:
        """The path behind all links.

        Raises:
            ObjectUnusable: they lead out of what is allowed.
        """
        real = Path(os.path.realpath(_path(location)))
        if not any(real.is_relative_to(root) for root in self._roots):
            raise forbidden(location)
        return real


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


def _etag(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns:x}-{found.st_size:x}"


def _path(location: Location) -> Path:
    return Path("/") / location.key


def _translated(exc: OSError, location: Location) -> ObjectUnusable | StorageUnavailable:
    if isinstance(exc, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return missing(location)
    if isinstance(exc, PermissionError):
        return forbidden(location)
    return StorageUnavailable(f"{location.url}: {exc.strerror}")
