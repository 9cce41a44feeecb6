"""Which items the broker may know nothing of: noted where they begin to wait, cleared when it has confirmed them.

A job's `unpublished_from` is the first index from which on a message may be missing, `unpublished_since` the time from
which on somebody has had the time to publish it. Both are null where nothing is missing. Whoever dies between storing
items and publishing them leaves them noted, and the reconciler finds them.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ColumnElement, Connection, case, func, or_, update

from production_server.jobs.database import Database, now
from production_server.jobs.records import Chunk, Job
from production_server.jobs.tables import job


def chunks_of(accepted: Job, chunk_items: int) -> list[Chunk]:
    """The messages that a new job travels in."""
    starts = range(0, accepted.total, chunk_items)
    return [
        Chunk(accepted.id, start, min(start + chunk_items, accepted.total), accepted.effective_priority)
        for start in starts
    ]


def note_unpublished(connection: Connection, job_id: UUID, start: int) -> None:
    """Note that items from this index on wait for somebody who publishes them; in the transaction that stores them."""
    connection.execute(
        update(job)
        .where(job.c.id == job_id)
        .values(
            unpublished_from=_lower_of(start),
            unpublished_since=func.coalesce(job.c.unpublished_since, now()),
        )
    )


def mark_published(database: Database, job_id: UUID, *, start: int = 0) -> None:
    """Note that the broker confirmed a job's chunks from this index on; what misses before it stays noted."""
    is_all = or_(job.c.unpublished_from.is_(None), job.c.unpublished_from >= start)
    with database.write() as connection:
        connection.execute(
            update(job)
            .where(job.c.id == job_id)
            .values(
                published_at=now(),
                unpublished_from=case((is_all, None), else_=job.c.unpublished_from),
                unpublished_since=case((is_all, None), else_=job.c.unpublished_since),
            )
        )


def mark_unpublished(database: Database, job_id: UUID, *, start: int = 0) -> None:
    """Note that a job's chunks from this index on did not reach the broker after all: they are due at once."""
    with database.write() as connection:
        connection.execute(
            update(job)
            .where(job.c.id == job_id)
            .values(unpublished_from=_lower_of(start), unpublished_since=0.0)
        )


def _lower_of(start: int) -> ColumnElement[int]:
    is_lower = job.c.unpublished_from <= start
    return case((is_lower, job.c.unpublished_from), else_=start)
