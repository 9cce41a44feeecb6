"""Finding work that was lost: what lost workers had in hand, and queued items that no message speaks of.

Any number of workers may reconcile at once: each row is handed to one of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from uuid import UUID

from sqlalchemy import case, select, update

from production_server.jobs.clock import is_older
from production_server.jobs.database import Database, now
from production_server.jobs.leases import BESIDE_ITEMS, FREE
from production_server.jobs.priority import stored_priority
from production_server.jobs.publication import mark_published, note_unpublished
from production_server.jobs.records import Chunk, Priority
from production_server.jobs.settle import done
from production_server.jobs.tables import item, job, object_chunk

FORGOTTEN_AFTER_S = 900
"""A job whose items still wait this long after they were published is published again even while the queue is busy."""


def freed_chunks(database: Database, lost: Collection[UUID] | None, *, chunk_items: int) -> list[Chunk]:
    """Take back what holders of those tokens had: items are queued again. Returns the chunks to publish, job by job.

    They are noted as unpublished until somebody calls `mark_published`. Objects have no messages: who fetches them
    finds them again.
    `lost`: None says all holders. Only for a process that knows to be alone (embedded, at its start).
    """
    is_lost = item.c.state == "running"
    if lost is not None:
        is_lost &= item.c.lease_token.in_(lost)
    freed = update(item).where(is_lost).values(state="queued", **FREE)
    with database.write() as connection:
        for table in BESIDE_ITEMS:
            token = table.c.lease_token
            is_held_by_them = token.is_not(None) if lost is None else token.in_(lost)
            connection.execute(update(table).where(is_held_by_them).values(FREE))
        rows = connection.execute(freed.returning(item.c.job_id, item.c.idx)).all()
        found = {job_id: sorted(row.idx for row in group) for job_id, group in groupby(
            sorted(rows, key=lambda row: (row.job_id, row.idx)), key=lambda row: row.job_id)}  # fmt: skip
        query = select(job.c.id, stored_priority).where(job.c.id.in_(found), ~job.c.of_objects)
        priorities = {row.id: row.effective_priority for row in connection.execute(query)}
        found = {job_id: indexes for job_id, indexes in found.items() if job_id in priorities}
        for job_id, indexes in found.items():
            note_unpublished(connection, job_id, indexes[0])
    return [chunk for job_id, indexes in found.items()
            for chunk in _to_chunks(job_id, priorities[job_id], indexes, chunk_items)]  # fmt: skip


def unpublished_chunks(
    database: Database, *, chunk_items: int, grace_s: float, is_queue_empty: bool
) -> Iterator[tuple[UUID, list[Chunk]]]:
    """For each job with queued items that no message seems to speak of: its id and the chunks to publish.

    Such are items that were stored and not published (the broker was down, or whoever stored them has died) and, when
    the queue is empty, all of jobs published more than `grace_s` seconds ago (the broker was wiped). A cancelled job is
    one of them while items that its workers put back are to be cancelled by a claim. Whoever asks for the next job has
    published this one; who could not calls `mark_unpublished`, who dies leaves it due again after `grace_s` seconds.

    Objects that wait to be fetched have no messages: a job of them is found where none waits and some are not done.
    """
    for job_id, priority, start in _take_jobs(
        database, grace_s if is_queue_empty else FORGOTTEN_AFTER_S, grace_s
    ):
        is_waiting = (item.c.job_id == job_id) & (item.c.idx >= start) & (item.c.state == "queued")
        with database.read() as connection:
            query = select(item.c.idx).where(is_waiting).order_by(item.c.idx)
            indexes = list(connection.execute(query).scalars())
        if indexes:
            yield job_id, list(_to_chunks(job_id, priority, indexes, chunk_items))
        mark_published(database, job_id, start=start)


def _take_jobs(database: Database, age_s: float, grace_s: float) -> list[tuple[UUID, Priority, int]]:
    """Jobs whose publication is due, and from which item on; noted as in hand, so that no other reconciler takes them.

    What was stored just now is left alone for `grace_s` seconds: whoever stored it is about to publish it.
    """
    is_noted = job.c.unpublished_since.is_not(None)
    never = job.c.published_at.is_(None) & ~is_noted & is_older(job.c.created_at, grace_s)
    is_whole = never | is_older(job.c.published_at, age_s)
    is_due = is_whole | is_older(job.c.unpublished_since, grace_s)
    is_open = done < job.c.total
    waits = select(object_chunk.c.start).where(object_chunk.c.job_id == job.c.id).exists()
    is_lost = ~job.c.of_objects | (~job.c.is_growing & ~waits)
    is_waiting = job.c.state.in_(("queued", "running")) | ((job.c.state == "cancelled") & is_open)
    query = (
        update(job)
        .where(is_waiting & is_due & is_lost)
        .values(
            published_at=now(),
            unpublished_from=case((is_whole, 0), else_=job.c.unpublished_from),
            unpublished_since=now(),
        )
    )
    with database.write() as connection:
        rows = connection.execute(query.returning(job.c.id, stored_priority, job.c.unpublished_from)).all()
    return sorted((row.id, row.effective_priority, row.unpublished_from) for row in rows)


def _to_chunks(job_id: UUID, priority: Priority, indexes: Iterable[int], chunk_items: int) -> Iterator[Chunk]:
    """Sorted indexes as ranges of at most `chunk_items`; a range may span items that are done (a claim skips them)."""
    start = stop = None
    for index in indexes:
        if start is None or index >= start + chunk_items:
            if start is not None and stop is not None:
                yield Chunk(job_id, start, stop, priority)
            start = index
        stop = index + 1
    if start is not None and stop is not None:
        yield Chunk(job_id, start, stop, priority)
