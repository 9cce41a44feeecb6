"""Cancelling jobs, and the scans that fill them."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import Connection, delete, update

from production_server.jobs.database import Database, now
from production_server.jobs.leases import FREE
from production_server.jobs.read import get_job
from production_server.jobs.records import Job
from production_server.jobs.settle import settle
from production_server.jobs.tables import item, object_chunk, scan

Told = Callable[[Connection, str], None]
"""Is told, in the transaction in which something of a client's is cancelled, which client that is."""


def cancel(database: Database, job_id: UUID, *, whose: str | None, told: Told | None = None) -> Job:
    """Cancel what of a client's job has not run; items that a worker has in hand still finish.

    Does nothing to a job that is over, of which nobody is `told`.

    Raises:
        NotFound: there is no such job.
    """
    get_job(database, job_id, whose=whose)
    with database.write(may_take_long=True) as connection:
        # Scan, items, job: whoever adds a page locks them in this order, too.
        stop_scan(connection, job_id)
        waiting = _cancel_items(connection, job_id)
        # What somebody has in hand he ends himself.
        is_free = (object_chunk.c.job_id == job_id) & object_chunk.c.lease_token.is_(None)
        connection.execute(delete(object_chunk).where(is_free))
        settled = settle(connection, job_id, cancelled=waiting, stops_growing=True, as_cancelled=True)
        if told is not None and settled is not None:
            told(connection, settled.client)
    return get_job(database, job_id, whose=whose)


def cancel_waiting(connection: Connection, job_id: UUID) -> None:
    """Cancel a job's queued items, and with them the job; does nothing if there are none."""
    settle(connection, job_id, cancelled=_cancel_items(connection, job_id))


def stop_scan(connection: Connection, scan_id: UUID) -> bool:
    """Cancel a scan that still lists; whether it did."""
    is_it = (scan.c.id == scan_id) & (scan.c.state == "listing")
    stopped = update(scan).where(is_it).values(state="cancelled", finished_at=now(), **FREE)
    return connection.execute(stopped).rowcount > 0


def _cancel_items(connection: Connection, job_id: UUID) -> int:
    is_waiting = (item.c.job_id == job_id) & (item.c.state == "queued")
    # Items before the job, as claims and results lock them: the other order could deadlock.
    return connection.execute(update(item).where(is_waiting).values(state="cancelled")).rowcount
