"""What travels over the API about training runs."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import Field

from production_server.retraining.runs import RunState, Step, TrainingRun, Why
from production_server.web.api.schemas import MAX_PAGE, Schema, to_time


class TrainingRequest(Schema):
    """A model that is to be trained again now, by its policy in LEARNING_FILE."""

    model: str = Field(max_length=64, examples=["iris"])


class TrainingsQuery(Schema):
    """Which runs: of one model or of all, from behind one on."""

    model: str | None = Field(default=None, max_length=64)
    after: UUID | None = None
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)


class ChangedBody(Schema):
    """What the new version answers otherwise; labelled items that agree with people now, or no longer."""

    answered: int
    changed: int
    agree_now: int
    agree_no_more: int


class TrainingProblem(Schema):
    """Why a run has not come to its end."""

    code: str
    message: str


class TrainingLinks(Schema):
    """Where to go on from a run."""

    self: str
    log: str
    page: str
    import_: str | None = Field(serialization_alias="import")
    job: str | None


class TrainingBody(Schema):
    """A training run as it stands.

    `step` is what is done, or was when it ended; `doing` says how far that is. `held_out` of the `labels` were kept
    from training, and the version is held against what serves by them. `changed` is told in the end.
    """

    id: UUID
    model: str
    why: Why
    state: RunState
    step: Step
    doing: str
    labels: int
    held_out: int
    version: str | None
    changed: ChangedBody | None
    error: TrainingProblem | None
    began: datetime
    ended: datetime | None
    links: TrainingLinks

    @classmethod
    def of(cls, run: TrainingRun) -> Self:
        """The API's view of a run."""
        here = f"/api/training-runs/{run.id}"
        error = None
        if run.error_code is not None:
            error = TrainingProblem(code=run.error_code, message=run.error_message or "")
        return cls(
            id=run.id,
            model=run.model,
            why=run.why,
            state=run.state,
            step=run.step,
            doing=run.said,
            labels=run.labels,
            held_out=run.held_out,
            version=run.version,
            changed=None if run.change is None else ChangedBody(**run.change),
            error=error,
            began=to_time(run.began_at),
            ended=None if run.ended_at is None else to_time(run.ended_at),
            links=TrainingLinks(
                self=here,
                log=f"{here}/log",
                page=f"/training-runs/{run.id}",
                import_=None if run.import_id is None else f"/api/imports/{run.import_id}",
                job=None if run.answer_job is None else f"/api/jobs/{run.answer_job}",
            ),
        )


class TrainingsBody(Schema):
    """A page of runs, newest first; `next` is the `after` of the one behind it."""

    runs: list[TrainingBody]
    next: UUID | None
