"""Versions in the making: a folder that is filled, checked, and appears in its store in one step, or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from production_server.errors import StoreNotWritable
from production_server.models.manifest import MANIFEST_FILE, FileDigest, Manifest, digest_of
from production_server.models.tasks import task_of

_PREFIX = ".draft-"
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_TAKEN = frozenset((errno.EEXIST, errno.ENOTEMPTY))


class Draft:
    """A version in the making: files are put into `folder`, then `publish` makes it a version."""

    def __init__(self, folder: Path, model_folder: Path, others: Sequence[Path] = ()) -> None:
        self.folder = folder
        self._model_folder = model_folder
        self._others = others
        self.version = next_version(model_folder, *others)
        """The number that it gets, unless another draft of the model is published before it."""

    def digests(self) -> dict[str, FileDigest]:
        """SHA-256 and size of every file of the draft, by its path inside the version, in order."""
        files = sorted(
            path for path in self.folder.rglob("*") if path.is_file() and path.name != MANIFEST_FILE
        )
        return {path.relative_to(self.folder).as_posix(): digest_of(path) for path in files}

    def rehearse(self, manifest: Manifest, *, check: Callable[[Path], None]) -> None:
        """Write the manifest, and have the whole folder checked. Whatever `check` raises is passed on.

        Raises:
            StoreNotWritable: the store is full, or cannot be written.
            ValueError: the manifest does not say what its task needs.
        """
        task_of(manifest)
        with writing_to_store(self._model_folder):
            self._write(manifest)
        check(self.folder)

    def publish(self, manifest: Manifest, *, check: Callable[[Path], None]) -> Path:
        """Rehearse, then give the folder its final name: the next free number.

        What is published is on the disk, not only in its cache.

        Raises:
            StoreNotWritable, ValueError: as `rehearse`.
        """
        self.rehearse(manifest, check=check)
        with writing_to_store(self._model_folder):
            for path in (self.folder, *self.folder.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
                _sync(path)
            with _locked(self._model_folder):
                return self._take_number(manifest)

    def _take_number(self, manifest: Manifest) -> Path:
        """Where locks do not hold (some network file systems), who comes later finds the number taken, and goes on."""
        while True:
            self.version = next_version(self._model_folder, *self._others)
            if self.version != manifest.version:
                manifest = manifest.model_copy(update={"version": self.version})
                self._write(manifest)
                _sync(self.folder / MANIFEST_FILE)
            target = self._model_folder / self.version
            try:
                self.folder.rename(target)
            except OSError as exc:
                if exc.errno not in _TAKEN:
                    raise
            else:
                _sync(self._model_folder)
                return target

    def _write(self, manifest: Manifest) -> None:
        (self.folder / MANIFEST_FILE).write_text(manifest.to_json() + "\n", encoding="utf-8")


@contextmanager
def draft_version(store: Path, name: str, *, others: Sequence[Path] = ()) -> Iterator[Draft]:
    """Open a draft of the next version of model `name`, in a hidden folder; what is not published is removed.

    Its number follows those in `store` and in the `others`, the stores that are searched beside it. Drafts that others
    left behind, who were killed, are removed.

    Raises:
        StoreNotWritable: the store cannot be written to.
    """
    model_folder = store / name
    with writing_to_store(model_folder):
        folder, held = _make(model_folder)
    try:
        yield Draft(folder, model_folder, [other / name for other in others])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)
        # Another draft, or a version, may be there by now.
        with contextlib.suppress(OSError):
            model_folder.rmdir()


def next_version(*model_folders: Path) -> str:
    """The number after the highest version in any of the folders; "1" where there is none."""
    numbers = [
        int(path.name) for folder in model_folders for path in folder.glob("[0-9]*") if path.name.isdecimal()
    ]
    return str(max(numbers, default=0) + 1)


def _make(model_folder: Path) -> tuple[Path, int]:
    """A new hidden folder, and the descriptor that holds it for this process."""
    while True:
        model_folder.mkdir(parents=True, exist_ok=True)
        # Whoever was last to leave may remove the model's folder in between.
        with contextlib.suppress(FileNotFoundError), _locked(model_folder):
            _sweep(model_folder)
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=model_folder))
            return folder, _hold(folder)


def _sweep(model_folder: Path) -> None:
    """Remove drafts that nobody holds: the kernel lets go of what a process held, however it ended."""
    for left in model_folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            held = _hold(left)
            try:
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(held)


def _hold(folder: Path) -> int:
    """Lock a folder.

    Raises:
        OSError: somebody holds it, or it is not there.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One at a time in this folder; held for moments."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def writing_to_store(place: Path) -> Iterator[None]:
    """What the system says of a store, as one of this server's errors."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise StoreNotWritable(f"there is no room for a version in {place}", code="store_full") from exc
        raise StoreNotWritable(f"the model store cannot be written: {place}: {exc.strerror or exc}") from exc


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
