"""Working on items: claims with leases, results that count only while the lease's token holds.

The state of an item moves queued -> running -> succeeded | failed; a release moves it back to queued, and so does the
reconciler when its holder was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Connection, Update, bindparam, case, select, update

from production_server.errors import WorkerLost
from production_server.jobs.bulk import update_items
from production_server.jobs.cancel import cancel_waiting
from production_server.jobs.database import Database, now
from production_server.jobs.leases import FREE, is_held, renewed, taken
from production_server.jobs.read import read_inputs
from production_server.jobs.reasons import storable_reason
from production_server.jobs.records import Claim, Failure, Success
from production_server.jobs.series import enter_series, is_series_of
from production_server.jobs.settle import settle
from production_server.jobs.tables import item, job, series
from production_server.jobs.tally import count_results

_JOB_OF_CLAIM = (
    select(
        job.c.model,
        job.c.version,
        job.c.source,
        job.c.client,
        job.c.state,
        job.c.priority,
        series.c.id.label("series_id"),
    )
    .outerjoin(series, is_series_of(job))
    .where(job.c.id == bindparam("job_id"))
)


def claim(
    database: Database, job_id: UUID, start: int, stop: int, *, lease_s: float, max_attempts: int
) -> Claim | None:
    """Take items `start` to `stop - 1` that nobody holds; None when there is nothing (more) to take.

    Items are taken all together, but for those whose last worker was lost: each of them is taken alone, so that one
    that kills its worker does not take its neighbours along. When an item's attempts run out it becomes `failed`.
    Of a cancelled job nothing is taken: what its workers put back is cancelled too.

    Raises:
        Unavailable: the database does not answer.
    """
    in_range = (item.c.job_id == job_id) & (item.c.idx >= start) & (item.c.idx < stop)
    with database.write() as connection:
        asked = connection.execute(_JOB_OF_CLAIM, {"job_id": job_id}).one_or_none()
        if asked is None:
            return None
        if asked.state == "cancelled":
            cancel_waiting(connection, job_id)
            return None
        token = uuid4()
        series_id = asked.series_id or enter_series(connection, asked)
        _fail_hopeless(connection, job_id, series_id, in_range, max_attempts)
        indexes = _take_next(connection, job_id, in_range, token, lease_s)
        if not indexes:
            return None
        _note_start(connection, job_id)
        inputs = read_inputs(connection, job_id, indexes)
    return Claim(
        job_id=job_id,
        model=asked.model,
        version=asked.version,
        token=token,
        indexes=tuple(indexes),
        inputs=inputs,
        series_id=series_id,
        priority=asked.priority,
    )


def finish(
    database: Database, held: Claim, results: Sequence[Success | Failure], *, renew_s: float | None = None
) -> int:
    """Store results in one transaction; returns how many took effect.

    A result whose item is no longer held by this claim's token is dropped: somebody else has it. With `renew_s`, the
    rest of the claim is held for that many seconds from now; items whose lease was lost are not taken back.
    """
    with database.write() as connection:
        held_now, finished_at = _look(connection, held)
        stored = [result for result in results if result.index in held_now]
        _store_successes(
            connection, held, finished_at, [each for each in stored if isinstance(each, Success)]
        )
        _store_failures(connection, held, finished_at, [each for each in stored if isinstance(each, Failure)])
        if renew_s is not None:
            _renew(connection, held, renew_s)
        failed = sum(isinstance(result, Failure) for result in stored)
        indexes = [result.index for result in stored]
        settle(connection, held.job_id, succeeded=len(stored) - failed, failed=failed, indexes=indexes)
        count_results(connection, held.series_id, finished_at, stored)
    return len(stored)


def renew(database: Database, held: Claim, *, lease_s: float) -> None:
    """Hold what is left of a claim for `lease_s` seconds from now; items whose lease was lost are not taken back.

    Raises:
        Unavailable: the database does not answer.
    """
    with database.write() as connection:
        _renew(connection, held, lease_s)


def give_back(database: Database, held: Claim) -> None:
    """Put what is still held back to queued, as if it had not been taken: a worker that stops has not failed."""
    with database.write() as connection:
        connection.execute(
            update(item).where(_is_held(held)).values(state="queued", attempts=item.c.attempts - 1, **FREE)
        )


def give_up(
    database: Database, held: Claim, *, max_attempts: int, error_code: str, error_message: str
) -> None:
    """Put what is still held back to queued with the reason; an item that has no attempt left fails with it."""
    with database.write() as connection:
        is_last = _is_held(held) & (item.c.attempts >= max_attempts)
        _fail(connection, held.job_id, held.series_id, is_last, error_code, error_message)
        connection.execute(
            update(item)
            .where(_is_held(held))
            .values(
                state="queued", error_code=error_code, error_message=storable_reason(error_message), **FREE
            )
        )


def _renew(connection: Connection, held: Claim, lease_s: float) -> None:
    connection.execute(update(item).where(_is_held(held)).values(renewed(lease_s)))


def _is_held(held: Claim) -> ColumnElement[bool]:
    is_between = item.c.idx.between(min(held.indexes), max(held.indexes))
    return (item.c.job_id == held.job_id) & is_between & is_held(item, held.token)


def _fail_hopeless(
    connection: Connection, job_id: UUID, series_id: int, in_range: ColumnElement[bool], max_attempts: int
) -> None:
    """Fail the items whose workers were lost too often."""
    lost = WorkerLost(f"{max_attempts} workers in a row were lost while they had this item")
    is_hopeless = in_range & (item.c.state == "queued") & (item.c.attempts >= max_attempts)
    _fail(connection, job_id, series_id, is_hopeless, lost.code, str(lost))


def _take_next(
    connection: Connection, job_id: UUID, in_range: ColumnElement[bool], token: UUID, lease_s: float
) -> list[int]:
    """Take all waiting items whose worker was never lost; if there are none, one of the others."""
    was_never_lost = (item.c.attempts == 0) | item.c.error_code.is_not(None)
    is_waiting = item.c.state == "queued"
    together = _take(connection, in_range & is_waiting & was_never_lost, token, lease_s)
    if together:
        return together
    # Two who look at once find different items. (SQLite knows no row locks, and has one writer at a time.)
    free = select(item.c.idx).where(in_range & is_waiting).order_by(item.c.idx).limit(1)
    first = free.with_for_update(skip_locked=True).scalar_subquery()
    return _take(connection, (item.c.job_id == job_id) & (item.c.idx == first) & is_waiting, token, lease_s)


def _take(connection: Connection, where: ColumnElement[bool], token: UUID, lease_s: float) -> list[int]:
    held = update(item).where(where).values(
        state="running", attempts=item.c.attempts + 1, error_code=None, error_message=None, **taken(token, lease_s)
    )  # fmt: skip
    return sorted(connection.execute(held.returning(item.c.idx)).scalars())


def _note_start(connection: Connection, job_id: UUID) -> None:
    """Note when a job's first item was taken."""
    is_running = case((job.c.state == "queued", "running"), else_=job.c.state)
    started = update(job).where(job.c.id == job_id, job.c.started_at.is_(None))
    connection.execute(started.values(started_at=now(), state=is_running))


