"""Model stores: folders `<store>/<model>/<version>/` that hold immutable versions."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from production_server.errors import BrokenVersion, NotFound
from production_server.models.manifest import MANIFEST_FILE, Manifest, read_manifest

STABLE = "stable"


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version on disk: what its manifest says, and where its files are."""

    manifest: Manifest
    folder: Path

    @property
    def key(self) -> tuple[str, str]:
        return self.manifest.name, self.manifest.version

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
    except (OSError, ValueError):
        return None
    is_in_its_place = (manifest.name, manifest.version) == (folder.parent.name, folder.name)
    return ModelVersion(manifest, folder) if is_in_its_place else None


def _read_version(folder: Path) -> ModelVersion | None:
    try:
        stat = (folder / MANIFEST_FILE).stat()
    except OSError:
        return None
    return _read_once(folder, stat.st_mtime_ns, stat.st_size)


class RecentVersions:
    """What `Store.get` has found within the last second: to look at the disk takes longer than to read a request."""

    def __init__(self, store: Store, *, for_s: float = 1.0) -> None:
        self._store = store
        self._for_s = for_s
        self._found: dict[tuple[str, str | None], tuple[float, ModelVersion]] = {}

    def get(self, model: str, version: str | None = None) -> ModelVersion:
        """As `Store.get`; what is not there is looked for each time.

        Raises:
            NotFound: there is no such model or version.
        """
        now = time.monotonic()
        found_at, found = self._found.get((model, version), (0.0, None))
        if found is None or now - found_at > self._for_s:
            found = self._store.get(model, version)
            self._found[model, version] = (now, found)
        return found


class Store:
    """The versions found in a list of folders; where two have the same version, the first folder's wins.

    Reads the disk at each call, so a version that was added is seen at once. Safe to share between threads. A folder
    without a valid manifest is no version: it is passed over (`unreadable()` lists them).
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)

    def model_names(self) -> list[str]:
        """The names of all models that have at least one version, sorted."""
        return sorted({path.parent.name for path in self._version_folders() if _read_version(path)})

    def versions(self, model: str) -> list[ModelVersion]:
        """All versions of a model, oldest first.

        Raises:
            NotFound: there is no such model (code `model_not_found`).
        """
        found: dict[int, ModelVersion] = {}
        for path in self._version_folders():
            version = _read_version(path) if path.parent.name == model else None
            if version is not None:
                found.setdefault(int(version.manifest.version), version)
        if not found:
            known = ", ".join(self.model_names()) or "none"
            raise NotFound(f"there is no model {model!r}; known models: {known}", code="model_not_found")
        return [found[number] for number in sorted(found)]

    def get(self, model: str, version: str | None = None) -> ModelVersion:
        """One version of a model; without `version`, the one on the stable channel.

        Raises:
            NotFound: there is no such model or version (codes `model_not_found`, `version_not_found`).
        """
        versions = self.versions(model)
        if version is None:
            return versions[-1]
        for candidate in versions:
            if candidate.manifest.version == version:
                return candidate
        known = ", ".join(candidate.manifest.version for candidate in versions)
        raise NotFound(
            f"model {model!r} has no version {version!r}; it has {known}", code="version_not_found"
        )

    def channels(self, model: str) -> dict[str, str]:
        """Which version each channel of a model names; `stable` is the newest version."""
        return {STABLE: self.get(model).manifest.version}

    def stable_versions(self) -> list[ModelVersion]:
        """The version on each model's stable channel: what a worker loads when it starts."""
        return [self.get(model) for model in self.model_names()]

    def unreadable(self) -> list[Path]:
        """Folders that lie where versions lie and hold no valid manifest."""
        return [path for path in self._version_folders() if _read_version(path) is None]

    def _version_folders(self) -> list[Path]:
        """Hidden folders are versions in the making and do not count."""
        paths = [path for folder in self._folders for path in sorted(folder.glob("[!.]*/[!.]*"))]
        return [path for path in paths if path.is_dir()]
