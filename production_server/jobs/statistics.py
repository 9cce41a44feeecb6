"""How many jobs and items there are in which state."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from production_server.jobs.database import Database
from production_server.jobs.tables import job


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts over all jobs that are stored; `open` items are queued or in a worker's hands."""

    jobs: dict[str, int]
    items: dict[str, int]


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
    return Statistics(jobs, items)
