"""Waiting for a job that was accepted."""

from __future__ import annotations

import time

from production_server.jobs.read import get_job
from production_server.jobs.records import Job
from production_server.web.parts import WebParts

POLL_S = 0.003
MAX_POLL_S = 0.25
"""A job that is waited for is looked at after the first, then less and less often, down to the second."""


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
