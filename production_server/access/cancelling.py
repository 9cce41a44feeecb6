"""Cancelling jobs and scans: what an admin cancels of another client's leaves a line in the audit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import Connection

from production_server.access.audit import Act, noting
from production_server.access.records import Actor
from production_server.jobs.cancel import Told, cancel
from production_server.jobs.database import Database
from production_server.jobs.records import Job, Scan
from production_server.jobs.scans import cancel_scan as cancel_stored_scan


def cancel_job(database: Database, job_id: UUID, *, whose: str | None, by: Actor) -> Job:
    """Cancel what of a job has not run.

    Raises:
        NotFound: a client of that name has no such job; None: nobody has. Unavailable: the database does not answer.
    """
    with _telling(by, Act.JOB_CANCELLED, job_id) as told:
        return cancel(database, job_id, whose=whose, told=told)


def cancel_scan(database: Database, scan_id: UUID, *, whose: str | None, by: Actor) -> Scan:
    """Stop a listing, and cancel what of it has not run.

    Raises:
        NotFound, Unavailable: as `cancel_job`.
    """
    with _telling(by, Act.SCAN_CANCELLED, scan_id) as told:
        return cancel_stored_scan(database, scan_id, whose=whose, told=told)


@contextmanager
def _telling(by: Actor, act: Act, object_id: UUID) -> Iterator[Told]:
    with noting(by) as notes:

        def told(connection: Connection, client: str) -> None:
            if client != by.client:
                notes.write(connection, act, str(object_id), before={"client": client})

        yield told
