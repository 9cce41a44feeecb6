"""Leases: the right of one holder to work on a row until a time. Items and scans have them, in the same two columns.

The token fences off whoever held the row before; the time is the database's (`database.now`).
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Table, case

from production_server.jobs.database import now

FREE: dict[str, Any] = {"lease_token": None, "lease_until": None}
"""What a row has that nobody holds."""


def taken(token: UUID, lease_s: float) -> dict[str, Any]:
    """What a row has that is held by that token's owner for so many seconds from now."""
    return {"lease_token": token, "lease_until": now() + lease_s}


def renewed(lease_s: float) -> dict[str, Any]:
    """What changes in a row that is held for so many seconds from now on; only where `is_held` by who asks."""
    return {"lease_until": now() + lease_s}


def free_after(pause_s: float) -> dict[str, Any]:
    """What a row has that nobody holds, and nobody may take for so many seconds."""
    return {"lease_token": None, "lease_until": now() + pause_s}


def is_held(table: Table, token: UUID) -> ColumnElement[bool]:
    """Whether that token's owner still has a row: a lease that ran out counts until somebody else has taken it."""
    return table.c.lease_token == token


def has_run_out(table: Table) -> ColumnElement[bool]:
    """Whether a row's holder has been silent for too long; null for rows that nobody holds."""
    return table.c.lease_until < now()


def next_try_of(table: Table) -> ColumnElement[float | None]:
    """When a row that waits is tried again; null: somebody tries now, or may at once."""
    return case((table.c.lease_token.is_(None) & (table.c.lease_until > now()), table.c.lease_until))
