"""Training runs that people begin, cancel and have go on; each leaves a line in the audit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import Connection

from production_server.access.audit import Act, noting
from production_server.access.records import Actor
from production_server.errors import InvalidInput
from production_server.jobs.database import Database
from production_server.jobs.job_row import uuid7
from production_server.retraining.policies import Policy
from production_server.retraining.runs import NewRun, TrainingRun, add_run, cancel_run, resume_run
from production_server.shown import describe


def begin(database: Database, policies: Mapping[str, Policy], model: str, *, by: Actor) -> TrainingRun:
    """Have a model be trained again, by its policy as it is now.

    Raises:
        InvalidInput: it has no policy. Conflict: it is being trained (code `training_open`).
        Unavailable: the database does not answer.
    """
    policy = policies.get(model)
    if policy is None:
        expected = ", ".join(sorted(policies)) or "no model: LEARNING_FILE is not set"
        raise InvalidInput.at("model", f"a model with a policy ({expected})", describe(model))
    run_id = uuid7()
    new = NewRun(policy=policy, client=policy.client, why="hand", actor=by.to_json())
    with _telling(by, Act.TRAINING_BEGUN, run_id, after={"model": model}) as told:
        return add_run(database, new, run_id=run_id, told=told)


def cancel(database: Database, run_id: UUID, *, by: Actor) -> TrainingRun:
    """Have a run not go on; what it has published stays.

    Raises:
        NotFound: there is no such run. Unavailable: the database does not answer.
    """
    with _telling(by, Act.TRAINING_CANCELLED, run_id) as told:
        return cancel_run(database, run_id, told=told)


def resume(database: Database, run_id: UUID, *, by: Actor) -> TrainingRun:
    """Have a run that failed, or was cancelled, go on at its step.

    Raises:
        NotFound: there is no such run. Conflict: it is over, or the model is being trained.
        Unavailable: the database does not answer.
    """
    with _telling(by, Act.TRAINING_RESUMED, run_id) as told:
        return resume_run(database, run_id, told=told)


@contextmanager
def _telling(
    by: Actor, act: Act, run_id: UUID, *, after: Mapping[str, str] | None = None
) -> Iterator[Callable[[Connection], None]]:
    with noting(by) as notes:
        yield lambda connection: notes.write(connection, act, str(run_id), after=after)
