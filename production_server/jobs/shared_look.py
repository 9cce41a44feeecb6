"""Looks at the database that the threads of a process share: whoever waited for somebody else's has what he wants."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class SharedLook:
    """One look at a time. Safe to share between threads."""

    def __init__(self, look: Callable[[], None]) -> None:
        """`look` finds out how things stand; what it raises is passed on, and then it was no look."""
        self._look = look
        self._looking = threading.Lock()
        self.began_at = 0.0
        """When the last one began, by the monotonic clock; 0: there was none."""

    def now(self) -> None:
        """Look. Blocks."""
        with self._looking:
            self._take()

    def again(self) -> None:
        """See to it that what was stored before now is known. Blocks."""
        asked_at = time.monotonic()
        with self._looking:
            if self.began_at <= asked_at:
                self._take()

    def _take(self) -> None:
        at = time.monotonic()
        self._look()
        self.began_at = at
