"""What writers of a model store do with its folders: one at a time, on the disk, with errors that say what is wrong."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from production_server.errors import StoreNotWritable
from production_server.shown import shown

REMOVED = ".removed-"
"""Before the number of a version that was deleted: the hidden folder is empty and stays, so that the number does."""
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


def next_version(*model_folders: Path, above: int = 0) -> str:
    """The number after the highest that a version in any of the folders has or had, and after `above`."""
    names = [
        path.name.removeprefix(REMOVED)
        for folder in model_folders
        for pattern in ("[0-9]*", f"{REMOVED}[0-9]*")
        for path in folder.glob(pattern)
    ]
    return str(max([above, *(int(name) for name in names if name.isdecimal())]) + 1)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One at a time in this folder; held for moments."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def told(place: Path) -> Iterator[None]:
    """What the system says of a store, as one of this server's errors.

    Raises:
        StoreNotWritable: the system has refused something inside the block.
    """
    try:
        yield
    except shutil.Error as exc:  # of several files: what was said of each is text alone
        said = str(exc.args[0])
        if any(f"[Errno {number}]" in said for number in _FULL):
            raise _no_room(place) from exc
        raise StoreNotWritable(f"the model store cannot be written: {shown(said)}", place=str(place)) from exc
    except OSError as exc:
        if exc.errno in _FULL:
            raise _no_room(place) from exc
        whose = f" for the user {os.geteuid()}" if exc.errno == errno.EACCES else ""
        raise StoreNotWritable(
            f"the model store cannot be written: {exc.strerror or type(exc).__name__}{whose}",
            place=str(place),
        ) from exc


def _no_room(place: Path) -> StoreNotWritable:
    return StoreNotWritable(
        "there is no room for a version in the model store", code="store_full", place=str(place)
    )


def sync(path: Path) -> None:
    """See to it that a file, or the names in a folder, are on the disk and not only in its cache."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
