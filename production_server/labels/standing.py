"""Which decisions count: those that are not undone; the last of them that gives an answer is what an item is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, literal, select, tuple_

from production_server.jobs.database import Database
from production_server.jobs.tables import decision
from production_server.labels.records import WORDS, Decision, ItemId

SOME = 500
"""Items that are asked about at once: databases take only so many parameters."""
_undo = decision.alias("undo")


def is_standing() -> ColumnElement[bool]:
    """Whether a row of `decision` is no undo, and is not undone."""
    undone = select(literal(1)).where(_undo.c.replaces == decision.c.id, _undo.c.kind == "undo")
    return and_(decision.c.kind != "undo", ~exists(undone))


def is_word() -> ColumnElement[bool]:
    """Whether a row of `decision` counts as an answer."""
    return and_(decision.c.kind.in_(WORDS), is_standing())


def is_of(item_columns: Any) -> ColumnElement[bool]:
    """Whether a row of `decision` is about the item of another table's row."""
    return and_(decision.c.job_id == item_columns.job_id, decision.c.idx == item_columns.idx)


def is_among(items: Iterable[ItemId]) -> ColumnElement[bool]:
    """Whether a row of `decision` is about one of these items."""
    return tuple_(decision.c.job_id, decision.c.idx).in_(list(items))


def current(database: Database, items: Sequence[ItemId]) -> dict[ItemId, Decision]:
    """What each of these items was last said to be, whoever has said it; nothing of those nobody has answered.

    Raises:
        Unavailable: the database does not answer.
    """
    with database.read() as connection:
        return current_in(connection, items)


def current_in(connection: Connection, items: Sequence[ItemId]) -> dict[ItemId, Decision]:
    """As `current`, within a transaction."""
    found: dict[ItemId, Decision] = {}
    for start in range(0, len(items), SOME):
        some = items[start : start + SOME]
        query = select(decision).where(is_among(some), is_word()).order_by(decision.c.id)
        found |= {each.item: each for each in map(to_decision, connection.execute(query))}
    return found


def to_decision(row: Any) -> Decision:
    """A row of `decision` as a value."""
    return Decision(
        id=row.id,
        item=ItemId(row.job_id, row.idx),
        model=row.model,
        version=row.version,
        who=row.who,
        at=row.at,
        kind=row.kind,
        answer=row.answer,
        predicted=row.predicted,
        score=row.score,
        chosen=row.chosen,
        replaces=row.replaces,
    )
