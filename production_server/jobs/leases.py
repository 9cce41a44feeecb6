"""Leases: the right of one holder to work on a row as long as he renews it.

Items, chunks, buckets, scans and imports have them. The token fences off whoever held the row before. No clock of the
database says that a holder was lost: others watch whether he renews (ADR 28). All leases have the same two columns;
without a token the second one says until when nobody may take the row.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Table, case, func, literal, select, union_all

from production_server.jobs.clock import is_ahead
from production_server.jobs.database import Database, now
from production_server.jobs.tables import away_bucket, item, model_import, object_chunk, scan, training_run

FREE: dict[str, Any] = {"lease_token": None, "lease_until": None}
"""What a row has that nobody holds."""
BESIDE_ITEMS = (object_chunk, away_bucket, scan, model_import, training_run)
"""The other tables whose rows are held."""


def taken(token: UUID, lease_s: float) -> dict[str, Any]:
    """What a row has that is held by that token's owner."""
    return {"lease_token": token, "lease_until": now() + lease_s}


def renewed(lease_s: float) -> dict[str, Any]:
    """What changes in a row that is held on; only where `is_held` by who asks."""
    return {"lease_until": now() + lease_s}


def free_after(pause_s: float) -> dict[str, Any]:
    """What a row has that nobody holds, and nobody may take for so many seconds, up to `LONGEST_PAUSE_S`."""
    return {"lease_token": None, "lease_until": now() + pause_s}


def is_held(table: Table, token: UUID) -> ColumnElement[bool]:
    """Whether that token's owner still has a row."""
    return table.c.lease_token == token


def may_be_taken(table: Table) -> ColumnElement[bool]:
    """Whether nobody has a row, and its pause is over."""
    return table.c.lease_token.is_(None) & (table.c.lease_until.is_(None) | ~is_ahead(table.c.lease_until))


def next_try_of(table: Table) -> ColumnElement[float | None]:
    """When a row that waits is tried again; null: somebody tries now, or may at once."""
    return case((table.c.lease_token.is_(None) & is_ahead(table.c.lease_until), table.c.lease_until))


# As a literal: that the index on running items will do must be plain before the statement has its parameters.
_IS_RUNNING = item.c.state == literal("running", literal_execute=True)
_HELD = union_all(
    select(item.c.lease_token, item.c.lease_until).where(_IS_RUNNING),
    *(
        select(each.c.lease_token, each.c.lease_until).where(each.c.lease_token.is_not(None))
        for each in BESIDE_ITEMS
    ),
).subquery()
_LATEST = select(_HELD.c.lease_token, func.max(_HELD.c.lease_until).label("until")).group_by(
    _HELD.c.lease_token
)


class Watch:
    """Finds out whose leases nobody renews any more, by this process's own clock, which is never set."""

    def __init__(self, lease_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`lease_s`: who renews nothing for so long is lost; holders renew three times as often."""
        self._lease_s = lease_s
        self._clock = clock
        self._looked_at = clock()
        self._seen: dict[UUID, tuple[float, float]] = {}
        """By token: what the lease said, and for how many seconds it has said so."""

    def lost(self, database: Database) -> frozenset[UUID]:
        """The tokens of holders that were lost; looks once, and is to be called as often as leases are renewed.

        Raises:
            Unavailable: the database does not answer.
        """
        with database.read() as connection:
            found = {row.lease_token: row.until for row in connection.execute(_LATEST)}
        at = self._clock()
        # While the database was away, or this process was frozen, nobody could renew: that time does not count.
        passed = min(at - self._looked_at, self._lease_s / 2)
        self._looked_at = at
        self._seen = {
            token: (until, self._unrenewed_s(token, until, passed)) for token, until in found.items()
        }
        return frozenset(token for token, (_, seconds) in self._seen.items() if seconds >= self._lease_s)

    def _unrenewed_s(self, token: UUID, until: float, passed: float) -> float:
        before, seconds = self._seen.get(token, (None, 0.0))
        return seconds + passed if before == until else 0.0