def _look(connection: Connection, held: Claim) -> tuple[set[int], float]:
    """Which items a claim still holds, locked until the transaction ends, and what time the database has then."""
    # In the order in which they are claimed: two who locked them in different ones could wait for each other.
    still = select(item.c.idx, now().label("at")).where(_is_held(held)).order_by(item.c.idx)
    rows = connection.execute(still.with_for_update()).all()
    return {row.idx for row in rows}, rows[-1].at if rows else 0.0


def _fail(
    connection: Connection,
    job_id: UUID,
    series_id: int,
    where: ColumnElement[bool],
    code: str,
    message: str,
) -> None:
    failed = (
        update(item)
        .where(where)
        .values(
            state="failed",
            error_code=code,
            error_message=storable_reason(message),
            finished_at=now(),
            series_id=series_id,
            **FREE,
        )
    )
    rows = connection.execute(failed.returning(item.c.idx, item.c.finished_at)).all()
    failures = [Failure(index=row.idx, error_code=code, error_message=message) for row in rows]
    settle(connection, job_id, failed=len(failures), indexes=[row.idx for row in rows])
    count_results(connection, series_id, rows[-1].finished_at if rows else 0.0, failures)


def _store_successes(
    connection: Connection, held: Claim, finished_at: float, successes: Sequence[Success]
) -> None:
    if not successes:
        return
    ordered = sorted(successes, key=lambda each: each.index)
    update_items(
        connection,
        held.job_id,
        {
            "state": "succeeded",
            "error_code": None,
            "error_message": None,
            "finished_at": finished_at,
            "series_id": held.series_id,
            **FREE,
        },
        ("label", "score", "output", "ms"),
        [(each.index, each.label, each.score, each.output, each.ms) for each in ordered],
    )


def _store_failures(
    connection: Connection, held: Claim, finished_at: float, failures: Sequence[Failure]
) -> None:
    if not failures:
        return
    statement = _update_held(held, finished_at).values(
        state="failed", error_code=bindparam("new_code"), error_message=bindparam("new_message")
    )
    rows = [
        {"key": r.index, "new_code": r.error_code, "new_message": storable_reason(r.error_message)}
        for r in failures
    ]
    connection.execute(statement, rows)


def _update_held(held: Claim, finished_at: float) -> Update:
    """An update of one item after the other that ends what a claim holds."""
    is_one = (item.c.job_id == held.job_id) & (item.c.idx == bindparam("key"))
    return update(item).where(is_one).values(finished_at=finished_at, series_id=held.series_id, **FREE)
