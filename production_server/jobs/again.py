"""Answering items again by another version: their inputs become items of a job of its own, page by page.

What they were answered before stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    bindparam,
    case,
    func,
    insert,
    literal,
    select,
    update,
)

from production_server.jobs.bulk import insert_many
from production_server.jobs.database import Database
from production_server.jobs.job_row import insert_job
from production_server.jobs.object_chunks import enter
from production_server.jobs.publication import note_unpublished
from production_server.jobs.settle import done, settle
from production_server.jobs.tables import answered_again, item, item_input, item_reference, job
from production_server.storage.objects import Reference

SOURCE = "training"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What a version answers otherwise than what answered before it."""

    answered: int
    changed: int
    agree_now: int
    """Labelled items that it answers as people say, and that were not answered so before."""
    agree_no_more: int

    def __str__(self) -> str:
        return (
            f"{self.changed} of {self.answered} answers changed, {self.agree_now} now agree with you, "
            f"{self.agree_no_more} no longer"
        )

    def to_json(self) -> Mapping[str, int]:
        """As it is stored."""
        return asdict(self)


def choose_again(connection: Connection, run_id: UUID, chosen: list[tuple[UUID, int, str | None]]) -> None:
    """Note which items are to be answered again, each with what people say that it is, in this order."""
    insert_many(
        connection,
        answered_again,
        {"run_id": run_id},
        ("place", "job_id", "idx", "truth"),
        ((place, *each) for place, each in enumerate(chosen)),
    )


def begin_again(connection: Connection, job_id: UUID, *, model: str, version: str, client: str) -> None:
    """Insert a job that grows, for answers of a version."""
    told = {"model": model, "version": version, "source": SOURCE, "client": client, "is_growing": True}
    insert_job(connection, job_id, told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What was added to a job that grows."""

    stored: range
    """Indexes of items whose inputs are stored: messages are to speak of them. Objects wait to be fetched."""
    is_all: bool
    """There is nothing left to add."""


def add_again(database: Database, run_id: UUID, job_id: UUID, *, most: int, chunk_items: int) -> Added:
    """Add the next of the chosen items to the job: first what is stored, and when that is done what lies in buckets.

    Raises:
        Unavailable: the database does not answer; nothing was added.
    """
    with database.write() as connection:
        # The job is locked first: who adds at the same moment waits, and finds others.
        row = connection.execute(
            select(job.c.total, job.c.of_objects, done.label("done"))
            .where(job.c.id == job_id)
            .with_for_update()
        ).one()
        nothing = range(row.total, row.total)
        places = _next_places(connection, run_id, item_input, most)
        if places:
            added = _add(connection, run_id, job_id, places, first=row.total)
            note_unpublished(connection, job_id, added.start)
            return Added(stored=added, is_all=False)
        places = _next_places(connection, run_id, item_reference, most)
        if not places:
            return Added(stored=nothing, is_all=True)
        # A job of objects has no messages, so none that is lost is sent again: what is stored is done first.
        if row.of_objects or row.done == row.total:
            added = _add(connection, run_id, job_id, places, first=row.total)
            lie = select(item_reference.c.url).where(
                item_reference.c.job_id == job_id, item_reference.c.idx >= added.start
            )
            urls = connection.execute(lie.order_by(item_reference.c.idx)).scalars()
            references = [Reference(url) for url in urls]
            enter(connection, job_id, added.start, references, priority="normal", chunk_items=chunk_items)
            connection.execute(update(job).where(job.c.id == job_id).values(of_objects=True))
        return Added(stored=nothing, is_all=False)


def _next_places(connection: Connection, run_id: UUID, inputs: Table, most: int) -> list[int]:
    """Chosen items that are not in the job yet, and whose inputs are in that table."""
    is_new = (answered_again.c.run_id == run_id) & answered_again.c.new_idx.is_(None)
    is_input = and_(inputs.c.job_id == answered_again.c.job_id, inputs.c.idx == answered_again.c.idx)
    query = select(answered_again.c.place).select_from(answered_again.join(inputs, is_input))
    return list(
        connection.execute(query.where(is_new).order_by(answered_again.c.place).limit(most)).scalars()
    )


def _add(connection: Connection, run_id: UUID, job_id: UUID, places: Sequence[int], *, first: int) -> range:
    is_it = (answered_again.c.run_id == run_id) & (answered_again.c.place == bindparam("at"))
    numbered = update(answered_again).where(is_it).values(new_idx=bindparam("index"))
    connection.execute(numbered, [{"at": place, "index": n} for n, place in enumerate(places, first)])
    _copy(connection, run_id, job_id, places)
    connection.execute(update(job).where(job.c.id == job_id).values(total=first + len(places)))
    return range(first, first + len(places))


def end_again(database: Database, job_id: UUID) -> None:
    """Nothing is added to the job any more."""
    with database.write() as connection:
        settle(connection, job_id, stops_growing=True)


def changed_by(database: Database, run_id: UUID, job_id: UUID) -> Changed:
    """What was answered otherwise.

    Raises:
        Unavailable: the database does not answer.
    """
    old, new = item.alias("old"), item.alias("new")
    rows = answered_again.join(
        old, and_(old.c.job_id == answered_again.c.job_id, old.c.idx == answered_again.c.idx)
    ).join(new, and_(new.c.job_id == literal(job_id), new.c.idx == answered_again.c.new_idx))
    truth = answered_again.c.truth
    is_changed = func.coalesce(old.c.label, "") != func.coalesce(new.c.label, "")

    def count(when: ColumnElement[bool]) -> ColumnElement[int]:
        return func.coalesce(func.sum(case((when, 1), else_=0)), 0)

    query = (
        select(
            func.count().label("answered"),
            count(is_changed).label("changed"),
            count(is_changed & (new.c.label == truth)).label("agree_now"),
            count(is_changed & (old.c.label == truth)).label("agree_no_more"),
        )
        .select_from(rows)
        .where(answered_again.c.run_id == run_id, new.c.state == "succeeded")
    )
    with database.read() as connection:
        row = connection.execute(query).one()
    answered, *others = map(int, row)
    return Changed(answered=answered, changed=others[0], agree_now=others[1], agree_no_more=others[2])


def _copy(connection: Connection, run_id: UUID, job_id: UUID, places: Sequence[int]) -> None:
    """Make items of what was given an index just now."""
    is_it = (answered_again.c.run_id == run_id) & answered_again.c.new_idx.is_not(None)
    is_it &= answered_again.c.place.in_(places)
    of_item = and_(item.c.job_id == answered_again.c.job_id, item.c.idx == answered_again.c.idx)
    copied = select(
        literal(job_id, job.c.id.type),
        answered_again.c.new_idx,
        item.c.name,
        answered_again.c.truth,
        item.c.outside_training_range,
        literal("queued"),
    ).select_from(answered_again.join(item, of_item))
    names = ["job_id", "idx", "name", "expected", "outside_training_range", "state"]
    connection.execute(insert(item).from_select(names, copied.where(is_it)))
    for table in (item_input, item_reference):
        of_input = and_(table.c.job_id == answered_again.c.job_id, table.c.idx == answered_again.c.idx)
        kept = [column for column in table.c if column.name not in ("job_id", "idx")]
        inputs = select(literal(job_id, job.c.id.type), answered_again.c.new_idx, *kept)
        inputs = inputs.select_from(answered_again.join(table, of_input)).where(is_it)
        names = ["job_id", "idx", *(column.name for column in kept)]
        connection.execute(insert(table).from_select(names, inputs))
