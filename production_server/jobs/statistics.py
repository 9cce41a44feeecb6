"""How many jobs and items there are in which state, and how many objects wait for which reason."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from production_server.jobs.database import Database
from production_server.jobs.tables import away_bucket, job, object_chunk


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts over all jobs that are stored; `open` items are queued or in a worker's hands."""

    jobs: dict[str, int]
    items: dict[str, int]
    object_chunks: int = 0
    """That wait to be fetched, or are."""
    away_buckets: int = 0
    """Which some of them wait for."""


def statistics(database: Database) -> Statistics:
    """Count what is stored; takes longer the more jobs there are.

    Raises:
        Unavailable: the database does not answer.
    """
    ended = (job.c.succeeded, job.c.failed, job.c.cancelled)
    query = select(job.c.state, func.count(), func.sum(job.c.total), *(func.sum(each) for each in ended))
    jobs: dict[str, int] = {}
    items = dict.fromkeys(("open", "succeeded", "failed", "cancelled"), 0)
    with database.read() as connection:
        for state, count, total, *counts in connection.execute(query.group_by(job.c.state)):
            jobs[state] = count
            for name, number in zip(("succeeded", "failed", "cancelled"), counts, strict=True):
                items[name] += number
            items["open"] += total - sum(counts)
        chunks = connection.execute(select(func.count()).select_from(object_chunk)).scalar_one()
        is_waited_for = away_bucket.c.bucket.in_(select(object_chunk.c.bucket))
        away = connection.execute(select(func.count()).where(is_waited_for)).scalar_one()
    return Statistics(jobs, items, chunks, away)
