"""Saying who faces are, and taking it back: each is a row that nobody changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select

from production_server.errors import Conflict, InvalidInput, NotFound
from production_server.jobs.database import Database, now
from production_server.jobs.job_row import uuid7
from production_server.jobs.tables import face, persona, persona_decision, verdict
from production_server.personas.carrying import carried_from, carry_over, same_faces
from production_server.personas.records import OF_PERSONAS, Decision, NewDecision, Sayer
from production_server.personas.standing import Standing, is_standing, of_faces, standing, to_decision
from production_server.personas.state import lock, note_changes

MOST_FACES = 500
"""That are decided at once: databases take only so many parameters."""


def decide(database: Database, said: NewDecision, *, by: Sayer) -> list[Decision]:
    """Store what somebody says of faces, of all of them or of none; what counts already is not said again.

    Returns the rows that were added, in the order of their faces.

    Raises:
        InvalidInput: it is of too many faces, or says a persona where there is none to say, or none where there is.
        NotFound: a face is not there (any more), or there is no such persona.
        Conflict: it contradicts what was said before: that a face is not this persona, or that it is.
        Unavailable: the database does not answer.
    """
    with database.write() as connection:
        return decide_in(connection, said, by=by)


def decide_in(connection: Connection, said: NewDecision, *, by: Sayer) -> list[Decision]:
    """As `decide`, within a transaction."""
    _check(said)
    faces = sorted(set(said.faces))
    lock(connection)
    persona_id = _persona(connection, said.persona)
    verdicts = _verdicts(connection, faces)
    before = standing(connection, of_faces(faces))
    told = {face_id: before.get(face_id, Standing()) for face_id in faces}
    is_new = [face_id for face_id in faces if not _counts_already(told[face_id], said.kind, persona_id)]
    batch = uuid7()
    rows = [
        {
            "face_id": face_id,
            "batch": batch,
            "kind": said.kind,
            "persona_id": persona_id,
            **verdicts[face_id],
            "replaces": None if said.kind == "reject" else told[face_id].decision,
        }
        for face_id in is_new
    ]
    return _add(connection, rows, by)


def undo(database: Database, *, by: Sayer, decision_id: int | None = None) -> list[Decision]:
    """Take back one decision, or, without its number, all that somebody has said last at once and still counts.

    Returns the rows that were added.

    Raises:
        NotFound: he has said nothing that counts, or there is no such decision of his (code `decision_not_found`).
        Conflict: it is undone already (code `decision_undone`), or what was said before it contradicts what was later.
        Unavailable: the database does not answer.
    """
    with database.write() as connection:
        lock(connection)
        undone = _to_undo(connection, by, decision_id)
        verdicts = _verdicts(connection, [each.face for each in undone])
        batch = uuid7()
        rows = [
            {
                "face_id": each.face,
                "batch": batch,
                "kind": "undo",
                "persona_id": each.persona,
                **verdicts[each.face],
                "replaces": each.id,
            }
            for each in undone
        ]
        carried = carried_from(connection, [each.id for each in undone])
        _undo_carried(connection, carried, by)
        return _add(connection, rows, by)


def check_agreement(told: Mapping[int, Standing]) -> None:
    """Whether nobody says of a face that it is a persona, and that it is not.

    Raises:
        Conflict: somebody does (code `face_contradicted`).
    """
    for face_id, each in told.items():
        if each.is_what == "label" and each.persona in each.refused:
            detail = (
                f"face {face_id} is persona {each.persona} by decision {each.decision}, and is not by decision "
                f"{each.refused[each.persona]}: undo one of them first"
            )
            raise Conflict(detail, code="face_contradicted")


def _check(said: NewDecision) -> None:
    if not 0 < len(said.faces) <= MOST_FACES:
        raise InvalidInput.at("faces", f"1 to {MOST_FACES} of them", str(len(said.faces)))
    if (said.kind in OF_PERSONAS) != (said.persona is not None):
        expected = "a persona's id" if said.kind in OF_PERSONAS else f"none, with {said.kind}"
        raise InvalidInput.at("persona", expected, "none" if said.persona is None else str(said.persona))


def _persona(connection: Connection, persona_id: int | None) -> int | None:
    """Who is meant: of one that was merged, whom it was merged into."""
    if persona_id is None:
        return None
    row = connection.execute(select(persona).where(persona.c.id == persona_id)).one_or_none()
    if row is None:
        raise NotFound(
            f"there is no persona {persona_id}; it may have been deleted", code="persona_not_found"
        )
    return int(row.merged_into or row.id)


def _verdicts(connection: Connection, faces: Collection[int]) -> dict[int, dict[str, Any]]:
    """What the classifier says of faces now, all of which are there."""
    query = select(face.c.id, verdict.c.persona_id, verdict.c.cosine, verdict.c.classifier)
    query = query.outerjoin(verdict, verdict.c.face_id == face.c.id).where(face.c.id.in_(faces))
    found = {
        row.id: {"predicted_id": row.persona_id, "cosine": row.cosine, "classifier": row.classifier}
        for row in connection.execute(query)
    }
    missing = sorted(set(faces) - set(found))
    if missing:
        detail = f"there is no face {missing[0]}; it may have been deleted"
        raise NotFound(detail, code="face_not_found")
    return found


def _counts_already(told: Standing, kind: str, persona_id: int | None) -> bool:
    if kind == "reject":
        return persona_id in told.refused
    return (told.is_what, told.persona) == (kind, persona_id)


def _add(connection: Connection, rows: Sequence[dict[str, Any]], by: Sayer) -> list[Decision]:
    if not rows:
        return []
    same = {"client": by.client, "who": by.who, "at": connection.execute(select(now())).scalar_one()}
    connection.execute(insert(persona_decision), [row | same for row in rows])
    faces = [row["face_id"] for row in rows]
    check_agreement(standing(connection, of_faces(faces)))
    found_twice = {each for others in same_faces(connection, set(faces)).values() for each in others}
    carried = carry_over(connection, found_twice)
    check_agreement(standing(connection, of_faces(found_twice)))
    # What the classifier has said of them may be what was just refused: it says nothing until it has learnt.
    for some in (faces, carried):
        connection.execute(delete(verdict).where(verdict.c.face_id.in_(some)))
    note_changes(connection, len(rows) + len(carried))
    return _batch(connection, rows[0]["batch"])


def _undo_carried(connection: Connection, carried: Sequence[Any], by: Sayer) -> None:
    """What is undone does not stand of the same faces of other versions either."""
    if not carried:
        return
    same = {"kind": "undo", "batch": uuid7(), "client": by.client, "who": by.who}
    same["at"] = connection.execute(select(now())).scalar_one()
    rows = [{"face_id": row.face_id, "persona_id": row.persona_id, "replaces": row.id} for row in carried]
    connection.execute(insert(persona_decision), [row | same for row in rows])
    connection.execute(delete(verdict).where(verdict.c.face_id.in_([row.face_id for row in carried])))


def _batch(connection: Connection, batch: UUID) -> list[Decision]:
    query = select(persona_decision).where(persona_decision.c.batch == batch).order_by(persona_decision.c.id)
    return [to_decision(row) for row in connection.execute(query)]


def _to_undo(connection: Connection, by: Sayer, decision_id: int | None) -> list[Decision]:
    is_his = (persona_decision.c.client == by.client, persona_decision.c.who == by.who)
    said = select(persona_decision).where(*is_his, persona_decision.c.kind != "undo")
    if decision_id is None:
        # What was carried over is undone with what it comes from.
        last = (
            said.where(is_standing(), persona_decision.c.origin.is_(None))
            .order_by(persona_decision.c.id.desc())
            .limit(1)
        )
    else:
        last = said.where(persona_decision.c.id == decision_id)
    row = connection.execute(last).one_or_none()
    if row is None:
        which = "decision that counts" if decision_id is None else f"decision {decision_id}"
        raise NotFound(f"there is no {which} of {by.who} about faces", code="decision_not_found")
    if decision_id is None:
        query = said.where(is_standing(), persona_decision.c.batch == row.batch)
        return [
            to_decision(each) for each in connection.execute(query.order_by(persona_decision.c.id.desc()))
        ]
    query = select(persona_decision.c.id).where(persona_decision.c.id == decision_id, is_standing())
    if connection.execute(query).one_or_none() is None:
        raise Conflict(f"decision {decision_id} is undone already", code="decision_undone")
    return [to_decision(row)]
