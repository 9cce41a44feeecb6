"""Who runs the model on chunks, and when: only so many threads at once, and while clients wait at most one.

The threads that work off messages and those that fetch objects share these turns: whoever waits for a network has none.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator

RECENT_S = 0.5
"""So long after the last call more are expected."""
PATIENCE_S = 1.0
"""A batch that takes longer than this does not hold up the other thread's chunk."""
NICENESS = 10
"""Of the threads that work on chunks, always: what else runs on the machine is waited for by somebody."""


class Throttle:
    """Shared by whoever answers calls and whoever works on chunks in a process."""

    def __init__(self, slots: int = 2) -> None:
        """`slots`: so many threads may be at work on batches of chunks at once."""
        self._slots = threading.BoundedSemaphore(slots)
        self._call_came_at = float("-inf")
        self._turn = threading.Lock()
        self._thread = threading.local()

    def call_came(self) -> None:
        """A client waits."""
        self._call_came_at = time.monotonic()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """While a thread decodes and runs one batch of a chunk."""
        self._lower_priority()
        with self._slots, self._after_calls():
            yield

    @contextlib.contextmanager
    def _after_calls(self) -> Iterator[None]:
        if time.monotonic() - self._call_came_at > RECENT_S:
            yield
            return
        has_turn = self._turn.acquire(timeout=PATIENCE_S)
        try:
            yield
        finally:
            if has_turn:
                self._turn.release()

    def _lower_priority(self) -> None:
        """Of this thread alone: to Linux, a thread has a priority of its own. Elsewhere it stays as it is."""
        if getattr(self._thread, "is_low", False):
            return
        self._thread.is_low = True
        with contextlib.suppress(AttributeError, OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
