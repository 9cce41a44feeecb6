"""Which workers are alive: each writes a heartbeat, readers judge by its age."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from production_server.jobs.clock import is_older
from production_server.jobs.database import Database, now
from production_server.jobs.records import Importable, WorkerInfo
from production_server.jobs.tables import worker

ALIVE_S = 15
"""A worker whose last heartbeat is older than this does not count as alive."""
FORGET_AFTER_S = 3600
_NONE: Mapping[str, str] = MappingProxyType({})


def beat(
    database: Database,
    name: str,
    *,
    warm: Sequence[str],
    items_done: int,
    imports: Importable | None = None,
    failing: Mapping[str, str] = _NONE,
    calls: Mapping[str, Any] | None = None,
) -> None:
    """Write this worker's heartbeat; the first one enters it, and forgets workers that are long gone.

    `imports` is which files of models it reads; `failing` says of what it should have loaded and has not, by
    model/version, why; `calls` where it takes interactive calls.
    """
    with database.write() as connection:
        told = {
            "seen_at": now(),
            "warm": list(warm),
            "items_done": items_done,
            "imports": imports,
            "failing": dict(failing),
            "calls": calls,
        }
        if connection.execute(update(worker).where(worker.c.name == name).values(told)).rowcount == 0:
            connection.execute(delete(worker).where(worker.c.seen_at < now() - FORGET_AFTER_S))
            connection.execute(insert(worker).values(name=name, started_at=now(), **told))


def leave(database: Database, name: str) -> None:
    """Take a worker that stops off the list."""
    with database.write() as connection:
        connection.execute(delete(worker).where(worker.c.name == name))


def alive_workers(database: Database) -> list[WorkerInfo]:
    """The workers whose last heartbeat is recent, by name."""
    with database.read() as connection:
        return alive_among(connection)


def alive_among(connection: Connection) -> list[WorkerInfo]:
    """`alive_workers`, as a step of somebody's transaction."""
    query = select(worker).where(~is_older(worker.c.seen_at, ALIVE_S)).order_by(worker.c.name)
    return [
        WorkerInfo(
            name=row.name, started_at=row.started_at, seen_at=row.seen_at, warm=tuple(row.warm),
            items_done=row.items_done, imports=row.imports, failing=row.failing or {},
            calls=row.calls,
        )
        for row in connection.execute(query)
    ]  # fmt: skip
