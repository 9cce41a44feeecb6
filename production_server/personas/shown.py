"""What is looked at: faces of a persona, faces of nobody, and groups of these that are alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from sqlalchemy import Connection, Select, exists, select

from production_server.errors import NotFound
from production_server.jobs.database import Database
from production_server.jobs.tables import face, persona, persona_decision, verdict
from production_server.learning.likenesses import groups
from production_server.learning.persona_means import Labelled, likeness_to_own
from production_server.personas.people import get, list_in, who_faces_are
from production_server.personas.records import (
    LEAST_SHARPNESS,
    LEAST_SIDE,
    Decision,
    Embedder,
    Face,
    Persona,
)
from production_server.personas.standing import is_standing, of_faces, standing, to_decision, who_now

OfPersona = Literal["labelled", "predicted", "outliers"]
"""What people said, the latest first; what the classifier says, the surest first; what people said, the one first that
is least like the others, and may be wrong."""
MOST_GROUPED = 3_000
"""So many of the latest faces of nobody are compared with each other."""
MOST_GROUPS = 50
MOST_IN_GROUP = 100
SOME = 500


def faces_of(
    database: Database, persona_id: int, kind: OfPersona, *, offset: int = 0, limit: int
) -> list[Face]:
    """Faces of a persona, in the order of their kind.

    Raises:
        NotFound: there is no such persona. Unavailable: the database does not answer.
    """
    with database.read() as connection:
        get(connection, persona_id)
        if kind == "predicted":
            query = select_faces().where(verdict.c.persona_id == persona_id)
            query = query.order_by(verdict.c.cosine.desc(), face.c.id).offset(offset).limit(limit)
            return [to_face(row) for row in connection.execute(query)]
        ids = labelled_ids(connection, persona_id)
        ids = _least_alike_first(connection, ids) if kind == "outliers" else ids[::-1]
        return _in_order(connection, ids[offset : offset + limit])


def unknown_faces(database: Database, *, offset: int = 0, limit: int) -> list[Face]:
    """Faces that nobody has labelled and the classifier knows nobody for, the latest first.

    Raises:
        Unavailable: the database does not answer.
    """
    query = _unknown(select_faces()).order_by(face.c.id.desc()).offset(offset).limit(limit)
    with database.read() as connection:
        return [to_face(row) for row in connection.execute(query)]


def alike_strangers(database: Database) -> list[list[Face]]:
    """Groups of the latest faces of nobody that may be of one person each, the largest first.

    Raises:
        Unavailable: the database does not answer.
    """
    is_good = (face.c.side >= LEAST_SIDE, face.c.sharpness >= LEAST_SHARPNESS)
    columns = _unknown(select_faces()).add_columns(face.c.embedding).where(*is_good)
    with database.read() as connection:
        rows = connection.execute(columns.order_by(face.c.id.desc()).limit(MOST_GROUPED)).all()
    by_embedder: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        by_embedder.setdefault((row.model, row.version), []).append(row)
    found: list[list[Face]] = []
    for some in by_embedder.values():
        embeddings = np.frombuffer(b"".join(row.embedding for row in some), "<f4").reshape(len(some), -1)
        alike = groups(embeddings, at_most=MOST_GROUPS)
        found += [[to_face(some[place]) for place in places[:MOST_IN_GROUP]] for places in alike]
    return sorted(found, key=len, reverse=True)[:MOST_GROUPS]


def get_face(database: Database, face_id: int) -> Face:
    """One face.

    Raises:
        NotFound: there is none (code `face_not_found`). Unavailable: the database does not answer.
    """
    with database.read() as connection:
        row = connection.execute(select_faces().where(face.c.id == face_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no face {face_id}; it may have been deleted", code="face_not_found")
    return to_face(row)


def get_persona(database: Database, persona_id: int) -> Persona:
    """One persona, without its counts.

    Raises:
        NotFound: there is none (code `persona_not_found`). Unavailable: the database does not answer.
    """
    with database.read() as connection:
        return get(connection, persona_id)


def list_decisions(database: Database, *, before: int | None = None, limit: int) -> list[Decision]:
    """What was said of faces, newest first, undone or not; `before` is the last one of the page before.

    Raises:
        Unavailable: the database does not answer.
    """
    query = select(persona_decision).order_by(persona_decision.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(persona_decision.c.id < before)
    with database.read() as connection:
        return [to_decision(row) for row in connection.execute(query)]


def list_with_covers(database: Database) -> tuple[list[Persona], dict[int, int]]:
    """All personas by name, and for those that have one a face to show them by: the first good one, or else any.

    Raises:
        Unavailable: the database does not answer.
    """
    with database.read() as connection:
        labelled = who_faces_are(connection)
        return list_in(connection, labelled), _covers(connection, labelled)


def every_face_of(database: Database, persona_id: int) -> Iterator[tuple[Face, bytes, list[Decision]]]:
    """The faces of a persona, labelled or predicted, each with its embedding and all that was said of it.

    Read page by page. Raises:
        NotFound: there is no such persona. Unavailable: the database does not answer.
    """
    with database.read() as connection:
        get(connection, persona_id)
        predicted = select(verdict.c.face_id).where(verdict.c.persona_id == persona_id)
        ids = sorted({*labelled_ids(connection, persona_id), *connection.execute(predicted).scalars()})
    for start in range(0, len(ids), SOME):
        some = ids[start : start + SOME]
        said: dict[int, list[Decision]] = {}
        query = select_faces().add_columns(face.c.embedding).where(face.c.id.in_(some)).order_by(face.c.id)
        with database.read() as connection:
            told = select(persona_decision).where(of_faces(some)).order_by(persona_decision.c.id)
            for row in connection.execute(told):
                said.setdefault(row.face_id, []).append(to_decision(row))
            rows = connection.execute(query).all()
        yield from ((to_face(row), bytes(row.embedding), said.get(row.id, [])) for row in rows)


def select_faces() -> Select[Any]:
    """All faces, each with its verdict: what `to_face` reads."""
    columns = [column for column in face.c if column.name != "embedding"]
    query = select(*columns, verdict.c.persona_id, verdict.c.nearest_id, verdict.c.cosine)
    return query.outerjoin(verdict, verdict.c.face_id == face.c.id)


def to_face(row: Any) -> Face:
    """A row of `select_faces` as a value."""
    return Face(
        id=row.id,
        job_id=row.job_id,
        idx=row.idx,
        place=row.place,
        embedder=Embedder(row.model, row.version),
        box=tuple(row.box),
        landmarks=tuple((x, y) for x, y in row.landmarks),
        score=row.score,
        side=row.side,
        sharpness=row.sharpness,
        predicted=row.persona_id,
        nearest=row.nearest_id,
        cosine=row.cosine,
    )


def _unknown(query: Select[Any]) -> Select[Any]:
    of_it = (persona_decision.c.face_id == face.c.id, persona_decision.c.kind != "reject", is_standing())
    is_decided = exists(select(persona_decision.c.id).where(*of_it))
    return query.where(verdict.c.persona_id.is_(None), ~is_decided)


def _covers(connection: Connection, labelled: Mapping[int, int]) -> dict[int, int]:
    is_good = (face.c.side >= LEAST_SIDE, face.c.sharpness >= LEAST_SHARPNESS)
    found: dict[int, int] = {}
    ids = sorted(labelled)
    for start in range(0, len(ids), SOME):
        some = face.c.id.in_(ids[start : start + SOME])
        for face_id in connection.execute(
            select(face.c.id).where(some, *is_good).order_by(face.c.id)
        ).scalars():
            found.setdefault(labelled[face_id], face_id)
    for face_id in ids:
        found.setdefault(labelled[face_id], face_id)
    return found


def labelled_ids(connection: Connection, persona_id: int) -> list[int]:
    """Faces that people said are of a persona, in the order of their last decisions."""
    said = (
        select(persona_decision.c.face_id)
        .join(persona, persona.c.id == persona_decision.c.persona_id)
        .where(who_now == persona_id)
    )
    told = standing(connection, persona_decision.c.face_id.in_(said))
    its = [(each.decision or 0, face_id) for face_id, each in told.items() if each.persona == persona_id]
    return [face_id for _, face_id in sorted(its)]


def _least_alike_first(connection: Connection, ids: Sequence[int]) -> list[int]:
    """Faces by how like they are to the rest of their embedder's; one that is alone comes last."""
    rows: list[Any] = []
    for start in range(0, len(ids), SOME):
        some = face.c.id.in_(ids[start : start + SOME])
        rows += connection.execute(
            select(face.c.id, face.c.model, face.c.version, face.c.embedding).where(some)
        ).all()
    embedders = [f"{row.model}/{row.version}" for row in rows]
    embeddings = np.frombuffer(b"".join(row.embedding for row in rows), "<f4").reshape(len(rows), 128)
    alike = likeness_to_own(Labelled(embeddings, embedders, embeddings[:0]))
    order = np.lexsort(([row.id for row in rows], np.nan_to_num(alike, nan=2.0)))
    return [rows[place].id for place in order]


def _in_order(connection: Connection, ids: Sequence[int]) -> list[Face]:
    found: dict[int, Face] = {}
    for start in range(0, len(ids), SOME):
        some = select_faces().where(face.c.id.in_(ids[start : start + SOME]))
        found |= {row.id: to_face(row) for row in connection.execute(some)}
    return [found[each] for each in ids if each in found]
