"""A claim's inputs, batch by batch: those that lie in buckets are fetched while the batches before are classified."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from production_server.errors import CeleriacError, StorageUnavailable
from production_server.settings import Settings
from production_server.storage.objects import Reference
from production_server.storage.storage import Storage

log = logging.getLogger(__name__)

Input = bytes | CeleriacError
"""What was stored or fetched, or why it cannot be had."""

BATCH_BYTES = 64 * 2**20
AHEAD_BYTES = 128 * 2**20
"""So many bytes are fetched ahead at most, in each thread that works on chunks; by the sizes that were listed."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0


class Stopping(Exception):
    """Raised when a stop is asked for while a store is waited for."""


@dataclass(slots=True)
class Inputs:
    """Brings inputs to the threads of one worker."""

    storage: Storage
    settings: Settings
    stopping: threading.Event
    _pool: ThreadPoolExecutor | None = None
    _starting: threading.Lock = field(default_factory=threading.Lock)

    def batches(self, inputs: Sequence[bytes | Reference]) -> Iterator[list[Input]]:
        """The inputs in order, in batches of at most `BATCH_ITEMS` and of no more bytes than fit in memory.

        Raises:
            StorageUnavailable: a store did not answer for `STORAGE_PATIENCE_S`. Stopping: a stop is asked for.
        """
        batch: list[Input] = []
        size_bytes = 0
        for data in self._in_order(inputs):
            batch.append(data)
            size_bytes += len(data) if isinstance(data, bytes) else 0
            if len(batch) == self.settings.batch_items or size_bytes >= BATCH_BYTES:
                yield batch
                batch, size_bytes = [], 0
        if batch:
            yield batch

    def close(self) -> None:
        """End the threads that fetch."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _in_order(self, inputs: Sequence[bytes | Reference]) -> Iterator[Input]:
        """Each input; of those that follow, as many are on their way as may be."""
        waiting = deque(inputs)
        coming: deque[tuple[bytes | Future[Input], int]] = deque()
        ahead_bytes = 0
        try:
            while waiting or coming:
                while waiting and self._may_fetch(waiting[0], len(coming), ahead_bytes):
                    entry = self._begin(waiting.popleft())
                    coming.append(entry)
                    ahead_bytes += entry[1]
                data, size_bytes = coming.popleft()
                ahead_bytes -= size_bytes
                yield data if isinstance(data, bytes) else data.result()
        finally:
            for data, _ in coming:
                if isinstance(data, Future):
                    data.cancel()

    def _may_fetch(self, following: bytes | Reference, coming: int, ahead_bytes: int) -> bool:
        size_bytes = following.size_bytes if isinstance(following, Reference) else 0
        is_room = coming < 2 * self.settings.batch_items and ahead_bytes + size_bytes <= AHEAD_BYTES
        return coming == 0 or is_room

    def _begin(self, following: bytes | Reference) -> tuple[bytes | Future[Input], int]:
        if isinstance(following, bytes):
            return following, 0
        with self._starting:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.settings.fetches, thread_name_prefix="fetch")
        return self._pool.submit(self._fetch, following), following.size_bytes

    def _fetch(self, reference: Reference) -> Input:
        """The object, or why it cannot be had; a store that does not answer is asked again, less and less often."""
        patience_until, pause_s = time.monotonic() + self.settings.storage_patience_s, FIRST_PAUSE_S
        while True:
            try:
                return self.storage.fetch(reference, max_bytes=self.settings.max_object_bytes)
            except StorageUnavailable as exc:
                if time.monotonic() + pause_s > patience_until:
                    raise
                log.warning("%s; trying on", exc)
            except CeleriacError as exc:
                return exc
            if self.stopping.wait(pause_s):
                raise Stopping
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
