"""Classifiers as rows: of each embedder the latest one judges, the others tell what was."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select, update

from production_server.jobs.database import Database, now
from production_server.jobs.tables import face, persona_classifier
from production_server.learning.persona_means import PersonaMeans, Promise
from production_server.personas.promises import promises
from production_server.personas.records import Change, Classifier, Embedder, Promised
from production_server.personas.state import look

MOST_KEPT = 20
"""Of each embedder."""


def latest(connection: Connection) -> list[Any]:
    """The rows of those that judge, one for each embedder."""
    last = select(func.max(persona_classifier.c.number)).group_by(
        persona_classifier.c.model, persona_classifier.c.version
    )
    query = select(persona_classifier).where(persona_classifier.c.number.in_(last))
    return list(connection.execute(query.order_by(persona_classifier.c.number)))


def to_means(row: Any) -> PersonaMeans:
    """A row as what judges."""
    personas = tuple(map(str, row.personas))
    return PersonaMeans(
        personas=personas,
        means=np.frombuffer(row.means, "<f4").reshape(len(personas), -1)
        if personas
        else np.empty((0, 128), np.float32),
        threshold=row.threshold,
        scale=row.scale,
        bias=row.bias,
        promise=Promise(row.strangers_named, row.strangers),
    )


def write(connection: Connection, embedder: Embedder, made: PersonaMeans, *, one_in: int, mark: int) -> None:
    """Have a new classifier judge all faces of an embedder anew; only with the lock of `state`."""
    its = (persona_classifier.c.model == embedder.model, persona_classifier.c.version == embedder.version)
    last_face = select(func.max(face.c.id)).where(
        face.c.model == embedder.model, face.c.version == embedder.version
    )
    connection.execute(
        insert(persona_classifier).values(
            model=embedder.model,
            version=embedder.version,
            mark=mark,
            personas=[int(each) for each in made.personas],
            means=made.means.astype("<f4").tobytes(),
            threshold=made.threshold,
            scale=made.scale,
            bias=made.bias,
            one_in=one_in,
            strangers_named=made.promise.named,
            strangers=made.promise.strangers,
            made_at=now(),
            last_face=connection.execute(last_face).scalar_one() or 0,
            judged_to=0,
            changed=0,
            gained=0,
            lost=0,
        )
    )
    kept = select(persona_classifier.c.number).where(*its).order_by(persona_classifier.c.number.desc())
    oldest = connection.execute(kept.offset(MOST_KEPT - 1).limit(1)).scalar_one_or_none()
    if oldest is not None:
        connection.execute(delete(persona_classifier).where(*its, persona_classifier.c.number < oldest))


def forget(connection: Connection, personas: Collection[int]) -> None:
    """Take the means of personas out of all classifiers; only with the lock of `state`."""
    gone = set(personas)
    query = select(persona_classifier.c.number, persona_classifier.c.personas, persona_classifier.c.means)
    for row in connection.execute(query).all():
        if not gone.intersection(row.personas):
            continue
        means = np.frombuffer(row.means, "<f4").reshape(len(row.personas), -1)
        kept = [place for place, each in enumerate(row.personas) if each not in gone]
        left = {"personas": [row.personas[place] for place in kept], "means": means[kept].tobytes()}
        is_it = persona_classifier.c.number == row.number
        connection.execute(update(persona_classifier).where(is_it).values(left))


def read_classifiers(database: Database) -> tuple[list[Classifier], int]:
    """Those that judge, and how many changes of what people said they do not know of yet.

    Raises:
        Unavailable: the database does not answer.
    """
    with database.read() as connection:
        promised = promises(connection)
        found = [to_classifier(row, promised.get(row.model)) for row in latest(connection)]
        return found, look(connection).waiting


def to_classifier(row: Any, promised: Promised | None) -> Classifier:
    """A row as what is told of it, with the promise that somebody has set since for its model."""
    return Classifier(
        personas=len(row.personas),
        threshold=row.threshold,
        one_in=row.one_in,
        promised=promised,
        promise=Promise(row.strangers_named, row.strangers),
        made_at=row.made_at,
        change=to_change(row),
    )


def to_change(row: Any) -> Change:
    """What a row tells of what its classifier has changed."""
    return Change(
        number=row.number,
        embedder=Embedder(row.model, row.version),
        is_done=row.judged_to >= row.last_face,
        changed=row.changed,
        gained=row.gained,
        lost=row.lost,
    )
