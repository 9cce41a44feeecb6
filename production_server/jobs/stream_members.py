"""Processes that read streams, as they tell of themselves every few seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from sqlalchemy import delete, select

from production_server.jobs.database import Database, dialect_of, now
from production_server.jobs.tables import stream_member

ALIVE_S = 15.0
"""Who has told nothing for so long is gone."""
ANSWERED_WITHIN_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Bounds by which it is counted how long results take, from their messages on."""


@dataclass(frozen=True, slots=True)
class Member:
    """A process that reads a stream: what it has told last."""

    stream: str
    process: str
    told: Mapping[str, Any]

    def answered_within(self) -> list[tuple[float, int]]:
        """How many results it has told within each of `ANSWERED_WITHIN_S`, and last how many at all."""
        bounds = (*ANSWERED_WITHIN_S, float("inf"))
        return list(zip(bounds, accumulate(self.told["answered"]), strict=True))


def tell(database: Database, stream: str, process: str, told: Mapping[str, Any]) -> None:
    """Tell how a process stands with a stream; forgets those that told nothing for a day.

    Raises:
        Unavailable: the database does not answer.
    """
    with database.write() as connection:
        entered = dialect_of(connection).insert(stream_member)
        values = {"seen_at": now(), "told": dict(told)}
        entered = entered.values(stream=stream, process=process, **values).on_conflict_do_update(
            index_elements=["stream", "process"], set_=values
        )
        connection.execute(entered)
        connection.execute(delete(stream_member).where(stream_member.c.seen_at < now() - 86_400))


def leave(database: Database, stream: str, process: str) -> None:
    """Take a process off the list."""
    is_it = (stream_member.c.stream == stream) & (stream_member.c.process == process)
    with database.write() as connection:
        connection.execute(delete(stream_member).where(is_it))


def members(database: Database) -> list[Member]:
    """Who reads which stream now, by name.

    Raises:
        Unavailable: the database does not answer.
    """
    query = select(stream_member).where(stream_member.c.seen_at > now() - ALIVE_S)
    with database.read() as connection:
        rows = connection.execute(query.order_by(stream_member.c.stream, stream_member.c.process))
        return [Member(row.stream, row.process, row.told) for row in rows]
