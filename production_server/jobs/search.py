"""Searching all results by what they are, and by where their inputs lie: keyset pages, newest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, tuple_

from production_server.jobs.database import Database
from production_server.jobs.read import item_columns, item_with_place, to_item
from production_server.jobs.records import Item
from production_server.jobs.series import Chosen, find_series
from production_server.jobs.tables import item, item_reference, job, tally_hour
from production_server.jobs.tally import ONE_OF_SEVERAL
from production_server.models.tasks.label_sets import BETWEEN, to_text, within

FEW_OBJECTS = 10_000
"""So many objects below a place are looked at one by one; where there are more, results are, newest first."""
BEYOND = "\U0010ffff"
"""Comes after every character of a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a result must be; None: whatever. Times in seconds since the Unix epoch."""

    chosen: Chosen = field(default_factory=Chosen)
    state: Literal["succeeded", "failed"] | None = None
    label: str | None = None
    """An answer, or one of several; a bar alone: of several none."""
    error_code: str | None = None
    min_score: float | None = None
    max_score: float | None = None
    """Scores are below it; a probability of 1 is below 1."""
    since: float | None = None
    until: float | None = None
    key: str | None = None
    """A URL: what lies below it, or begins so; otherwise a part of the name, large or small letters."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a result stands among all, and so where to go on behind it."""

    finished_at: float
    job_id: UUID
    index: int


@dataclass(frozen=True, slots=True)
class Found:
    """A result with whose it is."""

    place: Place
    model: str
    version: str
    source: str
    item: Item


def search(database: Database, wanted: Search, *, after: Place | None = None, limit: int) -> list[Found]:
    """Results, newest first, from behind `after`.

    Raises:
        Unavailable: the database does not answer.
    """
    with database.read() as connection:
        finished_at: ColumnElement[float] = item.c.finished_at
        conditions = _conditions(connection, wanted)
        if wanted.key is not None:
            has_key, are_few = _has_key(connection, wanted.key)
            conditions.append(has_key)
            if are_few:
                # Not by the index of times, then, which no expression can use: what is found is sorted.
                finished_at = finished_at + 0
        if after is not None:
            conditions.append(_is_behind(finished_at, after))
        if wanted.since is not None:
            conditions.append(finished_at >= wanted.since)
        if wanted.until is not None:
            conditions.append(finished_at < wanted.until)
        query = (
            select(item.c.job_id, item.c.finished_at, *item_columns, job.c.model, job.c.version, job.c.source)
            .select_from(item_with_place.join(job, job.c.id == item.c.job_id))
            .where(finished_at.is_not(None), *conditions)
            .order_by(finished_at.desc(), item.c.job_id.desc(), item.c.idx.desc())
            .limit(limit)
        )
        return [_to_found(row) for row in connection.execute(query)]


def every_result(database: Database, wanted: Search, *, page: int = 1000) -> Iterator[Found]:
    """All results that a search finds, read page by page so that they are never in memory at once."""
    after = None
    while found := search(database, wanted, after=after, limit=page):
        yield from found
        after = found[-1].place


def _conditions(connection: Connection, wanted: Search) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.chosen != Chosen():
        conditions.append(item.c.series_id.in_(find_series(connection, wanted.chosen)))
    conditions += _has_ended(wanted)
    if wanted.label is not None:
        conditions.append(_has_label(connection, wanted.label))
    if wanted.error_code is not None:
        conditions += [item.c.label.is_(None), item.c.error_code == wanted.error_code]
    return conditions + _has_score(wanted)


def _has_ended(wanted: Search) -> list[ColumnElement[bool]]:
    """Labels are in the index, states are not: what has a label has not failed, and need not be looked at."""
    if wanted.state is None:
        return []
    if wanted.state == "failed":
        return [item.c.label.is_(None), item.c.state == "failed"]
    return [or_(item.c.label.is_not(None), item.c.state == "succeeded")]


def _has_score(wanted: Search) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.min_score is not None:
        conditions.append(item.c.score >= wanted.min_score)
    if wanted.max_score is not None:
        is_below = item.c.score < wanted.max_score
        if wanted.max_score == 1:
            is_below = or_(is_below, and_(item.c.score == 1, item.c.label.is_not(None)))
        conditions.append(is_below)
    return conditions


def _has_label(connection: Connection, label: str) -> ColumnElement[bool]:
    """Whether a result has that label, alone or as one of several."""
    if label == BETWEEN:
        return item.c.label.in_((BETWEEN, to_text(())))
    # Only where it was ever one of several: texts that contain it are found by no index.
    counted = (
        select(tally_hour.c.series_id)
        .distinct()
        .where(tally_hour.c.tenth == ONE_OF_SEVERAL, tally_hour.c.result == label)
    )
    several = list(connection.execute(counted).scalars())
    if not several:
        return item.c.label == label
    place = func.instr if connection.dialect.name == "sqlite" else func.strpos
    is_one_of = and_(item.c.series_id.in_(several), place(item.c.label, within(label)) > 0)
    return or_(item.c.label == label, is_one_of)


def _has_key(connection: Connection, key: str) -> tuple[ColumnElement[bool], bool]:
    """Whether a result has that key, and whether so few objects do that they are found by it."""
    if "://" not in key:
        return item.c.name.icontains(key, autoescape=True), False
    begins = _begins(connection, key)
    if _are_few(connection, begins):
        return begins, True
    return func.substr(item_reference.c.url, 1, len(key)) == key, False


def _begins(connection: Connection, url: str) -> ColumnElement[bool]:
    """As code points go: PostgreSQL's usual order is a language's, which its index of URLs does not follow."""
    from_, to = (">=", "<") if connection.dialect.name == "sqlite" else ("~>=~", "~<~")
    column = item_reference.c.url
    return and_(column.bool_op(from_)(url), column.bool_op(to)(url + BEYOND))


def _are_few(connection: Connection, begins: ColumnElement[bool]) -> bool:
    first = select(item_reference.c.idx).where(begins).limit(FEW_OBJECTS + 1).subquery()
    return connection.execute(select(func.count()).select_from(first)).scalar_one() <= FEW_OBJECTS


def _is_behind(finished_at: ColumnElement[float], after: Place) -> ColumnElement[bool]:
    of_the_same_time = tuple_(item.c.job_id, item.c.idx) < tuple_(after.job_id, after.index)
    return and_(finished_at <= after.finished_at, or_(finished_at < after.finished_at, of_the_same_time))


def _to_found(row: Any) -> Found:
    place = Place(row.finished_at, row.job_id, row.idx)
    return Found(place, row.model, row.version, row.source, to_item(row))
