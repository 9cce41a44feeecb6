"""Training runs as rows: a run's step is what the next one starts from, so whatever dies is gone on with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self
from uuid import UUID, uuid4

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from production_server.errors import CeleriacError, Conflict, NotFound
from production_server.jobs.database import Database, now
from production_server.jobs.job_row import uuid7
from production_server.jobs.leases import FREE, free_after, is_held, may_be_taken, renewed, taken
from production_server.jobs.reasons import storable_reason
from production_server.jobs.tables import decision, training_run
from production_server.labels.standing import is_word
from production_server.retraining.policies import Policy, Standing

Told = Callable[[Connection], None]
"""What else is written in the transaction in which a run is changed."""
Why = Literal["labels", "time", "hand"]
RunState = Literal["open", "succeeded", "refused", "failed", "cancelled"]
"""`refused`: the gate did; what serves has stayed."""
Step = Literal["freeze", "train", "import", "roll_out", "answer", "done"]
STEPS: tuple[Step, ...] = ("freeze", "train", "import", "roll_out", "answer", "done")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run that is wanted; `actor` is JSON, and comes back as it is."""

    policy: Policy
    client: str
    why: Why
    actor: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """A run as it stands. Times in seconds since the Unix epoch, UTC."""

    id: UUID
    model: str
    client: str
    why: Why
    actor: Mapping[str, Any]
    policy: Mapping[str, Any]
    state: RunState
    step: Step
    label_mark: int
    labels: int
    held_out: int
    said: str
    log: str
    import_id: UUID | None
    version: str | None
    rollout_id: UUID | None
    answer_job: UUID | None
    change: Mapping[str, int] | None
    error_code: str | None
    error_message: str | None
    began_at: float
    ended_at: float | None
    tries: int

    @property
    def is_over(self) -> bool:
        return self.state != "open"

    @property
    def set_name(self) -> str:
        """What its set of labels is called."""
        return f"training-{self.id}"

    @classmethod
    def of(cls, row: Any) -> Self:
        """A row of `training_run` as a value."""
        return cls(**{name: getattr(row, name) for name in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class RunClaim:
    """The right to go on with a run; `token` fences off whoever had it before."""

    run: TrainingRun
    token: UUID


def standing_of(database: Database, model: str, *, first_read_at: float) -> Standing:
    """What has happened to a model's labels since its last run, or since the policy was first read.

    Raises:
        Unavailable: the database does not answer.
    """
    last = select(training_run.c.label_mark, training_run.c.began_at).where(training_run.c.model == model)
    words = select(func.count(), func.max(decision.c.at)).where(decision.c.model == model, is_word())
    with database.read() as connection:
        run = connection.execute(last.order_by(training_run.c.id.desc()).limit(1)).one_or_none()
        mark = 0 if run is None else run.label_mark
        count, at = connection.execute(words.where(decision.c.id > mark)).one()
        clock = connection.execute(select(now())).scalar_one()
    return Standing(
        new_labels=count,
        since_run_s=clock - (first_read_at if run is None else run.began_at),
        since_label_s=0.0 if at is None else clock - at,
    )


def _nothing(_connection: Connection) -> None:
    """Write nothing else."""


def add_run(
    database: Database, new: NewRun, *, run_id: UUID | None = None, told: Told = _nothing
) -> TrainingRun:
    """Store that a model is to be trained again.

    Raises:
        Conflict: it is being trained already (code `training_open`). Unavailable: the database does not answer.
    """
    run_id, model = run_id or uuid7(), new.policy.model
    mark = select(func.coalesce(func.max(decision.c.id), 0)).where(decision.c.model == model)
    values = {
        "id": run_id,
        "model": model,
        "client": new.client,
        "why": new.why,
        "actor": dict(new.actor),
        "policy": new.policy.model_dump(mode="json", exclude_unset=True),
        "state": "open",
        "step": "freeze",
        "label_mark": mark.scalar_subquery(),
        "began_at": now(),
    }
    try:
        with database.write() as connection:
            connection.execute(insert(training_run).values(values))
            told(connection)
    except IntegrityError as exc:
        raise Conflict(f"{model} is being trained already", code="training_open") from exc
    return get_run(database, run_id)


def claim_run(database: Database, *, lease_s: float) -> RunClaim | None:
    """Take the first run that nobody goes on with; None if there is none, or somebody has one.

    Raises:
        Unavailable: the database does not answer.
    """
    is_open = training_run.c.state == "open"
    anybody = select(training_run.c.id).where(is_open, training_run.c.lease_token.is_not(None))
    first = select(training_run.c.id).where(is_open, may_be_taken(training_run))
    first = first.order_by(training_run.c.id).limit(1)
    with database.read() as connection:
        if connection.execute(first).first() is None or connection.execute(anybody).first() is not None:
            return None
    token = uuid4()
    # One at a time: who looks at the same moment finds the other's token.
    chosen = first.where(~anybody.exists()).with_for_update(skip_locked=True).scalar_subquery()
    held = update(training_run).where(training_run.c.id == chosen)
    with database.write() as connection:
        row = connection.execute(held.values(taken(token, lease_s)).returning(training_run)).one_or_none()
    return None if row is None else RunClaim(TrainingRun.of(row), token)


def renew_run(database: Database, held: RunClaim, said: str, log: str, *, lease_s: float) -> bool:
    """Keep a run, and tell how far it is; False: it is cancelled, or somebody else's by now."""
    values = {"said": storable_reason(said), "log": storable_reason(log), **renewed(lease_s)}
    with database.write() as connection:
        return connection.execute(update(training_run).where(_is_mine(held)).values(values)).rowcount > 0


def note(database: Database, held: RunClaim, **values: Any) -> RunClaim | None:
    """Store what a step has come to, most often the next one; None: it is not this holder's any more."""
    changed = {"tries": 0, **values} if "step" in values else values
    with database.write() as connection:
        noted = update(training_run).where(_is_mine(held)).values(changed).returning(training_run)
        row = connection.execute(noted).one_or_none()
    return None if row is None else RunClaim(TrainingRun.of(row), held.token)


def put_run_back(database: Database, held: RunClaim, *, after_s: float = 0) -> None:
    """Let somebody go on, after so many seconds."""
    with database.write() as connection:
        free = free_after(after_s) if after_s else FREE
        connection.execute(update(training_run).where(_is_mine(held)).values(free))


def end_run(
    database: Database, held: RunClaim, state: RunState, *, error: CeleriacError | None = None, **values: Any
) -> bool:
    """Store how a run has ended; False: it was not this holder's any more."""
    told = {"state": state, "ended_at": now(), "said": "", **values, **FREE}
    if error is not None:
        told |= {"error_code": error.code, "error_message": storable_reason(str(error))}
    with database.write() as connection:
        return connection.execute(update(training_run).where(_is_mine(held)).values(told)).rowcount > 0


def cancel_run(database: Database, run_id: UUID, *, told: Told = _nothing) -> TrainingRun:
    """Have a run not go on; one that is over stays as it is, and so does what it has published.

    Raises:
        NotFound: there is no such run. Unavailable: the database does not answer.
    """
    is_open = (training_run.c.id == run_id) & (training_run.c.state == "open")
    with database.write() as connection:
        values = {"state": "cancelled", "ended_at": now(), "said": "", **FREE}
        if connection.execute(update(training_run).where(is_open).values(values)).rowcount:
            told(connection)
    return get_run(database, run_id)


def resume_run(database: Database, run_id: UUID, *, told: Told = _nothing) -> TrainingRun:
    """Have a run that failed, or was cancelled, go on at the step at which it was; an import is sent again.

    Raises:
        NotFound: there is no such run.
        Conflict: it has come to its end (code `training_over`), or the model is being trained (`training_open`).
        Unavailable: the database does not answer.
    """
    found = get_run(database, run_id)
    if found.state in ("succeeded", "refused"):
        raise Conflict(f"it is over: {found.state}", code="training_over")
    stopped = (training_run.c.id == run_id) & training_run.c.state.in_(("failed", "cancelled"))
    values: dict[str, Any] = {"state": "open", "ended_at": None, "error_code": None, "error_message": None}
    values |= {"tries": 0, "import_id": None if found.step == "import" else found.import_id}
    try:
        with database.write() as connection:
            if connection.execute(update(training_run).where(stopped).values(values | FREE)).rowcount:
                told(connection)
    except IntegrityError as exc:
        raise Conflict(f"{found.model} is being trained already", code="training_open") from exc
    return get_run(database, run_id)


def get_run(database: Database, run_id: UUID) -> TrainingRun:
    """One run as it stands.

    Raises:
        NotFound: there is no such run (code `training_not_found`). Unavailable: the database does not answer.
    """
    with database.read() as connection:
        row = connection.execute(select(training_run).where(training_run.c.id == run_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no training run {run_id}", code="training_not_found")
    return TrainingRun.of(row)


def list_runs(
    database: Database, *, model: str | None = None, after: UUID | None = None, limit: int
) -> list[TrainingRun]:
    """Runs, newest first; `after` is the last one of the page before.

    Raises:
        Unavailable: the database does not answer.
    """
    query = select(training_run).order_by(training_run.c.id.desc()).limit(limit)
    if model is not None:
        query = query.where(training_run.c.model == model)
    if after is not None:
        query = query.where(training_run.c.id < after)
    with database.read() as connection:
        return [TrainingRun.of(row) for row in connection.execute(query)]


def _is_mine(held: RunClaim) -> Any:
    is_it = (training_run.c.id == held.run.id) & (training_run.c.state == "open")
    return is_it & is_held(training_run, held.token)
