"""Answering items again by another version: their stored inputs become items of a job of its own, page by page.

What they were answered before stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, func, insert, literal, select, update

from production_server.jobs.bulk import insert_many
from production_server.jobs.database import Database
from production_server.jobs.job_row import insert_job
from production_server.jobs.publication import note_unpublished
from production_server.jobs.settle import settle
from production_server.jobs.tables import answered_again, item, item_input, job

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


def add_again(database: Database, run_id: UUID, job_id: UUID, *, most: int) -> range:
    """Add the next of the chosen items to the job; returns their indexes: empty, there are no more.

    Raises:
        Unavailable: the database does not answer; nothing was added.
    """
    is_new = (answered_again.c.run_id == run_id) & answered_again.c.new_idx.is_(None)
    is_input = and_(item_input.c.job_id == answered_again.c.job_id, item_input.c.idx == answered_again.c.idx)
    with database.write() as connection:
        # The job is locked first: who adds at the same moment waits, and finds others.
        first = connection.execute(
            select(job.c.total).where(job.c.id == job_id).with_for_update()
        ).scalar_one()
        query = select(answered_again.c.place).select_from(answered_again.join(item_input, is_input))
        places = list(
            connection.execute(query.where(is_new).order_by(answered_again.c.place).limit(most)).scalars()
        )
        if not places:
            return range(first, first)
        is_it = (answered_again.c.run_id == run_id) & (answered_again.c.place == bindparam("at"))
        placed = update(answered_again).where(is_it).values(new_idx=bindparam("index"))
        # All at once: one statement each took four fifths of the time of a page.
        connection.execute(
            placed, [{"at": place, "index": index} for index, place in enumerate(places, first)]
        )
        _copy(connection, run_id, job_id, first)
        connection.execute(update(job).where(job.c.id == job_id).values(total=first + len(places)))
        note_unpublished(connection, job_id, first)
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


def _copy(connection: Connection, run_id: UUID, job_id: UUID, first: int) -> None:
    """Make items of what was given an index from `first` on."""
    is_it = (answered_again.c.run_id == run_id) & (answered_again.c.new_idx >= first)
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
    of_input = and_(item_input.c.job_id == answered_again.c.job_id, item_input.c.idx == answered_again.c.idx)
    inputs = select(
        literal(job_id, job.c.id.type), answered_again.c.new_idx, item_input.c.payload
    ).select_from(answered_again.join(item_input, of_input))
    connection.execute(insert(item_input).from_select(["job_id", "idx", "payload"], inputs.where(is_it)))
