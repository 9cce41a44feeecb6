"""Objects that wait to be fetched: chunks of one bucket, which workers take from the database by a lease.

No message speaks of them: a pause is a time in the row, and which bucket has waited long enough is a query. A row is
there as long as one of its items is not done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Connection, Select, case, delete, false, func, select, update

from production_server.jobs.bulk import insert_many
from production_server.jobs.clock import LONGEST_PAUSE_S, is_ahead
from production_server.jobs.database import Database, now
from production_server.jobs.leases import FREE, free_after, is_held, may_be_taken, renewed, taken
from production_server.jobs.reasons import storable_reason
from production_server.jobs.records import Priority
from production_server.jobs.tables import away_bucket, item, item_reference, job, object_chunk
from production_server.storage.objects import Reference

FIRST_PAUSE_S = 1.0
"""What does not come is asked for again after one second, then two, four, up to `LONGEST_PAUSE_S`."""
NOT_DONE_S = 10.0
"""So long nobody looks after what was dealt with and is not done: somebody else has it, or the model has failed."""
_ANY = select(object_chunk.c.start).limit(1)
IS_PAUSED = is_ahead(away_bucket.c.next_try_at)
"""Whether a bucket is not asked now."""
_MAY_PROBE = ~IS_PAUSED & away_bucket.c.lease_token.is_(None)
_WAITS_SINCE = case(
    (away_bucket.c.since > object_chunk.c.created_at, away_bucket.c.since), else_=object_chunk.c.created_at
)
_IS_OPEN = (
    select(item.c.idx)
    .where(
        item.c.job_id == object_chunk.c.job_id,
        item.c.idx >= object_chunk.c.start,
        item.c.idx < object_chunk.c.stop,
        item.c.state.in_(("queued", "running")),
    )
    .exists()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectChunk:
    """The right to fetch items `start` to `stop - 1` of a job; `token` fences off whoever had it before."""

    job_id: UUID
    start: int
    stop: int
    bucket: str
    token: UUID
    tries: int
    """How often something of it was missing."""
    is_probe: bool
    """Its bucket does not answer: it asks whether that is over, and nobody else does meanwhile."""
    is_last: bool
    """It has waited for as long as may be: what does not come now fails."""
    is_hopeless: bool
    """… and its bucket was asked in vain just now: it need not be asked."""
    message: str
    """What was said of the last try."""


def enter(
    connection: Connection,
    job_id: UUID,
    start: int,
    references: Sequence[Reference],
    *,
    priority: Priority,
    chunk_items: int,
) -> None:
    """Let items wait that refer to those objects, from index `start` on; in the transaction that stores them."""
    places = [(start + place, each.bucket_url) for place, each in enumerate(references)]
    _insert(connection, job_id, _runs(places, chunk_items), priority=priority)


def adopt(database: Database, job_id: UUID, *, chunk_items: int) -> None:
    """Let all items of a job wait that refer to objects, are not done, and do not wait yet.

    A release that knew no such chunks has sent messages of them, or this one has lost sight of them.
    """
    is_covered = (
        select(object_chunk.c.start)
        .where(
            object_chunk.c.job_id == item.c.job_id,
            object_chunk.c.start <= item.c.idx,
            object_chunk.c.stop > item.c.idx,
        )
        .exists()
    )
    is_same = (item_reference.c.job_id == item.c.job_id) & (item_reference.c.idx == item.c.idx)
    query = (
        select(item.c.idx, item_reference.c.url)
        .join(item_reference, is_same)
        .where(item.c.job_id == job_id, item.c.state.in_(("queued", "running")), ~is_covered)
        .order_by(item.c.idx)
    )
    with database.write(may_take_long=True) as connection:
        # The job first: two who adopt the same wait for each other.
        marked = update(job).where(job.c.id == job_id).values(of_objects=True)
        row = connection.execute(marked.returning(job.c.effective_priority, job.c.priority)).one()
        places = [(row.idx, Reference(row.url).bucket_url) for row in connection.execute(query)]
        priority = row.effective_priority or row.priority
        _insert(connection, job_id, _runs(places, chunk_items), priority=priority)


def take(
    database: Database,
    *,
    lease_s: float,
    patience_s: float,
    without: Collection[str] = (),
    only: Collection[str] | None = None,
) -> ObjectChunk | None:
    """Take the next chunk that may be worked on, of any bucket but those `without`; None if there is none.

    `only`: of those buckets; None: of any.
    High ones come first, then those that were missed least often, then those of the oldest jobs.

    Raises:
        Unavailable: the database does not answer.
    """
    # Each worker looks several times a second: nearly always there is nothing, which one short statement tells.
    with database.read() as connection:
        if connection.execute(_ANY).first() is None:
            return None
        query = _next(patience_s, without, only)
        # Writing at once would take longer, and SQLite's one lock.
        if connection.execute(query).first() is None:
            return None
    with database.write() as connection:
        row = connection.execute(query.with_for_update(of=object_chunk, skip_locked=True)).first()
        if row is None:
            return None
        held = _to_chunk(row, uuid4(), patience_s)
        if held.is_probe and not _take_probe(connection, held, lease_s):
            return None
        is_one = (object_chunk.c.job_id == held.job_id) & (object_chunk.c.start == held.start)
        connection.execute(update(object_chunk).where(is_one).values(taken(held.token, lease_s)))
    return held


def renew(database: Database, chunks: Iterable[ObjectChunk], *, lease_s: float) -> None:
    """Hold chunks for `lease_s` seconds from now; those that somebody else has taken are not taken back.

    Raises:
        Unavailable: the database does not answer.
    """
    tokens = [chunk.token for chunk in chunks]
    if not tokens:
        return
    with database.write() as connection:
        for table in (object_chunk, away_bucket):
            connection.execute(update(table).where(table.c.lease_token.in_(tokens)).values(renewed(lease_s)))


def end(database: Database, held: ObjectChunk) -> None:
    """All of a chunk was dealt with; what somebody else has in hand of it is looked after again later."""
    with database.write() as connection:
        connection.execute(delete(object_chunk).where(is_mine(held) & ~_IS_OPEN))
        connection.execute(update(object_chunk).where(is_mine(held)).values(free_after(NOT_DONE_S)))
        _let_others_ask(connection, held)


def put_back(database: Database, held: ObjectChunk) -> None:
    """Let somebody else go on at once: who has the chunk stops."""
    with database.write() as connection:
        connection.execute(update(object_chunk).where(is_mine(held)).values(FREE))
        _let_others_ask(connection, held)


def miss(database: Database, held: ObjectChunk, message: str) -> None:
    """Some of a chunk has not come, though its bucket answers: that is tried again later and later."""
    values = {
        "tries": object_chunk.c.tries + 1,
        "missing_since": func.coalesce(object_chunk.c.missing_since, now()),
        "message": storable_reason(message),
    }
    with database.write() as connection:
        pause = free_after(pause_after(held.tries + 1))
        connection.execute(update(object_chunk).where(is_mine(held)).values(values | pause))


def pause_after(tries: int) -> float:
    """So many seconds after so many tries in vain it is tried again."""
    return min(FIRST_PAUSE_S * 2.0 ** min(tries - 1, 10), LONGEST_PAUSE_S)


def _next(patience_s: float, without: Collection[str], only: Collection[str] | None) -> Select[Any]:
    is_late = now() - patience_s > _WAITS_SINCE
    may_be_asked = away_bucket.c.bucket.is_(None) | _MAY_PROBE
    query = (
        select(
            *(object_chunk.c[name] for name in ("job_id", "start", "stop", "bucket", "tries", "message")),
            object_chunk.c.created_at,
            object_chunk.c.missing_since,
            away_bucket.c.since.label("away_since"),
            away_bucket.c.message.label("away_message"),
            func.coalesce(IS_PAUSED, false()).label("is_paused"),
            now().label("at"),
        )
        .outerjoin(away_bucket, away_bucket.c.bucket == object_chunk.c.bucket)
        .where(
            may_be_taken(object_chunk),
            may_be_asked | (IS_PAUSED & is_late),
            object_chunk.c.bucket.not_in(without),
        )
        .order_by(
            object_chunk.c.is_high.desc(), object_chunk.c.tries, object_chunk.c.job_id, object_chunk.c.start
        )
        .limit(1)
    )
    return query if only is None else query.where(object_chunk.c.bucket.in_(only))


def _to_chunk(row: Any, token: UUID, patience_s: float) -> ObjectChunk:
    waits_since = [row.missing_since] if row.missing_since is not None else []
    if row.away_since is not None:
        waits_since.append(max(row.away_since, row.created_at))
    is_last = bool(waits_since) and min(waits_since) < row.at - patience_s
    return ObjectChunk(
        job_id=row.job_id,
        start=row.start,
        stop=row.stop,
        bucket=row.bucket,
        token=token,
        tries=row.tries,
        is_probe=row.away_since is not None and not row.is_paused,
        is_last=is_last or row.is_paused,
        is_hopeless=row.is_paused,
        message=row.away_message or row.message or "",
    )


def _take_probe(connection: Connection, held: ObjectChunk, lease_s: float) -> bool:
    """Whether this chunk is the one that asks; else another one began to meanwhile."""
    asks = update(away_bucket).where(away_bucket.c.bucket == held.bucket, _MAY_PROBE)
    return connection.execute(asks.values(taken(held.token, lease_s))).rowcount > 0


def _let_others_ask(connection: Connection, held: ObjectChunk) -> None:
    connection.execute(update(away_bucket).where(is_held(away_bucket, held.token)).values(FREE))


def is_mine(held: ObjectChunk) -> ColumnElement[bool]:
    """Whether a row is that chunk, and still in the hands of who took it."""
    is_one = (object_chunk.c.job_id == held.job_id) & (object_chunk.c.start == held.start)
    return is_one & is_held(object_chunk, held.token)


def _runs(places: Iterable[tuple[int, str]], chunk_items: int) -> Iterator[tuple[int, int, str]]:
    """Indexes that follow each other in one bucket, by at most so many: first, end, bucket."""
    start = stop = -1
    bucket = ""
    for index, its_bucket in places:
        if index == stop and its_bucket == bucket and index - start < chunk_items:
            stop += 1
            continue
        if stop > start:
            yield start, stop, bucket
        start, stop, bucket = index, index + 1, its_bucket
    if stop > start:
        yield start, stop, bucket


def _insert(
    connection: Connection, job_id: UUID, runs: Iterable[tuple[int, int, str]], *, priority: Priority
) -> None:
    rows = list(runs)
    if not rows:
        return
    at = connection.execute(select(now())).scalar_one()
    same = {"job_id": job_id, "is_high": priority == "high", "created_at": at}
    insert_many(connection, object_chunk, same, ("start", "stop", "bucket"), rows)
