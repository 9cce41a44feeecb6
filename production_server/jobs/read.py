"""Reading jobs and their items: keyset pages, never offsets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Table, select

from production_server.errors import NotFound
from production_server.jobs.database import Database
from production_server.jobs.priority import stored_priority
from production_server.jobs.records import Item, Job
from production_server.jobs.tables import item, item_input, item_reference, job
from production_server.models.tasks.task import Stored
from production_server.storage.objects import Reference

job_columns = (
    job.c.id, job.c.client, job.c.model, job.c.version, job.c.source, job.c.priority, job.c.state, job.c.total,
    job.c.succeeded, job.c.failed, job.c.cancelled, job.c.created_at, job.c.started_at, job.c.finished_at,
    job.c.is_growing, stored_priority,
)  # fmt: skip
item_columns = (
    item.c.idx, item.c.name, item.c.expected, item.c.outside_training_range, item.c.state, item.c.label, item.c.score,
    item.c.output, item.c.error_code, item.c.error_message, item.c.ms, item_reference.c.url,
)  # fmt: skip
_reference_columns = (
    item_reference.c.url, item_reference.c.etag, item_reference.c.size_bytes, item_reference.c.fault,
)  # fmt: skip
item_with_place = item.outerjoin(
    item_reference, (item_reference.c.job_id == item.c.job_id) & (item_reference.c.idx == item.c.idx)
)


def belongs_to(table: Table, whose: str | None) -> list[ColumnElement[bool]]:
    """What rows of a table with clients have to fulfil that somebody may see: those of one client, None: of all."""
    return [] if whose is None else [table.c.client == whose]


def get_job(database: Database, job_id: UUID, *, whose: str | None) -> Job:
    """One job of a client as it stands; None: of any.

    Raises:
        NotFound: there is no such job (code `job_not_found`).
    """
    with database.read() as connection:
        is_it = (job.c.id == job_id, *belongs_to(job, whose))
        row = connection.execute(select(*job_columns).where(*is_it)).one_or_none()
    if row is None:
        raise NotFound(f"there is no job {job_id}", code="job_not_found")
    return to_job(row)


def list_jobs(
    database: Database,
    *,
    whose: str | None,
    model: str | None = None,
    state: str | None = None,
    after: UUID | None = None,
    limit: int,
) -> list[Job]:
    """Jobs of a client, or of all, newest first; `after` is the last job of the page before."""
    query = select(*job_columns).where(*belongs_to(job, whose)).order_by(job.c.id.desc()).limit(limit)
    if model is not None:
        query = query.where(job.c.model == model)
    if state is not None:
        query = query.where(job.c.state == state)
    if after is not None:
        query = query.where(job.c.id < after)
    with database.read() as connection:
        return [to_job(row) for row in connection.execute(query)]


def list_items(database: Database, job_id: UUID, *, after: int = -1, limit: int) -> list[Item]:
    """Items of a job in order, from index `after + 1`."""
    query = select(*item_columns).select_from(item_with_place)
    query = query.where(item.c.job_id == job_id, item.c.idx > after)
    with database.read() as connection:
        return [to_item(row) for row in connection.execute(query.order_by(item.c.idx).limit(limit))]


def every_item(database: Database, job_id: UUID, *, page: int = 1000) -> Iterator[Item]:
    """All items of a job in order, read page by page so that a large job is never in memory at once."""
    after = -1
    while items := list_items(database, job_id, after=after, limit=page):
        yield from items
        after = items[-1].index


def get_payload(database: Database, job_id: UUID, index: int) -> bytes:
    """The stored input of one item: a row as JSON, or an image file.

    Raises:
        NotFound: there is no such item (code `item_not_found`).
    """
    where = (item_input.c.job_id == job_id) & (item_input.c.idx == index)
    with database.read() as connection:
        payload = connection.execute(select(item_input.c.payload).where(where)).scalar_one_or_none()
    if payload is None:
        raise NotFound(f"job {job_id} has no item {index}", code="item_not_found")
    return bytes(payload)


def get_input(database: Database, job_id: UUID, index: int) -> bytes | Reference:
    """The stored input of one item, or where it lies.

    Raises:
        NotFound: there is no such item (code `item_not_found`).
    """
    is_one = (item_reference.c.job_id == job_id) & (item_reference.c.idx == index)
    with database.read() as connection:
        row = connection.execute(select(*_reference_columns).where(is_one)).one_or_none()
    return get_payload(database, job_id, index) if row is None else _to_reference(row)


def read_inputs(
    connection: Connection, job_id: UUID, indexes: Sequence[int]
) -> tuple[bytes | Reference, ...]:
    """The stored inputs of items, or where they lie; `indexes` in order, none of them unknown."""
    stored = select(item_input.c.idx, item_input.c.payload).where(item_input.c.job_id == job_id)
    rows = connection.execute(stored.where(item_input.c.idx.between(indexes[0], indexes[-1])))
    # Together, and by their places: row by row and by name takes twice as long.
    inputs: dict[int, bytes | Reference] = {index: bytes(payload) for index, payload in rows.all()}
    if len(inputs) < len(indexes):
        lie = select(item_reference.c.idx, *_reference_columns).where(item_reference.c.job_id == job_id)
        rows = connection.execute(lie.where(item_reference.c.idx.between(indexes[0], indexes[-1])))
        inputs |= {row.idx: _to_reference(row) for row in rows}
    return tuple(inputs[index] for index in indexes)


def get_payloads(database: Database, job_id: UUID, *, after: int = -1, limit: int) -> list[bytes]:
    """The stored inputs of a job in order, from index `after + 1`."""
    query = select(item_input.c.payload).where(item_input.c.job_id == job_id, item_input.c.idx > after)
    with database.read() as connection:
        return [
            bytes(row.payload) for row in connection.execute(query.order_by(item_input.c.idx).limit(limit))
        ]


def to_job(row: Any) -> Job:
    """A row that holds `job_columns` as a value."""
    return Job(**{column.name: getattr(row, column.name) for column in job_columns})


def _to_reference(row: Any) -> Reference:
    return Reference(row.url, row.etag, row.size_bytes, row.fault or "")


def frozen(stored: Any) -> Stored:
    """What was stored, its lists as tuples."""
    if not isinstance(stored, list):
        return stored
    return tuple(map(frozen, stored)) if stored and isinstance(stored[0], list) else tuple(stored)


def to_item(row: Any) -> Item:
    """A row that holds `item_columns` as a value."""
    return Item(
        index=row.idx,
        name=row.name,
        expected=row.expected,
        outside_training_range=tuple(row.outside_training_range or ()),
        state=row.state,
        label=row.label,
        score=row.score,
        output=frozen(row.output),
        error_code=row.error_code,
        error_message=row.error_message,
        ms=row.ms,
        url=row.url,
    )
