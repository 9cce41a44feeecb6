"""Pictures that a page shows from buckets: a store that does not answer may keep some threads waiting, and no more."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from production_server.errors import StorageUnavailable

PATIENCE_S = 1.0
"""A place is waited for no longer than this: one that is taken for longer waits for a store."""


class BoundedFetches:
    """As many places as objects may be fetched at once, half of them for one bucket. Safe to share between threads."""

    def __init__(self, places: int) -> None:
        self._places = max(1, places)
        self._taken: Counter[str] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def place(self, bucket: str) -> Iterator[None]:
        """Take a place until the end of the block.

        Raises:
            StorageUnavailable: there is none for this bucket.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(bucket), timeout=PATIENCE_S):
                raise StorageUnavailable(f"{bucket}: too many requests wait for its objects already")
            self._taken[bucket] += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken[bucket] -= 1
                self._changed.notify_all()

    def _has_room(self, bucket: str) -> bool:
        share = max(1, self._places // 2)
        return self._taken[bucket] < share and self._taken.total() < self._places
