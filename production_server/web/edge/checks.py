"""Looking at what a body holds, which takes a thread and a processor: some of each are always free for all else."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from production_server.errors import Unavailable

ENTRY_S = 0.25
"""How long a request waits, with a thread that others need, until it may wait for a place."""
PATIENCE_S = 10.0
"""How long one waits then: as long as most take."""


class BoundedChecks:
    """Places for requests whose bodies are large, images or tables. Safe to share between threads."""

    def __init__(self, threads: int) -> None:
        """So many threads may work on such bodies, or wait to; at work are as many as there are processors."""
        self._threads = threading.Semaphore(max(1, threads))
        self._places = threading.Semaphore(max(1, min(threads, (os.cpu_count() or 1) + 1)))

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place until the end of the block.

        Raises:
            Unavailable: others have them all (code `overloaded`).
        """
        with _taken(self._threads, ENTRY_S), _taken(self._places, PATIENCE_S):
            yield


@contextmanager
def _taken(places: threading.Semaphore, patience_s: float) -> Iterator[None]:
    if not places.acquire(timeout=patience_s):
        raise Unavailable("too much is being submitted at once", code="overloaded")
    try:
        yield
    finally:
        places.release()
