"""Faces where they are in their pictures, with who they are: what people said, or else what the classifier says."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection, select, tuple_

from production_server.errors import NotFound
from production_server.jobs.database import Database
from production_server.jobs.tables import face, persona, verdict
from production_server.personas.people import get
from production_server.personas.records import Kind
from production_server.personas.shown import labelled_ids
from production_server.personas.standing import Standing, of_faces, standing

T = TypeVar("T")
SOME = 500
Picture = tuple[UUID, int]
"""A job, and the index of its item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictured:
    """A face in its picture."""

    id: int
    place: int
    box: tuple[float, float, float, float]
    """Left, top, right, bottom, as shares of the picture's width and height."""
    said: Kind | None
    """What people say of it; None: nobody has said who it is."""
    persona: int | None
    """Who it is, as people say or else as the classifier says; None: nobody who is known."""
    name: str | None

    @property
    def is_predicted(self) -> bool:
        """Whether the classifier alone says who it is."""
        return self.said is None and self.persona is not None


def faces_in(database: Database, pictures: Collection[Picture]) -> dict[Picture, list[Pictured]]:
    """The faces of pictures, in the order of their places; of one without faces nothing.

    Raises:
        Unavailable: the database does not answer.
    """
    found: dict[Picture, list[Pictured]] = {}
    with database.read() as connection:
        for some in _parts(sorted(pictures)):
            rows = connection.execute(_faces_of(some)).all()
            told = _told(connection, [row.id for row in rows])
            names = _names(connection, rows, told)
            for row in rows:
                shown = _to_pictured(row, told.get(row.id, Standing()), names)
                found.setdefault((row.job_id, row.idx), []).append(shown)
    return found


def pictures_of(database: Database, persona_id: int, *, offset: int = 0, limit: int) -> list[Picture]:
    """The pictures that faces of a persona come from, labelled or predicted, the latest face's first.

    Raises:
        NotFound: there is no such persona. Unavailable: the database does not answer.
    """
    with database.read() as connection:
        get(connection, persona_id)
        predicted = select(verdict.c.face_id).where(verdict.c.persona_id == persona_id)
        ids = {*labelled_ids(connection, persona_id), *connection.execute(predicted).scalars()}
        found: dict[Picture, None] = {}
        for some in _parts(sorted(ids, reverse=True)):
            rows = connection.execute(select(face.c.id, face.c.job_id, face.c.idx).where(face.c.id.in_(some)))
            for row in sorted(rows, key=lambda row: -int(row.id)):
                found[row.job_id, row.idx] = None
            if len(found) >= offset + limit:
                break
    return list(found)[offset : offset + limit]


def picture_of(database: Database, face_id: int) -> Picture:
    """The picture that a face is in.

    Raises:
        NotFound: there is no such face. Unavailable: the database does not answer.
    """
    with database.read() as connection:
        row = connection.execute(select(face.c.job_id, face.c.idx).where(face.c.id == face_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no face {face_id}; it may have been deleted", code="face_not_found")
    return row.job_id, row.idx


def _faces_of(pictures: Sequence[Picture]) -> Any:
    query = select(face.c.id, face.c.job_id, face.c.idx, face.c.place, face.c.box, verdict.c.persona_id)
    query = query.outerjoin(verdict, verdict.c.face_id == face.c.id)
    return query.where(tuple_(face.c.job_id, face.c.idx).in_(pictures)).order_by(
        face.c.job_id, face.c.idx, face.c.place
    )


def _told(connection: Connection, faces: Sequence[int]) -> dict[int, Standing]:
    found: dict[int, Standing] = {}
    for some in _parts(faces):
        found |= standing(connection, of_faces(some))
    return found


def _names(connection: Connection, rows: Sequence[Any], told: dict[int, Standing]) -> dict[int, str]:
    meant = {row.persona_id for row in rows} | {each.persona for each in told.values()}
    query = select(persona.c.id, persona.c.name).where(persona.c.id.in_(meant - {None}))
    return {row.id: row.name for row in connection.execute(query)}


def _to_pictured(row: Any, told: Standing, names: dict[int, str]) -> Pictured:
    who = row.persona_id if told.is_what is None else told.persona
    return Pictured(
        id=row.id,
        place=row.place,
        box=tuple(row.box),
        said=told.is_what,
        persona=who,
        name=None if who is None else names.get(who),
    )


def _parts(listed: Sequence[T]) -> list[Sequence[T]]:
    return [listed[start : start + SOME] for start in range(0, len(listed), SOME)]
