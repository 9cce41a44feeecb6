"""What a worker counts of its answers while a canary is tried; at all other times it costs a look into a dictionary."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from production_server.errors import BrokenVersion, CeleriacError, InferenceFailed
from production_server.inference import Outputs, PredictedBatch
from production_server.jobs.database import Database
from production_server.jobs.observations import Observed, store_observation
from production_server.learning.canary import CALLS, ITEMS, Seen
from production_server.models.channels import UNTOUCHED
from production_server.models.registry import Registry
from production_server.models.tasks.task import Prediction
from production_server.serving.known_standings import KnownStandings

log = logging.getLogger(__name__)

TELL_EVERY_S = 1.0


@dataclass(slots=True)
class Observing:
    """Counts, and tells the database now and then. Safe to share between threads."""

    database: Database
    registry: Registry
    known: KnownStandings
    _process: UUID = field(default_factory=uuid4)
    _seen: dict[Observed, Seen] = field(default_factory=dict)
    """Since each canary began."""
    _changed: set[Observed] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _told_at: float = field(default_factory=time.monotonic)

    def saw_items(self, model: str, version: str, batch: PredictedBatch) -> None:
        """Count what became of a job's items; those that cannot be read are no fault of the version."""

        def count(seen: Seen) -> None:
            _count_batch(seen, [(outcome.result, outcome.ms) for outcome in batch.outcomes])

        self._count(model, version, ITEMS, count)

    def saw_calls(
        self, model: str, version: str, answered: Outputs | CeleriacError, *, items: int, seconds: float
    ) -> None:
        """Count what became of a batch of calls, each item of which waited for all of it."""

        def count(seen: Seen) -> None:
            results: list[Prediction | CeleriacError]
            if isinstance(answered, CeleriacError):
                results = [answered] * items
            else:
                predictions = self.registry.version(model, version).task.predict(answered.values)
                results = [answered.errors.get(place, each) for place, each in enumerate(predictions)]
            _count_batch(seen, [(each, seconds * 1000) for each in results])

        self._count(model, version, CALLS, count)

    def tell(self) -> None:
        """Store what was counted, if it is time.

        Raises:
            Unavailable: the database does not answer; what was counted is told later.
        """
        if not self._changed or time.monotonic() - self._told_at < TELL_EVERY_S:
            return
        self._told_at = time.monotonic()
        with self._lock:
            counts = {about: self._seen[about].to_json() for about in self._changed}
            self._changed.clear()
        try:
            with self.database.write() as connection:
                for about, each in counts.items():
                    store_observation(connection, self._process, about, each)
        except BaseException:
            with self._lock:
                self._changed.update(counts)
            raise
        self._forget()

    def _count(self, model: str, version: str, work: str, count: Callable[[Seen], None]) -> None:
        standing = self.known.now().get(model, UNTOUCHED)
        if not standing.canary_percent:
            return
        try:
            seen = Seen()
            count(seen)
        except Exception:
            # Who asked gets the answer all the same.
            log.exception("what %s/%s answered is not counted", model, version)
            return
        about = Observed(model, standing.canary_since, version, work)
        if seen.answers:
            with self._lock:
                self._seen.setdefault(about, Seen()).add(seen)
                self._changed.add(about)

    def _forget(self) -> None:
        """Let go of what was told of canaries that are tried no more."""
        known = self.known.now()
        with self._lock:
            for about in set(self._seen) - self._changed:
                if known.get(about.model, UNTOUCHED).canary_since != about.since:
                    del self._seen[about]


def _count_batch(seen: Seen, answered: Sequence[tuple[Prediction | CeleriacError, float]]) -> None:
    """Count what became of each item of a batch, and its milliseconds, of which that of one stands for all."""
    is_timed = False
    for result, ms in answered:
        if isinstance(result, Prediction):
            seen.count(result.label, ms=None if is_timed else ms, failed=False)
            is_timed = True
        elif isinstance(result, InferenceFailed | BrokenVersion):
            seen.count(None, ms=None, failed=True)
