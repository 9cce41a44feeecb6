"""Model stores: folders `<store>/<model>/<version>/` that hold immutable versions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from production_server.errors import BrokenVersion
from production_server.models.manifest import MANIFEST_FILE, Manifest, read_manifest
from production_server.models.tasks import task_of
from production_server.models.tasks.task import Task


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version on disk: what its manifest says, and where its files are."""

    manifest: Manifest
    folder: Path
    task: Task = field(compare=False, repr=False)

    @property
    def key(self) -> tuple[str, str]:
        return self.manifest.name, self.manifest.version

    @property
    def sha256(self) -> str:
        """Of the manifest as it lies there, and so of all files that it lists.

        Raises:
            BrokenVersion: it cannot be read.
        """
        try:
            return hashlib.sha256((self.folder / MANIFEST_FILE).read_bytes()).hexdigest()
        except OSError as exc:
            raise BrokenVersion(
                f"{'/'.join(self.key)}: its manifest cannot be read ({exc.strerror})"
            ) from exc

    def verify(self) -> None:
        """Check the bytes of all its files.

        Raises:
            BrokenVersion: as `verified_file`.
        """
        for name in self.manifest.files:
            self.verified_file(name)

    def verified_file(self, name: str) -> Path:
        """The path of a file of this version, after its bytes were checked against the manifest.

        Raises:
            BrokenVersion: the file is absent, not listed, or has another SHA-256 than the manifest says.
        """
        path, digest = self.folder / name, self.manifest.files.get(name)
        if digest is None:
            raise BrokenVersion(f"{'/'.join(self.key)}: its manifest lists no file {name}")
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as exc:
            raise BrokenVersion(f"{'/'.join(self.key)}: {name} cannot be read ({exc.strerror})") from exc
        if found != digest.sha256:
            raise BrokenVersion(f"{'/'.join(self.key)}: {name} has SHA-256 {found}, expected {digest.sha256}")
        return path


@lru_cache(maxsize=4096)
def _read_once(folder: Path, _mtime_ns: int, _size: int) -> ModelVersion | None:
    try:
        manifest = read_manifest(folder)
        task = task_of(manifest)
    except (OSError, ValueError):
        return None
    is_in_its_place = (manifest.name, manifest.version) == (folder.parent.name, folder.name)
    return ModelVersion(manifest, folder, task) if is_in_its_place else None


def _read_version(folder: Path) -> ModelVersion | None:
    try:
        stat = (folder / MANIFEST_FILE).stat()
    except OSError:
        return None
    return _read_once(folder, stat.st_mtime_ns, stat.st_size)


class Store:
    """The versions found in a list of folders; where two have the same version, the first folder's wins.

    Reads the disk at each call (some 70 µs): who asks often asks a `registry.Registry`. Safe to share between threads.
    A folder without a valid manifest is no version: it is passed over (`unreadable()` lists them).
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)

    def versions(self) -> list[ModelVersion]:
        """All versions of all models: by name, and of a model oldest first."""
        found: dict[tuple[str, int], ModelVersion] = {}
        for path in self._version_folders():
            version = _read_version(path)
            if version is not None:
                found.setdefault((version.manifest.name, int(version.manifest.version)), version)
        return [found[key] for key in sorted(found)]

    def unreadable(self) -> list[Path]:
        """Folders that lie where versions lie and hold no valid manifest."""
        return [path for path in self._version_folders() if _read_version(path) is None]

    def _version_folders(self) -> list[Path]:
        """Hidden folders are versions in the making and do not count."""
        paths = [path for folder in self._folders for path in sorted(folder.glob("[!.]*/[!.]*"))]
        return [path for path in paths if path.is_dir()]
