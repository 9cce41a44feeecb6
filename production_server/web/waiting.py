"""Who may wait: a request that waits for a job keeps a thread, and some must always be free for all the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Wait = Callable[[float], bool]
"""Waits for so many seconds; False, at once, for whoever may not wait (any longer)."""


class WaitingRoom:
    """As many seats as requests may wait at once. Safe to share between threads."""

    def __init__(self, seats: int) -> None:
        self._seats = threading.Semaphore(seats)
        self._closed = threading.Event()

    @contextmanager
    def seat(self) -> Iterator[Wait]:
        """Take a seat until the end of the block; without a free one, the block may not wait. Never blocks itself."""
        is_seated = self._seats.acquire(blocking=False)
        try:
            yield lambda seconds: is_seated and not self._closed.wait(seconds)
        finally:
            if is_seated:
                self._seats.release()

    def close(self) -> None:
        """Wake all who wait, and let nobody wait any more: the server stops."""
        self._closed.set()
