"""A claim's inputs, batch by batch: those that lie in buckets are fetched while the batches before are classified."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from production_server.errors import CeleriacError, StorageUnavailable
from production_server.settings import Settings
from production_server.storage.objects import Reference
from production_server.storage.storage import Storage
from production_server.worker.lanes import Attempt

Input = bytes | CeleriacError
"""What was stored or fetched, or why it cannot be had."""

BATCH_BYTES = 64 * 2**20
BATCH_AGE_S = 5.0
"""What has come waits for its neighbours no longer than this."""
AHEAD_BYTES = 64 * 2**20
"""So many bytes are fetched ahead at most, for each chunk in hand; by the sizes that were listed."""
GROUP_ITEMS = 4
GROUP_BYTES = 2**20
PAUSES_S = (0.5, 1.0)
"""An object that does not come is asked for again so soon. Who asks longer than that gives its chunk back."""
QUICK_S = 2.0
"""Only where the answer was that there is none; waiting for one again is for the next attempt."""


@dataclass(slots=True)
class _Group:
    """Inputs that are fetched together."""

    references: list[Reference] = field(default_factory=list)
    size_bytes: int = 0


class Stopping(Exception):
    """Raised when a stop is asked for while a store is waited for."""


@dataclass(slots=True)
class Inputs:
    """Brings inputs to the threads of one worker."""

    storage: Storage
    settings: Settings
    stopping: threading.Event

    def stored(self, inputs: Sequence[bytes]) -> Iterator[list[Input]]:
        """Inputs that are at hand, in batches of at most `BATCH_ITEMS` and of no more bytes than fit in memory."""
        return self._batches(iter(inputs))

    def fetched(self, references: Sequence[Reference], attempt: Attempt) -> Iterator[list[Input]]:
        """Objects of one bucket in order, in batches as `stored`, or of what has come within some seconds.

        One that did not come is a `StorageUnavailable` in its place, if others come.

        Raises:
            StorageUnavailable: the bucket does not answer. Stopping: a stop is asked for.
        """
        return self._batches(self._in_order(references, attempt))

    def _batches(self, inputs: Iterator[Input]) -> Iterator[list[Input]]:
        batch: list[Input] = []
        size_bytes, began = 0, time.monotonic()
        for data in inputs:
            batch.append(data)
            size_bytes += len(data) if isinstance(data, bytes) else 0
            is_old = time.monotonic() - began > BATCH_AGE_S
            if len(batch) == self.settings.batch_items or size_bytes >= BATCH_BYTES or is_old:
                yield batch
                batch, size_bytes, began = [], 0, time.monotonic()
        if batch:
            yield batch

    def _in_order(self, references: Sequence[Reference], attempt: Attempt) -> Iterator[Input]:
        """Each object; of those that follow, as many are on their way as may be."""
        waiting = deque(self._groups(references, attempt))
        coming: deque[tuple[_Group, Future[list[Input]]]] = deque()
        ahead = ahead_bytes = 0
        try:
            while waiting or coming:
                while waiting and self._may_fetch(waiting[0], ahead, ahead_bytes, attempt):
                    group = waiting.popleft()
                    coming.append((group, attempt.lane.pool.submit(self._fetch_all, group, attempt)))
                    ahead, ahead_bytes = ahead + len(group.references), ahead_bytes + group.size_bytes
                group, fetched = coming.popleft()
                yield from fetched.result()
                ahead, ahead_bytes = ahead - len(group.references), ahead_bytes - group.size_bytes
        finally:
            for _, fetched in coming:
                fetched.cancel()

    def _groups(self, references: Sequence[Reference], attempt: Attempt) -> Iterator[_Group]:
        """Objects that one thread fetches one after another: handing each small one to a thread would cost more."""
        limit = max(1, min(GROUP_ITEMS, self.settings.batch_items // self.settings.fetches))
        group = _Group()
        for place, each in enumerate(references):
            is_full = len(group.references) >= limit or group.size_bytes >= GROUP_BYTES
            if is_full or (attempt.is_probe and place == 1):
                yield group
                group = _Group()
            group.references.append(each)
            group.size_bytes += each.size_bytes
        yield group

    def _may_fetch(self, group: _Group, ahead: int, ahead_bytes: int, attempt: Attempt) -> bool:
        if attempt.is_probe and not attempt.has_answered:
            return ahead == 0
        is_room = ahead < 2 * self.settings.batch_items and ahead_bytes + group.size_bytes <= AHEAD_BYTES
        return ahead == 0 or is_room

    def _fetch_all(self, group: _Group, attempt: Attempt) -> list[Input]:
        return [self._fetch(each, attempt) for each in group.references]

    def _fetch(self, reference: Reference, attempt: Attempt) -> Input:
        """The object, or why it cannot be had."""
        try:
            self.storage.check_reference(reference, max_bytes=self.settings.max_object_bytes)
        except CeleriacError as exc:
            # Nobody was asked: that is no answer of the bucket.
            return exc
        pauses = [] if attempt.is_in_doubt else list(PAUSES_S)
        while True:
            began = time.monotonic()
            try:
                found = self._ask(reference)
            except StorageUnavailable as exc:
                if self.stopping.is_set():
                    raise Stopping from exc
                is_slow = time.monotonic() - began > QUICK_S
                if not pauses or is_slow:
                    return attempt.missed(exc, is_slow=is_slow)
            else:
                attempt.came()
                return found
            if self.stopping.wait(pauses.pop(0)):
                raise Stopping

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
