"""What of all that was said of faces counts: what is not undone; of who a face is, the last; of who it is not, all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, literal, select

from production_server.jobs.tables import persona, persona_decision
from production_server.personas.records import Decision, Kind

_undo = persona_decision.alias("undo")
who_now = func.coalesce(persona.c.merged_into, persona_decision.c.persona_id)
"""The persona of a row of `persona_decision`, joined with its `persona`, as whom it counts now."""


@dataclass(slots=True)
class Standing:
    """What counts of one face."""

    is_what: Kind | None = None
    """`label`, `stranger`, `not_a_face` or `ignore`; None: nobody has said who it is."""
    persona: int | None = None
    decision: int | None = None
    """The row that says so."""
    refused: dict[int, int] = field(default_factory=dict)
    """Personas that it is not, each with the row that says so."""


def is_standing() -> ColumnElement[bool]:
    """Whether a row of `persona_decision` is no undo, and is not undone."""
    undone = select(literal(1)).where(_undo.c.replaces == persona_decision.c.id, _undo.c.kind == "undo")
    return and_(persona_decision.c.kind != "undo", ~exists(undone))


def standing(connection: Connection, *which: ColumnElement[bool]) -> Mapping[int, Standing]:
    """By face, what counts of those rows of `persona_decision` that `which` holds of; of others nothing."""
    query = (
        select(persona_decision.c.id, persona_decision.c.face_id, persona_decision.c.kind)
        .add_columns(who_now.label("who"))
        .outerjoin(persona, persona.c.id == persona_decision.c.persona_id)
        .where(is_standing(), *which)
        .order_by(persona_decision.c.id)
    )
    found: dict[int, Standing] = {}
    for row in connection.execute(query):
        told = found.setdefault(row.face_id, Standing())
        if row.kind == "reject":
            told.refused[row.who] = row.id
        else:
            told.is_what, told.persona, told.decision = row.kind, row.who, row.id
    return found


def of_faces(faces: Iterable[int]) -> ColumnElement[bool]:
    """Whether a row of `persona_decision` is about one of these."""
    return persona_decision.c.face_id.in_(list(faces))


def to_decision(row: Any) -> Decision:
    """A row of `persona_decision` as a value."""
    return Decision(
        id=row.id,
        face=row.face_id,
        batch=row.batch,
        kind=row.kind,
        persona=row.persona_id,
        who=row.who,
        at=row.at,
        predicted=row.predicted_id,
        cosine=row.cosine,
        classifier=row.classifier,
        replaces=row.replaces,
        origin=row.origin,
    )
