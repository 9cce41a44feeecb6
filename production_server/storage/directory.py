"""Directories of this machine as stores of objects: `file:///folder`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from production_server.errors import ObjectUnusable, StorageUnavailable
from production_server.storage.locations import Location
from production_server.storage.objects import (
    PAGE,
    PIECE_BYTES,
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
            if not folder.exists():
                raise missing(location)
            references = _references(folder) if folder.is_dir() else iter([_reference(folder)])
            while page := tuple(islice(references, PAGE)):
                yield Page(page, "")
        except OSError as exc:
            raise _translated(exc, location) from exc

    def fetch(self, location: Location, *, etag: str, max_bytes: int) -> bytes:
        with self._opened(location, etag=etag, max_bytes=max_bytes) as (file, size_bytes):
            return file.read(size_bytes)

    def pieces(self, location: Location, *, etag: str, size_bytes: int) -> Iterator[bytes]:
        with self._opened(location, etag=etag, max_bytes=size_bytes) as (file, found_bytes):
            left = found_bytes
            while left and (piece := file.read(min(left, PIECE_BYTES))):
                left -= len(piece)
                yield piece
            # Somebody may have written into it meanwhile.
            if left or (etag and _etag(os.fstat(file.fileno())) != etag):
                raise replaced(location)

    @contextmanager
    def _opened(self, location: Location, *, etag: str, max_bytes: int) -> Iterator[tuple[BinaryIO, int]]:
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
                yield file, found.st_size
        except OSError as exc:
            raise _translated(exc, location) from exc

    def close(self) -> None:
        """Nothing is on its way: what a system call waits for cannot be ended."""

    def _check(self, real: str, location: Location) -> None:
        """Whether a path behind all links is one that may be read.

        Raises:
            ObjectUnusable: links have led out of what is allowed.
        """
        if not any(real == root or real.startswith(f"{root}/") for root in self._roots):
            raise forbidden(location)


def _references(folder: Path) -> Iterator[Reference]:
    """All regular files in a folder and those in it, one folder after the other.

    A folder in it that cannot be read is a reference, which ends with a slash and says so itself when it is fetched.
    """
    deeper: list[Path] = []
    yield from _references_in(folder, deeper)
    while deeper:
        inner = deeper.pop()
        try:
            yield from _references_in(inner, deeper)
        except FileNotFoundError:
            continue  # gone since the folder around it was read
        except OSError:
            yield Reference(f"file://{inner}/")


def _references_in(folder: Path, deeper: list[Path]) -> Iterator[Reference]:
    """The regular files of one folder; the folders in it are added to `deeper`."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                deeper.append(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield _reference(Path(entry.path))


def _reference(path: Path) -> Reference:
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        # Gone since its folder was read, or in one that may only be listed: as an item it says so itself.
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
