"""Who may wait: a request that waits for a job keeps a thread, and some must always be free for all the others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class WaitingRoom:
    """As many seats as requests may wait at once; never blocks. Safe to share between threads."""

    def __init__(self, seats: int) -> None:
        self._seats = threading.BoundedSemaphore(seats) if seats else None

    @contextmanager
    def seat(self) -> Iterator[bool]:
        """Whether there was a free seat; it is kept until the end of the block."""
        is_seated = self._seats is not None and self._seats.acquire(blocking=False)
        try:
            yield is_seated
        finally:
            if is_seated and self._seats is not None:
                self._seats.release()
