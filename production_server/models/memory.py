"""How much memory work takes at once, however many threads do it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from production_server.errors import Unavailable


class MemoryBudget:
    """Bytes that threads share, in the order in which they ask; who wants more than there are gets all, alone."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._taken_bytes = 0
        self._changed = threading.Condition()
        self._turn = threading.Lock()
        """Held by whoever waits, so that small ones do not pass a big one for ever."""

    @contextmanager
    def take(self, size_bytes: int, *, patience_s: float) -> Iterator[None]:
        """Hold so many bytes; waits so long until they are there. Not to be called by who holds some already.

        Raises:
            Unavailable: they are not there in time (code `overloaded`).
        """
        wanted = min(size_bytes, self.size_bytes)
        self._wait_for(wanted, until=time.monotonic() + patience_s)
        try:
            yield
        finally:
            with self._changed:
                self._taken_bytes -= wanted
                self._changed.notify_all()

    def _wait_for(self, wanted: int, *, until: float) -> None:
        if not self._turn.acquire(timeout=max(0.0, until - time.monotonic())):
            raise _others_have_it()
        try:
            with self._changed:
                left_s = max(0.0, until - time.monotonic())
                if not self._changed.wait_for(lambda: self._taken_bytes + wanted <= self.size_bytes, left_s):
                    raise _others_have_it()
                self._taken_bytes += wanted
        finally:
            self._turn.release()


def _others_have_it() -> Unavailable:
    return Unavailable(
        "other images are being decoded, which takes all memory that there is for it", code="overloaded"
    )
