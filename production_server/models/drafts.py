"""Versions in the making: a folder that is filled, checked, and appears in its store in one step, or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from production_server.models.manifest import MANIFEST_FILE, FileDigest, Manifest, digest_of
from production_server.models.remote_store import RemoteStore
from production_server.models.store_folders import locked, next_version, sync, told
from production_server.models.tasks import task_of

_PREFIX = ".draft-"
_GATES = ".gates"
"""Folders of a store that stand for its models: whoever publishes holds one."""
_TAKEN = frozenset((errno.EEXIST, errno.ENOTEMPTY))


class Draft:
    """A version in the making: files are put into `folder`, then `publish` makes it a version."""

    def __init__(
        self,
        folder: Path,
        model_folder: Path,
        others: Sequence[Path] = (),
        *,
        above: int = 0,
        remote: RemoteStore | None = None,
    ) -> None:
        self.folder = folder
        self._model_folder = model_folder
        self._others = others
        self._above = above
        self._remote = remote
        self.version = self._next_version()
        """The number that it gets, unless another draft of the model is published before it."""

    def digests(self, known: Mapping[str, FileDigest] = MappingProxyType({})) -> dict[str, FileDigest]:
        """SHA-256 and size of every file of the draft, by its path inside the version, in order.

        Those that are `known` are not read again: a model may have gigabytes.
        """
        files = sorted(
            path for path in self.folder.rglob("*") if path.is_file() and path.name != MANIFEST_FILE
        )
        names = {path.relative_to(self.folder).as_posix(): path for path in files}
        return {name: known.get(name) or digest_of(path) for name, path in names.items()}

    def rehearse(self, manifest: Manifest, *, check: Callable[[Path], None]) -> None:
        """Write the manifest, and have the whole folder checked. Whatever `check` raises is passed on.

        Raises:
            StoreNotWritable: the store is full, or cannot be written.
            ValueError: the manifest does not say what its task needs.
        """
        task_of(manifest)
        with told(self._model_folder):
            self._write(manifest)
        check(self.folder)

    def publish(self, manifest: Manifest, *, check: Callable[[Path], None]) -> Path:
        """Rehearse, then give the folder its final name: the next free number.

        Of one model's drafts one at a time: each is held against what is published before it. What is published is on
        the disk, not only in its cache; of a store in a bucket it is there before it is here.

        Raises:
            StoreNotWritable, ValueError: as `rehearse`.
        """
        with self._alone():
            return self._publish(manifest, check)

    def _publish(self, manifest: Manifest, check: Callable[[Path], None]) -> Path:
        self.rehearse(manifest, check=check)
        with told(self._model_folder):
            # What the check has written beside it belongs to the version as well.
            manifest = manifest.model_copy(update={"files": self.digests(manifest.files)})
            self._write(manifest)
            for path in (self.folder, *self.folder.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
                sync(path)
            if self._remote is not None:
                return self._publish_to(self._remote, manifest)
            with locked(self._model_folder):
                return self._take_number(manifest)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other draft of this model is checked and published, here or in another process."""
        place = self._model_folder.parent / _GATES / self._model_folder.name
        with told(self._model_folder):
            place.mkdir(parents=True, exist_ok=True)
        with locked(place):
            yield

    def _take_number(self, manifest: Manifest) -> Path:
        """Where locks do not hold (some network file systems), who comes later finds the number taken, and goes on."""
        while True:
            manifest = self._numbered(manifest, self._next_version())
            target = self._model_folder / self.version
            try:
                self.folder.rename(target)
            except OSError as exc:
                if exc.errno not in _TAKEN:
                    raise
            else:
                sync(self._model_folder)
                return target

    def _publish_to(self, remote: RemoteStore, manifest: Manifest) -> Path:
        """Outside the lock of the model's folder: an upload takes its time, and the number is claimed."""
        model = self._model_folder.name
        self._numbered(manifest, remote.claim(model, above=int(self._next_version()) - 1))
        remote.upload(self.folder, (model, self.version))
        target = self._model_folder / self.version
        # It is published now. What looks after the copy may have brought it already, or will.
        with contextlib.suppress(OSError), locked(self._model_folder):
            self.folder.rename(target)
            sync(self._model_folder)
        return target

    def _numbered(self, manifest: Manifest, version: str) -> Manifest:
        """The manifest with that number, as it now lies in the folder."""
        self.version = version
        if version == manifest.version:
            return manifest
        manifest = manifest.model_copy(update={"version": version})
        self._write(manifest)
        sync(self.folder / MANIFEST_FILE)
        return manifest

    def _next_version(self) -> str:
        return next_version(self._model_folder, *self._others, above=self._above)

    def _write(self, manifest: Manifest) -> None:
        (self.folder / MANIFEST_FILE).write_text(manifest.to_json() + "\n", encoding="utf-8")


@contextmanager
def draft_version(
    store: Path,
    name: str,
    *,
    others: Sequence[Path] = (),
    above: int = 0,
    remote: RemoteStore | None = None,
) -> Iterator[Draft]:
    """Open a draft of the next version of model `name`, in a hidden folder; what is not published is removed.

    Its number follows those that versions have or had in `store` and in the `others`, the stores that are searched
    beside it, and `above`. Drafts that others left behind, who were killed, are removed. `remote` is what `store` is a
    copy of: there it is published first.

    Raises:
        StoreNotWritable: the store cannot be written to.
    """
    model_folder = store / name
    with hidden_folder(model_folder) as folder:
        yield Draft(folder, model_folder, [other / name for other in others], above=above, remote=remote)


@contextmanager
def hidden_folder(model_folder: Path) -> Iterator[Path]:
    """A new folder beside a model's versions that is none; what still lies there at the end of the block is removed.

    Raises:
        StoreNotWritable: the store cannot be written to.
    """
    with told(model_folder):
        folder, held = _make(model_folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)
        # Another draft, or a version, may be there by now.
        with contextlib.suppress(OSError):
            model_folder.rmdir()


def _make(model_folder: Path) -> tuple[Path, int]:
    """A new hidden folder, and the descriptor that holds it for this process."""
    while True:
        model_folder.mkdir(parents=True, exist_ok=True)
        # Whoever was last to leave may remove the model's folder in between.
        with contextlib.suppress(FileNotFoundError), locked(model_folder):
            _sweep(model_folder)
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=model_folder))
            return folder, _hold(folder)


def sweep_drafts(store: Path) -> None:
    """Remove what whoever was killed has left in the making, of all models of a store; does nothing where it cannot."""
    for model_folder in store.glob("[!.]*"):
        with contextlib.suppress(OSError):
            sweep_hidden(model_folder)


def sweep_hidden(folder: Path) -> None:
    """Remove the hidden folders in one that nobody holds any more, and itself if nothing else is there.

    Raises:
        OSError: something else is there, or it cannot be written.
    """
    if any(folder.glob(f"{_PREFIX}*")):
        with locked(folder):
            _sweep(folder)
            folder.rmdir()


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
