"""Messages of streams become items once: what was taken is a row, written in the transaction that stores the items."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError

from production_server.jobs.bulk import insert_many
from production_server.jobs.database import Database, now
from production_server.jobs.deliveries import note_refused
from production_server.jobs.growth import fill_with_objects
from production_server.jobs.job_row import insert_items, insert_job, job_values, uuid7
from production_server.jobs.read import get_job
from production_server.jobs.reasons import storable_reason
from production_server.jobs.records import Job, NewArrival, NewItem, NewJob, NewRefusal
from production_server.jobs.settle import done
from production_server.jobs.tables import arrival, job
from production_server.storage.objects import Reference

MOST_TRIES = 5
"""Whoever takes the same messages at once is one or two others: after a rebalance, say."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A message, and the items that it becomes: of inputs that it brings, or of objects that it names."""

    arrival: NewArrival
    items: Sequence[NewItem] | Sequence[Reference]


def take_messages(database: Database, new: NewJob, taken: Sequence[Taken], *, chunk_items: int) -> Job | None:
    """Store a job of what messages say, and that they were taken, in one transaction; None: all were taken before.

    `new` says what the job is like; its items are those of the messages that were not. All bring inputs, or all name
    objects, which wait to be fetched in chunks of at most `chunk_items`.

    Raises:
        Unavailable: the database does not answer; nothing was taken.
    """
    for _ in range(MOST_TRIES):
        try:
            return _take(database, new, taken, chunk_items)
        except IntegrityError:
            # Somebody else has taken some of them at this moment: they are known by now.
            continue
    return _take(database, new, taken, chunk_items)


def refuse_messages(database: Database, stream: str, refused: Sequence[NewRefusal], *, tell: bool) -> int:
    """Note messages that nothing can be made of, so that they do not come again; returns how many are new.

    `tell`: somebody is told of them.

    Raises:
        Unavailable: the database does not answer; nothing was noted.
    """
    new = 0
    for each in refused:
        # One by one: there are few, and one that is known keeps none of the others back.
        try:
            _refuse(database, stream, each, tell=tell)
        except IntegrityError:
            continue
        new += 1
    return new


def count_unfinished(database: Database, stream: str) -> int:
    """How many items of a stream have no result yet."""
    query = select(func.coalesce(func.sum(job.c.total - done), 0))
    is_open = (job.c.stream == stream) & job.c.finished_at.is_(None)
    with database.read() as connection:
        return int(connection.execute(query.where(is_open)).scalar_one())


def _take(database: Database, new: NewJob, taken: Sequence[Taken], chunk_items: int) -> Job | None:
    job_id = uuid7()
    with database.write() as connection:
        known = _known(connection, [each.arrival.digest for each in taken])
        fresh = list(
            {each.arrival.digest: each for each in taken if each.arrival.digest not in known}.values()
        )
        if not fresh:
            return None
        items = [item for each in fresh for item in each.items]
        objects = [item for item in items if isinstance(item, Reference)]
        filled = replace(new, items=[item for item in items if isinstance(item, NewItem)])
        values = {"total": len(items), "of_objects": bool(objects)}
        insert_job(connection, job_id, job_values(filled) | values)
        if objects:
            fill_with_objects(connection, job_id, objects, chunk_items=chunk_items)
        else:
            insert_items(connection, job_id, filled)
        _insert(connection, str(new.stream), job_id, fresh)
    return get_job(database, job_id, whose=None)


def _known(connection: Connection, digests: Collection[bytes]) -> set[bytes]:
    found = connection.execute(select(arrival.c.digest).where(arrival.c.digest.in_(digests)))
    return {bytes(digest) for digest in found.scalars()}


def _insert(connection: Connection, stream: str, job_id: UUID, fresh: Sequence[Taken]) -> None:
    at = connection.execute(select(now())).scalar_one()
    rows, first = [], 0
    for each in fresh:
        its = each.arrival
        rows.append((its.digest, its.place, its.key, its.request_id, its.sent_at, first, len(each.items)))
        first += len(each.items)
    insert_many(
        connection,
        arrival,
        {"stream": stream, "job_id": job_id, "taken_at": at},
        ("digest", "place", "key", "request_id", "sent_at", "first_idx", "item_count"),
        # In one order, whoever takes them: two who did it in different ones could wait for each other.
        sorted(rows),
    )


def _refuse(database: Database, stream: str, refused: NewRefusal, *, tell: bool) -> None:
    its = refused.arrival
    with database.write() as connection:
        connection.execute(
            insert(arrival).values(
                digest=its.digest,
                stream=stream,
                place=its.place,
                key=its.key,
                request_id=its.request_id,
                sent_at=its.sent_at,
                taken_at=now(),
                error_code=refused.error_code,
                error_message=storable_reason(refused.error_message),
            )
        )
        if tell:
            note_refused(connection, stream, refused)
