"""How much memory images take at once while they are decoded, however many threads decode."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class MemoryBudget:
    """Bytes that threads share, in the order in which they ask; who wants more than there are gets all, alone."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._taken_bytes = 0
        self._changed = threading.Condition()
        self._turn = threading.Lock()
        """Held by whoever waits, so that small ones do not pass a big one for ever."""

    @contextmanager
    def take(self, size_bytes: int) -> Iterator[None]:
        """Hold so many bytes; blocks until they are there. Not to be called by who holds some already."""
        wanted = min(size_bytes, self.size_bytes)
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._taken_bytes + wanted <= self.size_bytes)
            self._taken_bytes += wanted
        try:
            yield
        finally:
            with self._changed:
                self._taken_bytes -= wanted
                self._changed.notify_all()
