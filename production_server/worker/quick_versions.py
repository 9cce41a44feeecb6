"""Which batches of calls are answered sooner than they are handed to another thread."""

from __future__ import annotations

import time
from collections.abc import Callable

from production_server.broker.calls import Request

QUICK_S = 200e-6
"""Processor time of a batch. To hand one over, and its reply back, costs 100 to 150 µs (docs/benchmarks.md)."""
WEIGHT = 8
"""The last batch's part in what is typical is one of so many: eight quick ones make a version quick."""
NOTICED_S = 0.005
"""By the clock: what keeps the receiving thread longer may wait for something, and its processor time says little."""
SLOW_S = 0.02
"""By the clock: this long others wait for the receiving thread, and then no more for a while."""
SHARE = 20
"""Whoever keeps the receiving thread has it left alone for so many times as long: that is 5 % of its time at most."""
MOST_BYTES = 2**16
"""Of a batch that may be quick: what is larger is not even looked at."""
MOST_KNOWN = 1000
"""Of versions and sizes."""

_Key = tuple[str, str, int]


class QuickVersions:
    """Learns from how long batches take. Threads may share it: what is lost of one batch comes with the next."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._typical_s: dict[_Key, float] = {}
        """By version and size: that a row is quick says nothing of a thousand."""
        self._not_before = 0.0

    def has(self, request: Request, size_bytes: int) -> bool:
        """Whether the receiving thread may run a batch."""
        typical_s = self._typical_s.get(_key(request, size_bytes))
        return typical_s is not None and typical_s <= QUICK_S and self._clock() >= self._not_before

    def took(
        self, request: Request, size_bytes: int, *, processor_s: float, clock_s: float, is_here: bool
    ) -> None:
        """A batch took so long of its thread's processor time, and by the clock, which others' work is in, too.

        `is_here`: the thread was the receiving one, and others waited for it.
        """
        key = _key(request, size_bytes)
        if key not in self._typical_s and len(self._typical_s) >= MOST_KNOWN:
            self._typical_s.clear()
        before_s = self._typical_s.get(key, 2 * QUICK_S)
        took_s = clock_s if is_here and clock_s > NOTICED_S else processor_s
        self._typical_s[key] = before_s + (took_s - before_s) / WEIGHT
        if is_here and clock_s > SLOW_S:
            self._not_before = self._clock() + SHARE * clock_s


def _key(request: Request, size_bytes: int) -> _Key:
    return request.model, request.version, size_bytes.bit_length()
