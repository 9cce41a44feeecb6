"""Personas: making, naming, merging and deleting them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from production_server.access.audit import Act, Notes, noting
from production_server.errors import Conflict, InvalidInput, NotFound
from production_server.jobs.database import Database, now
from production_server.jobs.tables import face, item, persona, persona_decision, verdict
from production_server.personas.classifiers import forget
from production_server.personas.decisions import check_agreement, decide_in
from production_server.personas.records import NewDecision, Persona, Sayer
from production_server.personas.standing import standing
from production_server.personas.state import lock, note_changes
from production_server.shown import describe

MAX_NAME = 100
MOST_PERSONAS = 10_000
SOME = 500


def make(database: Database, name: str, *, by: Sayer) -> Persona:
    """A new persona, of whom nothing is known yet.

    Raises:
        InvalidInput: the name is none. Conflict: somebody has it (code `persona_exists`), or there are too many.
        Unavailable: the database does not answer.
    """
    name = read_name(name)
    with noting(by.actor) as notes, database.write() as connection:
        lock(connection)
        _check_is_free(connection, name)
        return _make(connection, name, by, notes)


def name_faces(database: Database, faces: Sequence[int], name: str, *, by: Sayer) -> Persona:
    """Say that faces are the persona of a name, who is made where there is none: both, or neither.

    Raises:
        InvalidInput: the name is none. NotFound, Conflict, Unavailable: as `decide`.
    """
    name = read_name(name)
    with noting(by.actor) as notes, database.write() as connection:
        lock(connection)
        named = (persona.c.name == name, persona.c.merged_into.is_(None))
        row = connection.execute(select(persona).where(*named)).one_or_none()
        found = _make(connection, name, by, notes) if row is None else _to_persona(row)
        decide_in(connection, NewDecision(faces=tuple(faces), kind="label", persona=found.id), by=by)
        return found


def rename(database: Database, persona_id: int, name: str, *, by: Sayer) -> Persona:
    """Give a persona another name.

    Raises:
        InvalidInput, Conflict, Unavailable: as `make`. NotFound: there is no such persona.
    """
    name = read_name(name)
    with noting(by.actor) as notes, database.write() as connection:
        lock(connection)
        found = get(connection, persona_id)
        if found.name != name:
            _check_is_free(connection, name)
            notes.write(connection, Act.PERSONA_RENAMED, str(persona_id))
        row = connection.execute(
            update(persona).where(persona.c.id == persona_id).values(name=name).returning(persona)
        ).one()
        return _to_persona(row)


def merge(database: Database, persona_id: int, into_id: int, *, by: Sayer) -> None:
    """Have all that was and will be said of one persona count as said of another; `split` takes that back.

    Raises:
        NotFound: there is no such persona. InvalidInput: both are the same.
        Conflict: a face is one of them, and is not the other (code `face_contradicted`).
        Unavailable: the database does not answer.
    """
    if persona_id == into_id:
        raise InvalidInput.at("into", "another persona", "the same")
    with noting(by.actor) as notes, database.write() as connection:
        lock(connection)
        get(connection, persona_id)
        get(connection, into_id)
        these = or_(persona.c.id == persona_id, persona.c.merged_into == persona_id)
        connection.execute(update(persona).where(these).values(merged_into=into_id))
        faces = select(persona_decision.c.face_id).where(
            persona_decision.c.persona_id.in_(_with_merged(into_id))
        )
        check_agreement(standing(connection, persona_decision.c.face_id.in_(faces)))
        _pass_over(connection, [persona_id])
        notes.write(connection, Act.PERSONA_MERGED, str(persona_id), after={"into": into_id})


def split(database: Database, persona_id: int, *, by: Sayer) -> Persona:
    """Have a persona that was merged stand for itself again.

    Raises:
        NotFound: it was not merged. Conflict: somebody has its name by now. Unavailable: the database does not answer.
    """
    with noting(by.actor) as notes, database.write() as connection:
        lock(connection)
        is_it = (persona.c.id == persona_id, persona.c.merged_into.is_not(None))
        row = connection.execute(select(persona).where(*is_it)).one_or_none()
        if row is None:
            raise NotFound(f"no persona {persona_id} was merged into another", code="persona_not_found")
        _check_is_free(connection, row.name)
        connection.execute(update(persona).where(persona.c.id == persona_id).values(merged_into=None))
        _pass_over(connection, [row.merged_into])
        notes.write(connection, Act.PERSONA_SPLIT, str(persona_id), before={"into": row.merged_into})
        return _to_persona(row)


def remove(database: Database, persona_id: int, *, by: Sayer, with_faces: bool = False) -> int:
    """Delete a persona, those merged into it, all that was said of them, and their means in classifiers.

    `with_faces`: also the faces that are, or are taken for, this persona, and their embeddings in the answers of their
    pictures. Returns how many faces were deleted. What is learnt afterwards knows nothing of it.

    Raises:
        NotFound: there is no such persona. Unavailable: the database does not answer.
    """
    with noting(by.actor) as notes, database.write(may_take_long=True) as connection:
        lock(connection)
        get(connection, persona_id)
        gone = list(connection.execute(_with_merged(persona_id)).scalars())
        faces = _faces_of(connection, persona_id) if with_faces else []
        for start in range(0, len(faces), SOME):
            _delete_faces(connection, faces[start : start + SOME])
        forget(connection, gone)
        # Its decisions and its verdicts go with it.
        connection.execute(delete(persona).where(persona.c.merged_into.in_(gone)))
        connection.execute(delete(persona).where(persona.c.id == persona_id))
        note_changes(connection, 1, is_urgent=True)
        notes.write(connection, Act.PERSONA_DELETED, str(persona_id), before={"faces": len(faces)})
        return len(faces)


def list_personas(database: Database) -> list[Persona]:
    """All personas by name, each with how many faces are labelled and predicted.

    Raises:
        Unavailable: the database does not answer.
    """
    with database.read() as connection:
        return list_in(connection, who_faces_are(connection))


def who_faces_are(connection: Connection) -> dict[int, int]:
    """Of each face that people say is of a persona, whose it is."""
    told = standing(connection, persona_decision.c.kind != "reject")
    return {face_id: each.persona for face_id, each in told.items() if each.persona is not None}


def list_in(connection: Connection, labelled: Mapping[int, int]) -> list[Persona]:
    """As `list_personas`, of what `who_faces_are` has found."""
    labelled_count = Counter(labelled.values())
    counts = select(verdict.c.persona_id, func.count()).group_by(verdict.c.persona_id)
    predicted = {row[0]: row[1] for row in connection.execute(counts)}
    rows = connection.execute(select(persona).where(persona.c.merged_into.is_(None)).order_by(persona.c.name))
    return [
        _to_persona(row, labelled=labelled_count[row.id], predicted=predicted.get(row.id, 0)) for row in rows
    ]


def get(connection: Connection, persona_id: int) -> Persona:
    """A persona that stands for itself.

    Raises:
        NotFound: there is none (code `persona_not_found`).
    """
    row = connection.execute(
        select(persona).where(persona.c.id == persona_id, persona.c.merged_into.is_(None))
    ).one_or_none()
    if row is None:
        raise NotFound(
            f"there is no persona {persona_id}; it may have been deleted or merged", code="persona_not_found"
        )
    return _to_persona(row)


def read_name(text: str) -> str:
    """A name that can be shown.

    Raises:
        InvalidInput: it is empty, too long, or has control characters.
    """
    name = text.strip()
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        expected = f"a name of 1 to {MAX_NAME} characters, without control characters"
        raise InvalidInput.at("name", expected, describe(text))
    return name


def _make(connection: Connection, name: str, by: Sayer, notes: Notes) -> Persona:
    if connection.execute(select(func.count()).select_from(persona)).scalar_one() >= MOST_PERSONAS:
        raise InvalidInput.at("name", f"at most {MOST_PERSONAS} personas", "one more")
    values = {"name": name, "made_by": by.who, "made_at": now()}
    made = _to_persona(connection.execute(insert(persona).values(values).returning(persona)).one())
    notes.write(connection, Act.PERSONA_MADE, str(made.id))
    return made


def _check_is_free(connection: Connection, name: str) -> None:
    taken = select(persona.c.id).where(persona.c.name == name, persona.c.merged_into.is_(None))
    other = connection.execute(taken).scalar_one_or_none()
    if other is not None:
        raise Conflict(f"persona {other} is called {describe(name)} already", code="persona_exists")


def _with_merged(persona_id: int) -> Any:
    return select(persona.c.id).where(or_(persona.c.id == persona_id, persona.c.merged_into == persona_id))


def _pass_over(connection: Connection, personas: list[int]) -> None:
    """Take back what the classifier says of personas that are others now, until it has learnt that."""
    for column in (verdict.c.persona_id, verdict.c.nearest_id):
        connection.execute(delete(verdict).where(column.in_(personas)))
    note_changes(connection, 1, is_urgent=True)


def _faces_of(connection: Connection, persona_id: int) -> list[int]:
    said = select(persona_decision.c.face_id).where(
        persona_decision.c.persona_id.in_(_with_merged(persona_id))
    )
    told = standing(connection, persona_decision.c.face_id.in_(said))
    labelled = {face_id for face_id, each in told.items() if each.persona == persona_id}
    predicted = select(verdict.c.face_id).where(verdict.c.persona_id == persona_id)
    return sorted(labelled | set(connection.execute(predicted).scalars()))


def _delete_faces(connection: Connection, faces: list[int]) -> None:
    """Delete rows of faces, and what tells their people apart in the answers of their pictures."""
    query = select(face.c.job_id, face.c.idx, face.c.place).where(face.c.id.in_(faces))
    places: dict[tuple[Any, int], list[int]] = {}
    for row in connection.execute(query.order_by(face.c.job_id, face.c.idx)):
        places.setdefault((row.job_id, row.idx), []).append(row.place)
    for (job_id, idx), gone in places.items():
        is_it: ColumnElement[bool] = and_(item.c.job_id == job_id, item.c.idx == idx)
        output = list(connection.execute(select(item.c.output).where(is_it).with_for_update()).scalar_one())
        for place in gone:
            output[place] = output[place] | {"embedding": None, "landmarks": []}
        connection.execute(update(item).where(is_it).values(output=output))
    connection.execute(delete(face).where(face.c.id.in_(faces)))


def _to_persona(row: Any, *, labelled: int = 0, predicted: int = 0) -> Persona:
    return Persona(
        id=row.id,
        name=row.name,
        made_at=row.made_at,
        made_by=row.made_by,
        labelled=labelled,
        predicted=predicted,
    )
