"""How a job ends: the one place that counts its items, and sees that nothing more will come.

A job is over when all its items are done and nothing adds any. Who wants to be told writes a row in the transaction in
which that becomes true (`Database`'s `at_end`): it is there if the end is there, once. So is what a stream is to be
told of items that are done (`jobs.deliveries`).
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection, case, func, true, update

from production_server.jobs.database import AT_END, now
from production_server.jobs.deliveries import note_cancelled, note_results
from production_server.jobs.read import job_columns, to_job
from production_server.jobs.records import Job
from production_server.jobs.tables import job

done = job.c.succeeded + job.c.failed + job.c.cancelled
"""How many items will not change any more, as `Job.done`."""


def settle(
    connection: Connection,
    job_id: UUID,
    *,
    succeeded: int = 0,
    failed: int = 0,
    cancelled: int = 0,
    stops_growing: bool = False,
    as_cancelled: bool = False,
    indexes: Collection[int] = (),
) -> Job | None:
    """Add to a job's counts, or note that nothing adds items to it any more, and end it if that was the last of it.

    `indexes`: which items have succeeded or failed.

    A job of which items were cancelled is cancelled, though those that run still finish; so is one that stops growing
    `as_cancelled`. Where there is nothing to add, only a job that grows is touched. Locks the job: after its items,
    before counts of results. Returns the job as it stands then; None: it was not touched.
    """
    added = succeeded + failed + cancelled
    if not added and not stops_growing:
        return None
    is_last = (done + added == job.c.total) & (true() if stops_growing else ~job.c.is_growing)
    is_finished = is_last & (job.c.state != "cancelled")
    is_cancelled = bool(cancelled) or as_cancelled
    ended = now() if is_cancelled else case((is_finished, now()))
    settled = update(job).values(
        succeeded=job.c.succeeded + succeeded,
        failed=job.c.failed + failed,
        cancelled=job.c.cancelled + cancelled,
        state="cancelled" if is_cancelled else case((is_finished, "finished"), else_=job.c.state),
        finished_at=func.coalesce(job.c.finished_at, ended),
    )
    if stops_growing:
        settled = settled.values(is_growing=False)
    is_touched = true() if added else job.c.is_growing
    row = connection.execute(
        settled.where(job.c.id == job_id, is_touched).returning(
            *job_columns, job.c.stream, job.c.tells_results
        )
    ).one_or_none()
    if row is None:
        return None
    if row.tells_results and indexes:
        note_results(connection, row.stream, job_id, indexes)
    if row.tells_results and cancelled:
        note_cancelled(connection, row.stream, job_id)
    settled_job = to_job(row)
    if settled_job.is_over:
        for tell in connection.get_execution_options()[AT_END]:
            tell(connection, settled_job)
    return settled_job
