"""The one row that orders all that changes what people said of faces, and all that learns from it.

Whoever holds its lock is alone until the end of his transaction, and dies with it: no lease is left behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select, update

from production_server.jobs.database import dialect_of, now
from production_server.jobs.tables import persona_state

_ONE = 1


@dataclass(frozen=True, slots=True)
class State:
    """How far learning is behind what people said."""

    changes: int
    learnt: int
    waited_s: float | None
    """How long the first change that was not learnt from has waited; None: there is none."""

    @property
    def waiting(self) -> int:
        """How many changes were not learnt from."""
        return self.changes - self.learnt


def look(connection: Connection) -> State:
    """How it stands, locking nothing."""
    row = connection.execute(_columns()).one_or_none()
    return State(0, 0, None) if row is None else State(row.changes, row.learnt, row.waited_s)


def lock(connection: Connection) -> State:
    """Be the only one until the end of the transaction; waits for whoever is."""
    row = connection.execute(_columns().with_for_update()).one_or_none()
    if row is None:
        first = {"id": _ONE, "changes": 0, "learnt": 0}
        connection.execute(
            dialect_of(connection).insert(persona_state).values(first).on_conflict_do_nothing()
        )
        row = connection.execute(_columns().with_for_update()).one()
    return State(row.changes, row.learnt, row.waited_s)


def try_lock(connection: Connection) -> State | None:
    """As `lock`, where nobody is; None: somebody is, or nothing was ever said."""
    row = connection.execute(_columns().with_for_update(skip_locked=True)).one_or_none()
    return None if row is None else State(row.changes, row.learnt, row.waited_s)


def note_changes(connection: Connection, count: int, *, is_urgent: bool = False) -> None:
    """Have so many changes be learnt from; only with the lock. `is_urgent`: at once."""
    since = 0.0 if is_urgent else func.coalesce(persona_state.c.waiting_since, now())
    changed = {"changes": persona_state.c.changes + count, "waiting_since": since}
    connection.execute(update(persona_state).values(changed))


def note_learnt(connection: Connection) -> None:
    """All changes were learnt from; only with the lock."""
    connection.execute(update(persona_state).values(learnt=persona_state.c.changes, waiting_since=None))


def _columns() -> Select[Any]:
    waited_s = now() - persona_state.c.waiting_since
    return select(persona_state.c.changes, persona_state.c.learnt, waited_s.label("waited_s")).where(
        persona_state.c.id == _ONE
    )
