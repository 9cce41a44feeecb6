"""Learning from what people said, and judging all faces by it: in steps that each leave a whole database.

A classifier is made in one transaction, of what counts then. Faces are judged in chunks, in the order of their ids; how
far that is stands in the classifier's row, so that new faces are simply those behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, select, update

from production_server.jobs.bulk import insert_many
from production_server.jobs.database import Database
from production_server.jobs.tables import face, persona_classifier, persona_decision, verdict
from production_server.learning.persona_means import Labelled, Verdict, fit, judge
from production_server.personas.classifiers import latest, to_change, to_means, write
from production_server.personas.promises import ONE_IN, promises
from production_server.personas.records import LEAST_SHARPNESS, LEAST_SIDE, Change, Embedder
from production_server.personas.standing import Standing, standing
from production_server.personas.state import lock, note_learnt, try_lock

FACES_AT_ONCE = 2_000
DIMENSIONS = 128


def relearn(database: Database) -> None:
    """Make a classifier for each embedder of what counts now, and have it judge all faces anew.

    Does nothing where another process has just done it.

    Raises:
        Unavailable: the database does not answer.
    """
    with database.write(may_take_long=True) as connection:
        state = lock(connection)
        if state.waited_s is None:
            return
        told = standing(connection)
        known = {Embedder(row.model, row.version) for row in latest(connection)}
        labelled = read_labelled(connection, told)
        promised = promises(connection)
        for embedder in sorted(known | set(labelled)):
            one_in = promised[embedder.model].one_in if embedder.model in promised else ONE_IN
            made = fit(labelled.get(embedder, NOTHING), strangers_named=1 / one_in)
            write(connection, embedder, made, one_in=one_in, mark=state.changes)
        note_learnt(connection)


def judge_some(database: Database) -> Change | None:
    """Judge the next faces that no classifier has judged; None: there are none, or another process does it now.

    Raises:
        Unavailable: the database does not answer.
    """
    with database.read() as connection:
        if not any(_is_behind(connection, row) for row in latest(connection)):
            return None
    with database.write() as connection:
        if try_lock(connection) is None:
            return None
        for row in latest(connection):
            faces = _next_faces(connection, row)
            if faces:
                return to_change(_judge(connection, row, faces))
    return None


NOTHING = Labelled(np.empty((0, DIMENSIONS), np.float32), (), np.empty((0, DIMENSIONS), np.float32))


def read_labelled(connection: Connection, told: Mapping[int, Standing]) -> dict[Embedder, Labelled]:
    """By embedder, what is learnt from, in the order of faces: the same labels give the same classifier."""
    is_told = select(persona_decision.c.face_id)
    query = (
        select(face.c.id, face.c.model, face.c.version, face.c.embedding)
        .where(face.c.side >= LEAST_SIDE, face.c.sharpness >= LEAST_SHARPNESS, face.c.id.in_(is_told))
        .order_by(face.c.id)
    )
    people: dict[Embedder, list[tuple[str, bytes]]] = {}
    strangers: dict[Embedder, list[bytes]] = {}
    for row in connection.execute(query):
        each, embedder = told.get(row.id), Embedder(row.model, row.version)
        if each is not None and each.is_what == "label":
            people.setdefault(embedder, []).append((str(each.persona), row.embedding))
        elif each is not None and each.is_what == "stranger":
            strangers.setdefault(embedder, []).append(row.embedding)
    return {
        embedder: Labelled(
            _stacked([numbers for _, numbers in people.get(embedder, ())]),
            [who for who, _ in people.get(embedder, ())],
            _stacked(strangers.get(embedder, ())),
        )
        for embedder in people.keys() | strangers.keys()
    }


def _stacked(embeddings: Sequence[bytes]) -> np.ndarray:
    """float32 [n, 128]."""
    return np.frombuffer(b"".join(embeddings), "<f4").reshape(-1, DIMENSIONS)


def _is_behind(connection: Connection, classifier: Any) -> bool:
    its = (face.c.model == classifier.model, face.c.version == classifier.version)
    last: int = connection.execute(select(func.max(face.c.id)).where(*its)).scalar() or 0
    return last > int(classifier.judged_to)


def _next_faces(connection: Connection, classifier: Any) -> Sequence[Any]:
    its = (face.c.model == classifier.model, face.c.version == classifier.version)
    query = (
        select(face.c.id, face.c.embedding, verdict.c.persona_id, verdict.c.nearest_id, verdict.c.cosine)
        .outerjoin(verdict, verdict.c.face_id == face.c.id)
        .where(*its, face.c.id > classifier.judged_to)
        .order_by(face.c.id)
        .limit(FACES_AT_ONCE)
    )
    return connection.execute(query).all()


def _judge(connection: Connection, classifier: Any, faces: Sequence[Any]) -> Any:
    """Write what changes of the verdicts of faces, and that they are judged; returns the classifier's row then."""
    told = standing(connection, persona_decision.c.face_id.between(faces[0].id, faces[-1].id))
    asked = [row for row in faces if row.id not in told or told[row.id].is_what is None]
    refused = {
        place: [str(each) for each in told[row.id].refused]
        for place, row in enumerate(asked)
        if row.id in told
    }
    found = judge(to_means(classifier), _stacked([row.embedding for row in asked]), refused)
    other = [(row, new) for row, new in zip(asked, found, strict=True) if _is_other(row, new)]
    _replace(connection, classifier.number, other)
    counted = [_renamed(row, new) for row, new in other if row.id <= classifier.last_face]
    gained = sum(before is None and after is not None for before, after in counted)
    lost = sum(before is not None and after is None for before, after in counted)
    columns = persona_classifier.c
    changed = {
        "judged_to": faces[-1].id,
        "changed": columns.changed + sum(before != after for before, after in counted),
        "gained": columns.gained + gained,
        "lost": columns.lost + lost,
    }
    is_it = columns.number == classifier.number
    statement = update(persona_classifier).where(is_it).values(changed).returning(persona_classifier)
    return connection.execute(statement).one()


def _is_other(row: Any, new: Verdict) -> bool:
    if new.nearest is None:
        return row.nearest_id is not None
    before = (row.persona_id, row.nearest_id, row.cosine)
    return before != (_number(new.persona), _number(new.nearest), new.cosine)


def _renamed(row: Any, new: Verdict) -> tuple[int | None, int | None]:
    return row.persona_id, _number(new.persona)


def _replace(connection: Connection, number: int, other: Sequence[tuple[Any, Verdict]]) -> None:
    before = [row.id for row, _ in other if row.nearest_id is not None]
    if before:
        connection.execute(delete(verdict).where(verdict.c.face_id.in_(before)))
    rows = [
        (row.id, _number(new.persona), _number(new.nearest), new.cosine)
        for row, new in other
        if new.nearest is not None
    ]
    if rows:
        names = ("face_id", "persona_id", "nearest_id", "cosine")
        insert_many(connection, verdict, {"classifier": number}, names, rows)


def _number(persona: str | None) -> int | None:
    return None if persona is None else int(persona)
