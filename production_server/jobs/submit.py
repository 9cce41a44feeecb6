"""Accepting jobs."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from production_server.errors import Conflict
from production_server.jobs.bulk import insert_many
from production_server.jobs.database import Database
from production_server.jobs.job_row import insert_job, uuid7
from production_server.jobs.read import get_job, job_columns, to_job
from production_server.jobs.records import Job, NewJob
from production_server.jobs.tables import item, item_input, job


def submit(database: Database, new: NewJob) -> tuple[Job, bool]:
    """Store a job and all its items in one transaction; returns it, and whether it is new.

    Under an idempotency key that the client used before for the same request, the earlier job is returned.

    Raises:
        Conflict: the key was used for another request.
        Unavailable: the database does not answer; nothing was accepted.
    """
    earlier = _find_earlier(database, new)
    if earlier is not None:
        return earlier, False
    job_id = uuid7()
    try:
        with database.write() as connection:
            insert_job(connection, job_id, _job_values(new))
            _insert_items(connection, job_id, new)
    except IntegrityError:
        # The same key came twice at once and the other request was first.
        earlier = _find_earlier(database, new)
        if earlier is None:
            raise
        return earlier, False
    return get_job(database, job_id), True


def _find_earlier(database: Database, new: NewJob) -> Job | None:
    if new.idempotency_key is None:
        return None
    is_same_key = (job.c.client == new.client) & (job.c.idempotency_key == new.idempotency_key)
    with database.read() as connection:
        row = connection.execute(select(job.c.request_digest, *job_columns).where(is_same_key)).one_or_none()
    if row is None:
        return None
    if row.request_digest != new.request_digest:
        raise Conflict(f"the idempotency key {new.idempotency_key!r} was used before for another request")
    return to_job(row)


def _job_values(new: NewJob) -> dict[str, object]:
    return {
        "model": new.model,
        "version": new.version,
        "source": new.source,
        "client": new.client,
        "idempotency_key": new.idempotency_key,
        "request_digest": new.request_digest,
        "priority": new.priority,
        "total": len(new.items),
    }


def _insert_items(connection: Connection, job_id: UUID, new: NewJob) -> None:
    insert_many(
        connection,
        item,
        {"job_id": job_id, "state": "queued"},
        ("idx", "name", "expected", "outside_training_range"),
        (
            (index, entry.name, entry.expected, list(entry.outside_training_range) or None)
            for index, entry in enumerate(new.items)
        ),
    )
    insert_many(
        connection,
        item_input,
        {"job_id": job_id},
        ("idx", "payload"),
        ((index, entry.payload) for index, entry in enumerate(new.items)),
    )
