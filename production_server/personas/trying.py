"""What another promise would change: its threshold, and the faces that lie between that and the one that judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, case, func, select

from production_server.errors import NotFound
from production_server.jobs.database import Database
from production_server.jobs.tables import face, verdict
from production_server.learning.persona_means import Promise, thresholds
from production_server.personas.classifiers import latest, to_classifier
from production_server.personas.learning import NOTHING, read_labelled
from production_server.personas.promises import check_one_in, promises
from production_server.personas.records import Classifier, Embedder, Face
from production_server.personas.shown import select_faces, to_face
from production_server.personas.standing import standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What would be if one stranger in so many might get a name."""

    one_in: int
    threshold: float
    promise: Promise
    named: int
    """How many faces that nobody has labelled would have a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """The classifier that judges an embedder's faces, as it would be with other promises; the faces between two."""

    now: Classifier
    now_named: int
    tried: tuple[Tried, ...]
    between: tuple[Face, ...]
    """Those that the first of `tried` names and `now` does not, or the other way round; the surest first."""
    would_gain: bool
    """Whether the first would give names, and take none."""


def try_promises(
    database: Database, embedder: Embedder, one_ins: Sequence[int], *, offset: int = 0, limit: int
) -> Tries:
    """What would be with each of these, and the faces that lie between now and the first of them.

    It is as exact as what is learnt already; nothing is changed.

    Raises:
        InvalidInput: nobody can promise that. NotFound: nothing judges this version (code `classifier_not_found`).
        Unavailable: the database does not answer.
    """
    for each in one_ins:
        check_one_in(each)
    with database.read() as connection:
        row = next((each for each in latest(connection) if (each.model, each.version) == embedder), None)
        if row is None:
            detail = f"nothing judges faces of {embedder.model}/{embedder.version} yet: label some"
            raise NotFound(detail, code="classifier_not_found")
        now = to_classifier(row, promises(connection).get(row.model))
        labelled = read_labelled(connection, standing(connection)).get(embedder, NOTHING)
        found = thresholds(labelled, [1 / each for each in one_ins])
        is_its = (face.c.model == embedder.model, face.c.version == embedder.version)
        named = _count(connection, is_its, [now.threshold, *(threshold for threshold, _ in found)])
        tried = tuple(
            Tried(one_in=one_in, threshold=threshold, promise=promise, named=count)
            for one_in, (threshold, promise), count in zip(one_ins, found, named[1:], strict=True)
        )
        low, high = sorted((now.threshold, tried[0].threshold))
        is_between = (verdict.c.cosine >= low, verdict.c.cosine < high)
        query = select_faces().where(*is_its, *is_between)
        query = query.order_by(verdict.c.cosine.desc(), face.c.id).offset(offset).limit(limit)
        return Tries(
            now=now,
            now_named=named[0],
            tried=tried,
            between=tuple(to_face(each) for each in connection.execute(query)),
            would_gain=tried[0].threshold < now.threshold,
        )


def _count(
    connection: Connection, is_its: Sequence[ColumnElement[bool]], cosines: Sequence[float]
) -> list[int]:
    """How many faces that are judged reach each of these cosines, in one pass."""
    reached = [func.count(case((verdict.c.cosine >= cosine, 1))) for cosine in cosines]
    query = select(*reached).select_from(verdict).join(face, face.c.id == verdict.c.face_id).where(*is_its)
    return [int(each) for each in connection.execute(query).one()]
