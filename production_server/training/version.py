"""Writes a trained model into a store as an immutable version: the whole folder appears in one step, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from production_server.models.manifest import MANIFEST_FILE, FileDigest, Manifest
from production_server.models.tasks import task_of
from production_server.training.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Draft:
    """A version in the making: files are put into `folder`, then `publish` makes it a version."""

    def __init__(self, folder: Path, model_folder: Path, version: str) -> None:
        self.folder = folder
        self.version = version
        self._model_folder = model_folder

    def digests(self) -> dict[str, FileDigest]:
        """SHA-256 and size of every file of the draft, by its path inside the version, in order."""
        files = sorted(
            path for path in self.folder.rglob("*") if path.is_file() and path.name != MANIFEST_FILE
        )
        return {path.relative_to(self.folder).as_posix(): _digest(path) for path in files}

    def publish(self, manifest: Manifest, *, check: Callable[[Path], None]) -> Path:
        """Write the manifest, have the whole folder checked, and give it its final name.

        Raises:
            ExportError: the check refuses it, or the version exists already, which is left as it is.
            ValueError: the manifest does not say what its task needs.
        """
        task_of(manifest)
        (self.folder / MANIFEST_FILE).write_text(manifest.to_json() + "\n", encoding="utf-8")
        check(self.folder)
        target = self._model_folder / self.version
        for path in (self.folder, *self.folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        try:
            if target.exists():
                raise FileExistsError(target)
            self.folder.rename(target)
        except OSError as exc:
            reason = exc.strerror or "it exists"
            raise ExportError(f"{target} cannot be written ({reason}): versions never change") from exc
        return target


@contextmanager
def draft_version(store: Path, name: str) -> Iterator[Draft]:
    """Open a draft of the next version of model `name`, in a hidden folder; what is not published is removed.

    Raises:
        ExportError: the store cannot be written to.
    """
    model_folder = store / name
    try:
        model_folder.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".draft-", dir=model_folder))
    except OSError as exc:
        raise ExportError(f"the model store {store} cannot be written: {exc.strerror}") from exc
    try:
        yield Draft(folder, model_folder, next_version(model_folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _remove_if_empty(model_folder)


def next_version(model_folder: Path) -> str:
    """The number after the highest version in `model_folder`; "1" in an empty one."""
    numbers = [int(path.name) for path in model_folder.glob("[0-9]*") if path.name.isdecimal()]
    return str(max(numbers, default=0) + 1)


def _digest(path: Path) -> FileDigest:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileDigest(sha256=sha256, size_bytes=path.stat().st_size)


def _remove_if_empty(folder: Path) -> None:
    if not os.listdir(folder):  # noqa: PTH208  # iterdir would have to be closed before the removal
        folder.rmdir()
