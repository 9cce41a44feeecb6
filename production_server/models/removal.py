"""Deleting versions: in one step a version counts no more, then its files go. Its number stays taken."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from production_server.models.store_folders import REMOVED, locked, sync, told

log = logging.getLogger(__name__)


def is_removed(folder: Path) -> bool:
    """Whether a version's folder was hidden, whatever became of its files."""
    return _aside(folder).is_dir()


@contextmanager
def hidden(folder: Path) -> Iterator[None]:
    """Inside this block a version is not there any more; an exception brings it back, else its files go after it.

    One that is hidden already, by somebody who was killed, stays so. The number stays taken in any case: an empty
    hidden folder keeps it. Who is killed while files go leaves some, which the next deletion of the model removes.

    Raises:
        StoreNotWritable: the store cannot be written.
    """
    aside = _aside(folder)
    with told(folder.parent), locked(folder.parent):
        _move(folder, aside)
        try:
            yield
        except BaseException:
            _move(aside, folder)
            raise
        for each in folder.parent.glob(f"{REMOVED}*"):
            try:
                _empty(each)
            except OSError as exc:
                log.warning("files of a version that was deleted are still there: %s", exc)


def _aside(folder: Path) -> Path:
    return folder.parent / f"{REMOVED}{folder.name}"


def _move(source: Path, target: Path) -> None:
    if source.is_dir():
        source.rename(target)
        sync(target.parent)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
