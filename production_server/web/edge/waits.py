"""Waiting: a request that waits for something keeps a thread, and some must always be free for all the others.

Streams keep none, but are asked again and again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from production_server.errors import Unavailable
from production_server.jobs.database import Database
from production_server.jobs.read import get_job
from production_server.jobs.records import Job

Wait = Callable[[float], bool]
"""Waits for so many seconds; False, at once, for whoever may not wait (any longer)."""

POLL_S = 0.003
MAX_POLL_S = 0.25
"""A job that is waited for is looked at after the first, then less and less often, down to the second."""


class BoundedWaits:
    """As many places as requests may wait at once. Safe to share between threads."""

    def __init__(self, places: int) -> None:
        self._places = threading.Semaphore(places)
        self._closed = threading.Event()

    @contextmanager
    def place(self) -> Iterator[Wait]:
        """Take a place until the end of the block; without a free one, the block may not wait. Never blocks itself."""
        has_place = self._places.acquire(blocking=False)
        try:
            yield lambda seconds: has_place and not self._closed.wait(seconds)
        finally:
            if has_place:
                self._places.release()

    def close(self) -> None:
        """Wake all who wait, and let nobody wait any more: the server stops."""
        self._closed.set()


def wait_until_over(
    job: Job, wait_s: float, *, place: AbstractContextManager[Wait], database: Database
) -> Job:
    """The job as it stands when it is over, when the time is, or at once where there is no place to wait in.

    What was accepted stays so, also where the database falls silent meanwhile. Whatever the place raises is passed on.
    """
    if not wait_s:
        return job
    deadline, pause_s = time.monotonic() + wait_s, POLL_S
    with place as wait:
        while not job.is_over and time.monotonic() < deadline and wait(pause_s):
            pause_s = min(pause_s * 1.5, MAX_POLL_S)
            try:
                job = get_job(database, job.id, whose=None)
            except Unavailable:
                break
    return job
