"""Which queue a job's chunks travel in: decided once, when its items are stored, and stored with it."""

from __future__ import annotations

from sqlalchemy import func

from production_server.jobs.records import Priority
from production_server.jobs.tables import job

SMALL_JOB_ITEMS = 16
"""Jobs of at most this many items travel in the high-priority queue: a single row must not wait for a bulk job."""

# What was stored by a release that decided nothing travels as it was asked for.
stored_priority = func.coalesce(job.c.effective_priority, job.c.priority).label("effective_priority")


def decide_priority(asked: Priority, items: int, *, is_growing: bool = False) -> Priority:
    """How a job of so many items travels; of one that grows nobody knows how many it will have."""
    return "high" if items <= SMALL_JOB_ITEMS and not is_growing else asked
