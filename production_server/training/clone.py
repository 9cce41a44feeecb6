"""A clone of the repository of models: a version that was trained takes the place of what is there, as a commit."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from production_server.models.manifest import MANIFEST_FILE, Manifest, read_manifest
from production_server.training.errors import TrainingError

LONGEST_S = 120
MOST_METRICS = 3
"""In the subject of a commit."""


@dataclass(frozen=True, slots=True)
class ModelsClone:
    """A work tree of git, with a folder for each model at its top."""

    folder: Path

    def store_for(self, model: str) -> Path:
        """A store, out of git's sight, that holds the version of that model that the clone has, or none.

        It is what a training holds its version against, and writes it into.

        Raises:
            TrainingError: it is no clone, the model's folder has changes that nobody has committed, or something else
                than a version is in it.
        """
        if self._git("rev-parse", "--show-prefix"):
            raise TrainingError(f"{self.folder} is inside of a clone: name its top folder")
        if self._git("status", "--porcelain", "--", model):
            raise TrainingError(f"{self.folder / model} has changes: commit them, or git restore them, first")
        manifest = self._manifest(model)
        store = Path(self._git("rev-parse", "--absolute-git-dir")) / "celeriac" / "store"
        shutil.rmtree(store / model, ignore_errors=True)
        if manifest is not None:
            for name in (MANIFEST_FILE, *manifest.files):
                target = store / model / manifest.version / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.folder / model / name, target)
        return store

    def take(self, version: Path) -> Path:
        """Put a version in place of the one that is there, commit it, and say where it lies; samples and notes stay.

        Raises:
            TrainingError: git does not commit it.
        """
        manifest = read_manifest(version)
        target, before = self.folder / manifest.name, self._manifest(manifest.name)
        for name in () if before is None else before.files:
            (target / name).unlink(missing_ok=True)
        shutil.copytree(version, target, dirs_exist_ok=True)
        self._git("add", "--all", "--force", "--", manifest.name)
        self._git("commit", "--quiet", "--message", subject_of(manifest), "--", manifest.name)
        shutil.rmtree(version.parent, ignore_errors=True)
        return target

    def _manifest(self, model: str) -> Manifest | None:
        """What is there now; None: nothing is."""
        folder = self.folder / model
        if not folder.is_dir() or not any(folder.iterdir()):
            return None
        try:
            return read_manifest(folder)
        except (OSError, ValueError) as exc:
            raise TrainingError(
                f"{folder} holds something else than a version that was trained: git rm it, or use another --name"
            ) from exc

    def _git(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                ["git", "-C", str(self.folder), *arguments],
                capture_output=True,
                text=True,
                timeout=LONGEST_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise TrainingError(f"git does not answer: {exc}") from exc
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["nothing"]
            raise TrainingError(f"git {arguments[0]} in {self.folder} says: {said[0]}")
        return done.stdout.strip()


def subject_of(manifest: Manifest) -> str:
    """What a commit of a version says: the model, and the first of its metrics."""
    values = {} if manifest.metrics is None else manifest.metrics.values
    told = [
        f"{name.replace('_', ' ')} {metric.mean:.4g}" + ("" if metric.std is None else f" ± {metric.std:.2g}")
        for name, metric in list(values.items())[:MOST_METRICS]
    ]
    return f"Train {manifest.name}" + (f": {', '.join(told)}" if told else "")
