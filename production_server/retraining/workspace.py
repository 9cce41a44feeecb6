"""What a training run keeps on the disk of the machine that trains, until it is over."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from production_server.retraining.commands import Places
from production_server.retraining.dataset import Dataset
from production_server.retraining.policies import Policy
from production_server.retraining.runs import TrainingRun

FOLDER = "trainings"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder of a run."""

    folder: Path
    model: Path
    """What its training writes; the name tells an import of it."""

    @classmethod
    def of(cls, run: TrainingRun, state_dir: Path) -> Self:
        """That of a run, which is there then."""
        folder = state_dir.absolute() / FOLDER / str(run.id)
        folder.mkdir(parents=True, exist_ok=True)
        suffix = Policy.model_validate(run.policy).train.suffix
        return cls(folder, folder / f"training-{run.id}.{suffix}")

    @property
    def labels(self) -> Path:
        """What is learnt from, and what is held out."""
        return self.folder / "labels"

    @property
    def told(self) -> Path:
        """What the program for images is told."""
        return self.folder / "told.json"

    @property
    def sample(self) -> Path | None:
        """What was held out, as an import takes it: a table, or a zip of images; None: nothing was."""
        found = (self.labels / "held_out" / "labels.csv", self.labels / "held_out.zip")
        return next((each for each in found if each.is_file()), None)

    def places(self, dataset: Dataset) -> Places:
        """Where a training reads and writes."""
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        return Places(data=dataset.folder, model=self.model, scratch=scratch)

    def remove(self) -> None:
        """Nobody needs it any more."""
        shutil.rmtree(self.folder, ignore_errors=True)
