"""What a worker does with one chunk: claim, predict, store, until nothing of it is left."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from production_server.errors import CeleriacError, StorageUnavailable, Unavailable
from production_server.inference import Engine, Outcome, PredictedBatch
from production_server.jobs.claim import claim, finish, give_back, give_up, renew
from production_server.jobs.database import Database
from production_server.jobs.records import Claim, Failure, Success
from production_server.models.tasks.task import Prediction
from production_server.settings import Settings
from production_server.worker.inputs import Inputs, Stopping
from production_server.worker.throttle import Throttle

if TYPE_CHECKING:
    from production_server.tracing.spans import Tracing
    from production_server.worker.metrics import WorkerMetrics

log = logging.getLogger(__name__)

STORE_AFTER_S = 1.0
"""A slow model's results are stored this often, so that they appear as they come."""
STUCK_AFTER_S = 600
"""A batch that takes longer than this counts as stuck: its lease is not renewed any more."""


@dataclass(slots=True)
class _Seconds:
    """Where the time of a chunk went; `fetch` is what was waited for inputs in buckets."""

    fetch: float = 0.0
    decode: float = 0.0
    model: float = 0.0
    store: float = 0.0


@dataclass(slots=True)
class ChunkProcessor:
    """Runs chunks; several threads may share one."""

    database: Database
    engine: Engine
    settings: Settings
    inputs: Inputs
    throttle: Throttle = field(default_factory=Throttle)
    stopping: threading.Event = field(default_factory=threading.Event)
    items_done: int = 0
    metrics: WorkerMetrics | None = None
    tracing: Tracing | None = None
    _in_hand: dict[UUID, tuple[Claim, float]] = field(default_factory=dict)
    """By token: each claim that a thread works on, and when that thread last finished a batch."""

    def renew_leases(self) -> None:
        """Renew the leases of all claims in hand but stuck ones; one batch may take longer than a lease.

        Raises:
            Unavailable: the database does not answer.
        """
        for held, progress_at in list(self._in_hand.values()):
            if time.monotonic() - progress_at < STUCK_AFTER_S:
                renew(self.database, held, lease_s=self.settings.lease_s)

    def run(self, job_id: UUID, start: int, stop: int) -> bool:
        """Work on items `start` to `stop - 1` that nobody holds; False if a stop was asked for and some are left.

        Raises:
            Unavailable: the database does not answer; leases run out and the reconciler publishes what is left.
        """
        while not self.stopping.is_set():
            held = claim(
                self.database,
                job_id,
                start,
                stop,
                lease_s=self.settings.lease_s,
                max_attempts=self.settings.max_attempts,
            )
            if held is None or not self._work_on(held):
                return not self.stopping.is_set()
        return False

    def _work_on(self, held: Claim) -> bool:
        """Whether all of a claim was dealt with; if not, what is left of it was put back."""
        self._in_hand[held.token] = (held, time.monotonic())
        seconds = _Seconds()
        outcome = "unavailable"
        try:
            position = self._predict(held, seconds)
            outcome = "done" if position == len(held.indexes) else "given_back"
        except Unavailable:
            raise
        except CeleriacError as exc:
            outcome = "failed"
            log.error("job %s: %s", held.job_id, exc)
            give_up(
                self.database,
                held,
                max_attempts=self.settings.max_attempts,
                error_code=exc.code,
                error_message=str(exc),
            )
            return False
        finally:
            del self._in_hand[held.token]
            self._tell(held, outcome, asdict(seconds))
        if position < len(held.indexes):
            give_back(self.database, held)
        return position == len(held.indexes)

    def _tell(self, held: Claim, outcome: str, seconds: dict[str, float]) -> None:
        """Tell who wants to know what became of a claim, and where its time went."""
        if self.metrics is not None:
            self.metrics.chunk_ended(held.model, held.version, outcome, seconds)
        if self.tracing is not None:
            stages = {f"{stage}_s": value for stage, value in seconds.items()}
            self.tracing.note(
                "chunk", {"model": held.model, "version": held.version, "outcome": outcome, **stages}
            )

    def _predict(self, held: Claim, seconds: _Seconds) -> int:
        """Predict for and store a claim's items until they are done or a stop is asked for; returns how many were.

        Raises:
            StorageUnavailable: some inputs could not be fetched; what was predicted is stored.
        """
        results: list[Success | Failure] = []
        position, stored_at = 0, time.monotonic()
        failure: StorageUnavailable | None = None
        try:
            for batch in self._batches(held, seconds):
                results += _to_results(
                    held.indexes[position : position + len(batch.outcomes)], batch.outcomes
                )
                failure = failure or _first_missed(batch.outcomes)
                position += len(batch.outcomes)
                self._in_hand[held.token] = (held, time.monotonic())
                if self.stopping.is_set():
                    break
                if time.monotonic() - stored_at > STORE_AFTER_S and position < len(held.indexes):
                    self._store(held, results, seconds, renew_s=self.settings.lease_s)
                    results, stored_at = [], time.monotonic()
        except StorageUnavailable as exc:
            failure = exc
        self._store(held, results, seconds)
        if failure is not None and not self.stopping.is_set():
            raise failure
        return position

    def _batches(self, held: Claim, seconds: _Seconds) -> Iterator[PredictedBatch]:
        """Each batch of a claim's inputs, with predictions when it is this thread's turn; ends early for a stop."""
        limit, fetched = self.settings.max_image_pixels, self.inputs.batches(held.inputs)
        while True:
            began = time.perf_counter()
            try:
                inputs = next(fetched, None)
            except Stopping:
                return
            seconds.fetch += time.perf_counter() - began
            if inputs is None:
                return
            with self.throttle.turn():
                batch = self.engine.predict_batch(held.model, held.version, inputs, max_pixels=limit)
            seconds.decode += batch.decode_s
            seconds.model += batch.model_s
            yield batch

    def _store(
        self, held: Claim, results: list[Success | Failure], seconds: _Seconds, *, renew_s: int | None = None
    ) -> None:
        began = time.perf_counter()
        stored = finish(self.database, held, results, renew_s=renew_s)
        seconds.store += time.perf_counter() - began
        self.items_done += stored
        if self.metrics is not None:
            # Fewer are stored where the job was cancelled, or the claim was lost to another worker.
            failed = min(stored, sum(isinstance(result, Failure) for result in results))
            self.metrics.items_stored(held.model, held.version, succeeded=stored - failed, failed=failed)


def _first_missed(outcomes: Sequence[Outcome]) -> StorageUnavailable | None:
    """Why the first input that may yet come has not come; None if all have."""
    return next(
        (outcome.result for outcome in outcomes if isinstance(outcome.result, StorageUnavailable)), None
    )


def _to_results(indexes: Sequence[int], outcomes: Sequence[Outcome]) -> list[Success | Failure]:
    """What is to be stored; of an input that may yet come, nothing."""
    results: list[Success | Failure] = []
    for index, outcome in zip(indexes, outcomes, strict=True):
        if isinstance(outcome.result, Prediction):
            answer = outcome.result
            results.append(
                Success(
                    index=index,
                    label=answer.label,
                    score=answer.score,
                    output=answer.output,
                    ms=outcome.ms,
                )
            )
        elif not isinstance(outcome.result, StorageUnavailable):
            error = outcome.result
            results.append(Failure(index=index, error_code=error.code, error_message=str(error)))
    return results
