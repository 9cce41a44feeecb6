"""What versions answered while a canary was tried: each process that counts has a row for each kind of work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select, update

from production_server.jobs.clock import is_older
from production_server.jobs.database import now
from production_server.jobs.tables import observation

KEPT_S = 30 * 86_400.0
"""What was counted of a canary is cleared away so long after the last answer."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What is counted of one version, of one kind of work, while one canary is tried."""

    model: str
    since: float
    """When that canary got its share: seconds since the Unix epoch, UTC."""
    version: str
    work: str
    """What was answered: `calls` or `items`."""


def store_observation(
    connection: Connection, process: UUID, about: Observed, counts: Mapping[str, Any]
) -> None:
    """Store what a process has counted so far; `counts` is JSON, and comes back as it is."""
    key = {
        "process": process,
        "model": about.model,
        "since": about.since,
        "version": about.version,
        "work": about.work,
    }
    told = {"counts": dict(counts), "at": now()}
    is_it = [observation.c[name] == value for name, value in key.items()]
    if not connection.execute(update(observation).where(*is_it).values(told)).rowcount:
        connection.execute(delete(observation).where(is_older(observation.c.at, KEPT_S)))
        connection.execute(insert(observation).values(**key, **told))


def observations_of(
    connection: Connection, model: str, since: float
) -> list[tuple[Observed, Mapping[str, Any]]]:
    """What all processes have counted while the canary was tried that got its share then."""
    query = select(observation).where(observation.c.model == model, observation.c.since == since)
    return [
        (Observed(row.model, row.since, row.version, row.work), row.counts)
        for row in connection.execute(query)
    ]
