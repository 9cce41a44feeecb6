"""What all processes together have used of limits: rows by minute, which each adds to, and reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, select

from production_server.access.meters import MINUTE_S, MOST_MINUTES
from production_server.jobs.database import Database, dialect_of, now
from production_server.jobs.tables import rate_window

Counter = tuple[str, str]
"""A subject, and what of it is counted."""
Counts = Mapping[Counter, Mapping[int, int]]
"""How much was used, by minute."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What was stored when this process had added its own."""

    at: float
    """By the database's clock."""
    used: Counts


class RateWindows:
    """The rows. Safe to share between threads and processes."""

    def __init__(self, database: Database, *, clock: Callable[[], ColumnElement[float]] = now) -> None:
        """`clock` makes the expression that tells the time."""
        self._database = database
        self._clock = clock
        self._cleared_in = 0

    def settle(self, own: Counts) -> Settled:
        """Add what this process has counted, and read what all have, of the same subjects. Blocks.

        Raises:
            Unavailable: the database does not answer; nothing was added.
        """
        with self._database.write() as connection:
            at: float = connection.execute(select(self._clock())).scalar_one()
            minute = int(at // MINUTE_S)
            _add(connection, own)
            used = _read(connection, {subject for subject, _ in own}, since=minute - 1)
            if minute != self._cleared_in:
                _clear(connection, minute)
        self._cleared_in = minute
        return Settled(at, used)


def _add(connection: Connection, own: Counts) -> None:
    # In one order, whoever counts: two who did it in different ones could wait for each other.
    rows = sorted(
        (minute, subject, kind, used)
        for (subject, kind), minutes in own.items()
        for minute, used in minutes.items()
    )
    if not rows:
        return
    statement = dialect_of(connection).insert(rate_window)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(rate_window.primary_key.columns),
            set_={"used": rate_window.c.used + statement.excluded.used},
        ),
        [dict(zip(("minute", "subject", "kind", "used"), row, strict=True)) for row in rows],
    )


def _read(connection: Connection, subjects: Iterable[str], *, since: int) -> Counts:
    columns = rate_window.c
    asked = select(columns.subject, columns.kind, columns.minute, columns.used)
    rows: Iterable[Any] = connection.execute(
        asked.where(columns.minute >= since, columns.subject.in_(sorted(subjects)))
    )
    used: dict[Counter, dict[int, int]] = {}
    for subject, kind, minute, count in rows:
        used.setdefault((subject, kind), {})[minute] = count
    return used


def _clear(connection: Connection, minute: int) -> None:
    """Delete minutes that count no more, and those from before the clock was set back."""
    # One that is booked last may be told of by a server whose clock is ahead of this one's.
    last = minute + MOST_MINUTES + 1
    columns = rate_window.c
    connection.execute(delete(rate_window).where((columns.minute < minute - 1) | (columns.minute > last)))
