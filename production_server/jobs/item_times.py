"""How long items of a model's versions took of late, in jobs: some of the latest, so that asking stays quick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, select

from production_server.jobs.database import Database
from production_server.jobs.tables import item, job

RECENT_JOBS = 1000
"""Of the model: so far back is looked for those of a version."""
JOBS = 10
"""Of a version, of which items are read."""
ITEMS = 500
"""Of each of these jobs, the first."""


@dataclass(frozen=True, slots=True)
class ItemTimes:
    """Milliseconds that an item took: its share of its batch, decoding included; of so many items."""

    median_ms: float
    p99_ms: float
    items: int


def item_times(database: Database, model: str) -> dict[str, ItemTimes]:
    """The times of those versions that have had items of late, by their numbers.

    Raises:
        Unavailable: the database does not answer.
    """
    with database.read() as connection:
        measured = {
            version: _milliseconds(connection, jobs[:JOBS])
            for version, jobs in recent_jobs(connection, model).items()
        }
    return {version: _times(sorted(values)) for version, values in measured.items() if values}


def recent_jobs(connection: Connection, model: str) -> dict[str, list[UUID]]:
    """The latest jobs of a model that have answers, by version, the newest first."""
    recent = (
        select(job.c.id, job.c.version, job.c.succeeded)
        .where(job.c.model == model)
        .order_by(job.c.id.desc())
        .limit(RECENT_JOBS)
    )
    found: dict[str, list[UUID]] = {}
    for row in connection.execute(recent):
        if row.succeeded:
            found.setdefault(row.version, []).append(row.id)
    return found


def _milliseconds(connection: Connection, jobs: Sequence[UUID]) -> list[float]:
    values: list[float] = []
    for job_id in jobs:
        is_measured = (item.c.job_id == job_id) & (item.c.idx < ITEMS) & item.c.ms.is_not(None)
        values += connection.scalars(select(item.c.ms).where(is_measured, item.c.state == "succeeded"))
    return values


def _times(values: Sequence[float]) -> ItemTimes:
    count = len(values)
    return ItemTimes(values[count // 2], values[min(count - 1, count * 99 // 100)], count)
