"""Storing what was asked for, in one transaction each: jobs of inputs, jobs of objects, scans."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from production_server.errors import Conflict
from production_server.jobs.database import Database, now
from production_server.jobs.growth import add_objects
from production_server.jobs.job_row import insert_items, insert_job, job_values, uuid7
from production_server.jobs.read import get_job, job_columns, to_job
from production_server.jobs.records import Job, NewJob, NewObjects, NewScan, Scan
from production_server.jobs.scans import ASKED, SOURCE, get_scan, scan_columns, to_scan
from production_server.jobs.tables import job, scan


def submit(
    database: Database, new: NewJob, *, before_storing: Callable[[], None] = lambda: None
) -> tuple[Job, bool]:
    """Store a job and all its items in one transaction; returns it, and whether it is new.

    Under an idempotency key that the client used before for the same request, the earlier job is returned.
    `before_storing` is called where there is none; what it raises keeps the job from being stored.

    Raises:
        Conflict: the key was used for another request.
        Unavailable: the database does not answer; nothing was accepted.
    """
    earlier = _find_earlier(database, new)
    if earlier is not None:
        return earlier, False
    before_storing()
    job_id = uuid7()
    try:
        with database.write() as connection:
            insert_job(connection, job_id, job_values(new))
            insert_items(connection, job_id, new)
    except IntegrityError:
        # The same key came twice at once and the other request was first.
        earlier = _find_earlier(database, new)
        if earlier is None:
            raise
        return earlier, False
    return get_job(database, job_id, whose=None), True


def submit_objects(database: Database, new: NewObjects, *, chunk_items: int) -> Job | None:
    """Store a job of those objects that this version has not been given before; None if there are none.

    They wait to be fetched, those of one bucket together.

    Raises:
        Unavailable: the database does not answer; nothing was accepted.
    """
    job_id = uuid7()
    told = {"model": new.model, "version": new.version, "source": new.source, "client": new.client}
    references = sorted(new.references, key=lambda reference: reference.bucket_url)
    with database.write() as connection:
        insert_job(connection, job_id, told)
        added = add_objects(
            connection, job_id, (new.model, new.version, new.client), references, chunk_items=chunk_items
        )
        if not added:
            connection.execute(delete(job).where(job.c.id == job_id))
            return None
    return get_job(database, job_id, whose=None)


def start_scan(database: Database, new: NewScan, *, client: str) -> tuple[Scan, bool]:
    """Store a scan, and the job that it fills; returns it, and whether it is new.

    Where the same client has the same listed already, that scan is returned.

    Raises:
        Unavailable: the database does not answer; nothing was accepted.
    """
    earlier = _find_listing(database, new, client)
    if earlier is not None:
        return earlier, False
    scan_id = uuid7()
    try:
        with database.write() as connection:
            asked = {name: getattr(new, name) for name in ASKED}
            connection.execute(
                insert(scan).values(id=scan_id, client=client, state="listing", created_at=now(), **asked)
            )
            if not new.dry_run:
                told = {"model": new.model, "version": new.version, "priority": new.priority}
                insert_job(
                    connection,
                    scan_id,
                    told | {"source": SOURCE, "client": client, "is_growing": True, "of_objects": True},
                )
    except IntegrityError:
        # The same came twice at once and the other request was first.
        earlier = _find_listing(database, new, client)
        if earlier is None:
            raise
        return earlier, False
    return get_scan(database, scan_id, whose=client), True


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


def _find_listing(database: Database, new: NewScan, client: str) -> Scan | None:
    is_same = [scan.c.client == client, *(scan.c[name] == getattr(new, name) for name in ASKED)]
    with database.read() as connection:
        query = select(*scan_columns).where(*is_same, scan.c.state == "listing")
        row = connection.execute(query).one_or_none()
    return None if row is None else to_scan(row)
