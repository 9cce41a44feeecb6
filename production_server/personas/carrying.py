"""What was said of a face holds for the same face of the same picture as another version finds it.

It is carried over as decisions that name their origin, by the picture's digest and by where in it the face is. What
tells faces apart is never compared between versions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, insert, select

from production_server.jobs.database import now
from production_server.jobs.job_row import uuid7
from production_server.jobs.tables import face, persona, persona_decision
from production_server.personas.boxes import pairs
from production_server.personas.standing import is_standing, who_now

T = TypeVar("T")
SOME = 500
MOST_TWICE = 20
"""So many items with the same picture are looked at, the latest ones."""
_COLUMNS = (face.c.id, face.c.job_id, face.c.idx, face.c.model, face.c.version, face.c.box, face.c.picture)


@dataclass(slots=True)
class _Said:
    """What stands of one face, as rows, each with its root: what somebody once said."""

    is_what: Any = None
    refused: dict[int, Any] = field(default_factory=dict)
    """By persona."""


def carry_over(connection: Connection, faces: Collection[int]) -> list[int]:
    """Have what stands of the same faces as other versions found them stand of these, where that is the later word.

    Returns the faces of which something was added, each as often as that is so. Only with the lock of `state`.
    """
    same = same_faces(connection, faces)
    told = _told(connection, {*same, *(each for others in same.values() for each in others)})
    known = _origins(connection, same)
    rows: list[dict[str, Any]] = []
    for face_id, others in sorted(same.items()):
        own = told.get(face_id, _Said())
        for row in _later(own, [told[each] for each in others if each in told]):
            if (face_id, _root(row)) not in known:
                replaces = own.is_what.id if own.is_what is not None and row.kind != "reject" else None
                rows.append(_copy(row, face_id, replaces))
    if rows:
        same_of_all = {"batch": uuid7(), "at": connection.execute(select(now())).scalar_one()}
        connection.execute(insert(persona_decision), [row | same_of_all for row in rows])
    return [row["face_id"] for row in rows]


def same_faces(connection: Connection, faces: Collection[int]) -> dict[int, list[int]]:
    """For each of these faces those that are the same in the same picture, as other versions have found them."""
    found: dict[int, list[int]] = {}
    for picture in _by_picture(connection, faces).values():
        items: dict[Any, list[Any]] = {}
        for row in picture:
            items.setdefault((row.job_id, row.idx), []).append(row)
        wanted = [key for key in items if any(row.id in faces for row in items[key])]
        for key in wanted:
            for other in list(items)[-MOST_TWICE:]:
                if _embedder(items[key]) != _embedder(items[other]):
                    _note(found, items[key], items[other], faces)
    return found


def carried_from(connection: Connection, decisions: Collection[int]) -> list[Any]:
    """Rows that stand and were carried over from one of these."""
    of_it = persona_decision.c.origin.in_(list(decisions))
    return list(connection.execute(select(persona_decision).where(of_it, is_standing())))


def _by_picture(connection: Connection, faces: Collection[int]) -> dict[bytes, list[Any]]:
    """All faces of those pictures that more than one version has answered, in the order in which they were found."""
    pictures: set[bytes] = set()
    for some in _parts(faces):
        query = select(face.c.picture).where(face.c.id.in_(some), face.c.picture.is_not(None))
        pictures.update(map(bytes, connection.execute(query).scalars()))
    found: dict[bytes, list[Any]] = {}
    for some_pictures in _parts(pictures):
        query = select(*_COLUMNS).where(face.c.picture.in_(some_pictures)).order_by(face.c.id)
        for row in connection.execute(query):
            found.setdefault(bytes(row.picture), []).append(row)
    return {key: rows for key, rows in found.items() if len({(row.model, row.version) for row in rows}) > 1}


def _embedder(rows: Sequence[Any]) -> tuple[str, str]:
    return rows[0].model, rows[0].version


def _note(
    found: dict[int, list[int]], item: Sequence[Any], other: Sequence[Any], faces: Collection[int]
) -> None:
    for place, other_place in pairs([row.box for row in item], [row.box for row in other]):
        if item[place].id in faces:
            found.setdefault(item[place].id, []).append(other[other_place].id)


def _told(connection: Connection, faces: Collection[int]) -> dict[int, _Said]:
    found: dict[int, _Said] = {}
    for some in _parts(faces):
        query = (
            select(persona_decision, who_now.label("counts_as"))
            .outerjoin(persona, persona.c.id == persona_decision.c.persona_id)
            .where(is_standing(), persona_decision.c.face_id.in_(some))
            .order_by(persona_decision.c.id)
        )
        for row in connection.execute(query):
            told = found.setdefault(row.face_id, _Said())
            if row.kind == "reject":
                told.refused[row.counts_as] = row
            else:
                told.is_what = row
    return found


def _origins(connection: Connection, faces: Collection[int]) -> set[tuple[int, int]]:
    """What was carried over to these faces already, undone or not: it is not once more."""
    found: set[tuple[int, int]] = set()
    for some in _parts(faces):
        query = select(persona_decision.c.face_id, persona_decision.c.origin).where(
            persona_decision.c.face_id.in_(some),
            persona_decision.c.origin.is_not(None),
        )
        found.update((row.face_id, row.origin) for row in connection.execute(query))
    return found


def _later(own: _Said, others: Sequence[_Said]) -> list[Any]:
    """Of what stands of the others what is to stand of this one, too; never what contradicts the rest of it."""
    said = [each.is_what for each in others if each.is_what is not None]
    last = max(said, key=_root, default=None)
    if last is not None and own.is_what is not None and _root(last) <= _root(own.is_what):
        last = None
    final = last if last is not None else own.is_what
    is_who = final.counts_as if final is not None else None
    found = [last] if last is not None and is_who not in own.refused else []
    for each in others:
        found += [row for who, row in each.refused.items() if who != is_who and who not in own.refused]
    return list({_root(row): row for row in found}.values())


def _root(row: Any) -> int:
    return int(row.origin or row.id)


def _copy(row: Any, face_id: int, replaces: int | None) -> dict[str, Any]:
    return {
        "face_id": face_id,
        "kind": row.kind,
        "persona_id": row.persona_id,
        "client": row.client,
        "who": row.who,
        "replaces": replaces,
        "origin": _root(row),
    }


def _parts(all_of_them: Iterable[T]) -> Iterable[list[T]]:
    listed = list(all_of_them)
    return (listed[start : start + SOME] for start in range(0, len(listed), SOME))
