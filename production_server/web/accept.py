"""Accepting a job: first it is durable, then it is on its way."""

from __future__ import annotations

import time
from collections.abc import Sequence

from production_server.broker.handover import hand_over
from production_server.jobs.publication import chunks_of
from production_server.jobs.read import get_job
from production_server.jobs.records import Job, NewItem, NewJob, Priority
from production_server.jobs.submit import submit
from production_server.models.store import ModelVersion
from production_server.web.intake import digest_of
from production_server.web.parts import WebParts

ANONYMOUS = "anonymous"
POLL_S = 0.003
MAX_POLL_S = 0.25
"""A job that is waited for is looked at after the first, then less and less often, down to the second."""


def accept(
    parts: WebParts,
    version: ModelVersion,
    items: Sequence[NewItem],
    *,
    source: str,
    priority: Priority = "normal",
    requested_version: str | None = None,
    idempotency_key: str | None = None,
) -> tuple[Job, bool]:
    """Store a job, then publish it; returns it, and whether it is new.

    A broker that does not answer does not matter to the client: the reconciler publishes the job later.

    Raises:
        Conflict: the idempotency key was used for another request.
        Unavailable: the database does not answer; nothing was accepted.
    """
    name = version.manifest.name
    new = NewJob(
        model=name,
        version=version.manifest.version,
        items=items,
        source=source,
        client=ANONYMOUS,
        priority=priority,
        idempotency_key=idempotency_key,
        request_digest=digest_of(name, requested_version, priority, items) if idempotency_key else None,
    )
    accepted, is_new = submit(parts.database, new)
    if is_new:
        hand_over(parts.publisher, parts.database, chunks_of(accepted, parts.settings.chunk_items))
    return accepted, is_new


def wait_until_over(parts: WebParts, job: Job, wait_s: float) -> Job:
    """The job as it stands when it is over, when the time is, or at once while too many requests wait already."""
    if not wait_s:
        return job
    deadline, pause_s = time.monotonic() + wait_s, POLL_S
    with parts.waiting_room.seat() as wait:
        while not job.is_over and time.monotonic() < deadline and wait(pause_s):
            pause_s = min(pause_s * 1.5, MAX_POLL_S)
            job = get_job(parts.database, job.id)
    return job
