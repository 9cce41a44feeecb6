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
GROUP_ITEMS = 4
GROUP_BYTES = 2**20
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0
VAIN_TRIES = 8
"""A store that answers so many in a row not, when nobody waits any more, is away: the rest need not be tried."""


@dataclass(slots=True)
class _Group:
    """Inputs that are fetched together."""

    inputs: list[bytes | Reference]
    size_bytes: int = 0

    @property
    def stored(self) -> list[bytes]:
        return [each for each in self.inputs if isinstance(each, bytes)]


@dataclass(slots=True)
class _Patience:
    """What all fetches of a claim have of it together: were each to wait as long, the claim would count as stuck."""

    is_spent: bool = False
    vain_tries: int = 0

    def spend(self, exc: StorageUnavailable) -> StorageUnavailable:
        """Give up an object that was waited for.

        Raises:
            StorageUnavailable: the others will not come either.
        """
        self.is_spent = True
        self.vain_tries += 1
        if self.vain_tries >= VAIN_TRIES:
            raise exc
        return exc


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

        One that did not come within `STORAGE_PATIENCE_S` is a `StorageUnavailable` in its place, if others come.

        Raises:
            StorageUnavailable: a store is away. Stopping: a stop is asked for.
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
        waiting = deque(self._groups(inputs))
        coming: deque[tuple[_Group, Future[list[Input]] | None]] = deque()
        ahead = ahead_bytes = 0
        patience = _Patience()
        try:
            while waiting or coming:
                while waiting and self._may_fetch(waiting[0], ahead, ahead_bytes):
                    group = waiting.popleft()
                    coming.append((group, self._begin(group, patience)))
                    ahead, ahead_bytes = ahead + len(group.inputs), ahead_bytes + group.size_bytes
                group, fetched = coming.popleft()
                yield from group.stored if fetched is None else fetched.result()
                ahead, ahead_bytes = ahead - len(group.inputs), ahead_bytes - group.size_bytes
        finally:
            for _, fetched in coming:
                if fetched is not None:
                    fetched.cancel()

    def _groups(self, inputs: Sequence[bytes | Reference]) -> Iterator[_Group]:
        """Inputs that one thread fetches one after another: handing each small one to a thread would cost more."""
        limit = max(1, min(GROUP_ITEMS, self.settings.batch_items // self.settings.fetches))
        group = _Group([])
        for each in inputs:
            if len(group.inputs) >= limit or group.size_bytes >= GROUP_BYTES:
                yield group
                group = _Group([])
            group.inputs.append(each)
            group.size_bytes += each.size_bytes if isinstance(each, Reference) else 0
        yield group

    def _may_fetch(self, group: _Group, ahead: int, ahead_bytes: int) -> bool:
        is_room = ahead < 2 * self.settings.batch_items and ahead_bytes + group.size_bytes <= AHEAD_BYTES
        return ahead == 0 or is_room

    def _begin(self, group: _Group, patience: _Patience) -> Future[list[Input]] | None:
        """None where there is nothing to be fetched."""
        if not any(isinstance(each, Reference) for each in group.inputs):
            return None
        with self._starting:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.settings.fetches, thread_name_prefix="fetch")
        return self._pool.submit(self._fetch_all, group, patience)

    def _fetch_all(self, group: _Group, patience: _Patience) -> list[Input]:
        return [each if isinstance(each, bytes) else self._fetch(each, patience) for each in group.inputs]

    def _fetch(self, reference: Reference, patience: _Patience) -> Input:
        """The object, or why it cannot be had; a store that does not answer is asked again, less and less often."""
        patience_until, pause_s = time.monotonic() + self.settings.storage_patience_s, FIRST_PAUSE_S
        while True:
            try:
                found = self._ask(reference)
            except StorageUnavailable as exc:
                if patience.is_spent or time.monotonic() + pause_s > patience_until:
                    return patience.spend(exc)
                log.warning("%s; trying on", exc)
            else:
                patience.vain_tries = 0
                return found
            if self.stopping.wait(pause_s):
                raise Stopping
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _ask(self, reference: Reference) -> Input:
        """The store's answer.

        Raises:
            StorageUnavailable: it gives none.
        """
        try:
            return self.storage.fetch(reference, max_bytes=self.settings.max_object_bytes)
        except StorageUnavailable:
            raise
        except CeleriacError as exc:
            return exc
