"""From a trained model's file to a version that serves: its import, and its rollout.

Both are found again by what names them, where a process began one and died before it could note that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from production_server.access.records import Actor
from production_server.intake.imports import ImportIntake, Wish
from production_server.jobs.database import Database
from production_server.jobs.imports import ModelImport, get_import, list_imports
from production_server.jobs.rollouts import Rollout, get_rollout, list_rollouts
from production_server.models.importing.uploads import IncomingFiles, Part
from production_server.retraining.dataset import LABEL
from production_server.retraining.images import Told
from production_server.retraining.policies import Policy, Then
from production_server.retraining.runs import TrainingRun
from production_server.retraining.workspace import Workspace
from production_server.serving.promoting import Promoted, Wanted

LATEST_IMPORTS, LATEST_ROLLOUTS = 100, 20
_IN_VAIN = ("failed", "cancelled")
"""Imports whose file is sent again: a run that goes on after one has noted none."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """Has workers make versions of files, and roll them out."""

    database: Database
    imports: ImportIntake
    promote: Callable[..., Promoted]
    """`Serving.promote`."""

    def import_of(self, run: TrainingRun, file: Path) -> ModelImport | None:
        """The import of a run's file, if there is one.

        Raises:
            Unavailable: the database does not answer.
        """
        if run.import_id is not None:
            return get_import(self.database, run.import_id, whose=None)
        latest = list_imports(self.database, whose=None, limit=LATEST_IMPORTS)
        return next((each for each in latest if each.file == file.name and each.state not in _IN_VAIN), None)

    def send(self, run: TrainingRun, work: Workspace) -> ModelImport:
        """Have a worker make a version of a run's file, measured on what was held out.

        Raises:
            InvalidInput, TooLarge: it is not taken. Unavailable: the database or the disk does not answer.
        """
        train, sample = Policy.model_validate(run.policy).train, work.sample
        described = train.describe
        if train.images is not None:
            described = Told.model_validate_json(work.told.read_bytes()).described
        if sample is not None and sample.suffix == ".csv" and described.target is None:
            described = described.model_copy(update={"target": LABEL})
        with self.imports.incoming() as files:
            _copy(files, "model", work.model)
            if sample is not None:
                _copy(files, "sample", sample)
            wish = Wish(model=run.model, described=described)
            return self.imports.accept(wish, files, by=Actor(**run.actor))

    def roll_out(self, run: TrainingRun, then: Then) -> UUID | None:
        """Begin the rollout of a run's version, or find it; None: it serves at once.

        Raises:
            CeleriacError: as `Serving.promote`.
        """
        reason = f"training run {run.id}"
        with self.database.read() as connection:
            latest = list_rollouts(connection, run.model, limit=LATEST_ROLLOUTS)
        begun = next((each.id for each in latest if each.reason == reason), None)
        if begun is not None:
            return begun
        wanted = Wanted(
            model=run.model, version=str(run.version), channel=then.to, percent=then.percent, reason=reason
        )
        rollout = self.promote(wanted, by=Actor(**run.actor)).rollout
        return None if rollout is None else rollout.id

    def rollout_of(self, run: TrainingRun) -> Rollout:
        """The rollout that a run has noted.

        Raises:
            Unavailable: the database does not answer.
        """
        with self.database.read() as connection:
            return get_rollout(connection, UUID(str(run.rollout_id)))


def _copy(files: IncomingFiles, part: Part, source: Path) -> None:
    with source.open("rb") as read:
        file = files.open(part, source.name, field=part)
        try:
            while some := read.read(2**20):
                file.write(some)
        finally:
            file.close()
