"""What a worker does with one chunk: claim, predict, store, until nothing of it is left.

Inputs that are at hand come by messages; those that must be fetched wait in the database (`jobs.object_chunks`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import UUID

from production_server.errors import CeleriacError, StorageUnavailable, Unavailable
from production_server.inference import Engine, Outcome, PredictedBatch
from production_server.jobs.claim import claim, finish, give_back, give_up, renew
from production_server.jobs.database import Database
from production_server.jobs.object_chunks import ObjectChunk, adopt
from production_server.jobs.publication import mark_unpublished
from production_server.jobs.records import Chunk, Claim, Failure, Success
from production_server.models.decoding import decoding_until
from production_server.models.tasks.task import Prediction
from production_server.settings import Settings
from production_server.storage.objects import Reference
from production_server.worker.inputs import Input, Inputs, Stopping
from production_server.worker.lanes import Attempt
from production_server.worker.outage import until_answered
from production_server.worker.throttle import Throttle

if TYPE_CHECKING:
    from production_server.broker.publisher import Publisher
    from production_server.tracing.spans import Tracing
    from production_server.worker.metrics import WorkerMetrics
    from production_server.worker.observing import Observing

log = logging.getLogger(__name__)

STORE_AFTER_S = 1.0
"""A slow model's results are stored this often, so that they appear as they come."""
TURN_S = 1.0
"""A thread is kept no longer by one chunk, but for the batch in hand: what is left comes again behind what waits."""
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
    publisher: Publisher | None = None
    """Takes what is left of a chunk that takes long; None: a chunk is worked off in one go."""
    items_done: int = 0
    observing: Observing | None = None
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

        Those that must be fetched are put back, and wait for somebody who does that.

        Raises:
            Unavailable: the database does not answer, and a stop was asked for: the reconciler publishes what is left.
        """
        while not self.stopping.is_set():
            held = self._claim(job_id, start, stop)
            if held is None:
                return not self.stopping.is_set()
            if any(isinstance(each, Reference) for each in held.inputs):
                give_back(self.database, held)
                adopt(self.database, job_id, chunk_items=self.settings.chunk_items)
                return True
            if not self._work_on(held, self.inputs.stored(_at_hand(held))):
                return not self.stopping.is_set()
        return False

    def run_objects(self, chunk: ObjectChunk, attempt: Attempt) -> bool:
        """Fetch and work on a chunk of objects; False if a stop was asked for and some are left.

        Raises:
            StorageUnavailable: some of them have not come. They are put back, or have failed if this was the last
                attempt; what came is stored.
            Unavailable: the database does not answer.
        """
        while not self.stopping.is_set():
            held = self._claim(chunk.job_id, chunk.start, chunk.stop)
            if held is None:
                return not self.stopping.is_set()
            held = _turned(held, attempt.begins_at)
            try:
                if not self._work_on(held, self._fetched(held, chunk, attempt)):
                    return not self.stopping.is_set()
            except StorageUnavailable as exc:
                self._put_back(held, exc, is_last=attempt.is_last)
                raise
        return False

    def _fetched(self, held: Claim, chunk: ObjectChunk, attempt: Attempt) -> Iterator[list[Input]]:
        if chunk.is_hopeless:
            raise StorageUnavailable(chunk.message)
        references = [each for each in held.inputs if isinstance(each, Reference)]
        return self.inputs.fetched(references, attempt)

    def _claim(self, job_id: UUID, start: int, stop: int) -> Claim | None:
        lease_s, max_attempts = self.settings.lease_s, self.settings.max_attempts
        return until_answered(
            lambda: claim(self.database, job_id, start, stop, lease_s=lease_s, max_attempts=max_attempts),
            self.stopping,
        )

    def _put_back(self, held: Claim, exc: StorageUnavailable, *, is_last: bool) -> None:
        """Let what has not come wait on, without counting an attempt, or fail."""
        if not is_last:
            give_back(self.database, held)
            return
        limit = self.settings.storage_patience_s
        told = f"its bucket has not answered about it for {limit} s; at last: {exc}"
        give_up(self.database, held, max_attempts=0, error_code=exc.code, error_message=told)

    def _work_on(self, held: Claim, batches: Iterator[list[Input]]) -> bool:
        """Whether all of a claim was dealt with; if not, what is left of it was put back.

        Raises:
            StorageUnavailable: some of it has not come, and is still held.
        """
        self._in_hand[held.token] = (held, time.monotonic())
        seconds = _Seconds()
        outcome = "unavailable"
        try:
            position = self._predict(held, batches, seconds)
            outcome = "done" if position == len(held.indexes) else "given_back"
        except StorageUnavailable:
            outcome = "given_back"
            raise
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
            if not self.stopping.is_set():
                self._hand_on(held, position)
        return position == len(held.indexes)

    def _hand_on(self, held: Claim, position: int) -> None:
        """Publish what is left of a chunk that took a thread for long: behind what waits."""
        rest = Chunk(held.job_id, held.indexes[position], held.indexes[-1] + 1, held.priority)
        try:
            if self.publisher is not None:
                self.publisher.publish([rest])
        except Unavailable as exc:
            # It waits in the database, and the reconciler finds it.
            log.warning("job %s, items from %d on: %s", held.job_id, rest.start, exc)
            mark_unpublished(self.database, held.job_id, start=rest.start)

    def _tell(self, held: Claim, outcome: str, seconds: dict[str, float]) -> None:
        """Tell who wants to know what became of a claim, and where its time went."""
        if self.metrics is not None:
            self.metrics.chunk_ended(held.model, held.version, outcome, seconds)
        if self.tracing is not None:
            stages = {f"{stage}_s": value for stage, value in seconds.items()}
            self.tracing.note(
                "chunk", {"model": held.model, "version": held.version, "outcome": outcome, **stages}
            )

    def _predict(self, held: Claim, inputs: Iterator[list[Input]], seconds: _Seconds) -> int:
        """Predict for and store a claim's items until they are done or a stop is asked for; returns how many were.

        Raises:
            StorageUnavailable: some inputs could not be fetched; what was predicted is stored.
        """
        results: list[Success | Failure] = []
        position, began = 0, time.monotonic()
        stored_at = began
        failure: StorageUnavailable | None = None
        try:
            for batch in self._batches(held, inputs, seconds):
                results += _to_results(
                    held.indexes[position : position + len(batch.outcomes)], batch.outcomes
                )
                failure = failure or _first_missed(batch.outcomes)
                position += len(batch.outcomes)
                self._in_hand[held.token] = (held, time.monotonic())
                if self.stopping.is_set() or self._is_long(held, began):
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

    def _is_long(self, held: Claim, began: float) -> bool:
        """Whether a chunk has had its thread for long enough; one of objects has a thread that others do not need."""
        is_of_objects = any(isinstance(each, Reference) for each in held.inputs[:1])
        return self.publisher is not None and not is_of_objects and time.monotonic() - began > TURN_S

    def _batches(
        self, held: Claim, fetched: Iterator[list[Input]], seconds: _Seconds
    ) -> Iterator[PredictedBatch]:
        """Each batch of a claim's inputs, with predictions when it is this thread's turn; ends early for a stop."""
        limit = self.settings.max_image_pixels
        while True:
            began = time.perf_counter()
            try:
                inputs = next(fetched, None)
            except Stopping:
                return
            seconds.fetch += time.perf_counter() - began
            if inputs is None:
                return
            while inputs:
                with self.throttle.turn(), decoding_until(time.monotonic() + TURN_S):
                    batch = self.engine.predict_batch(held.model, held.version, inputs, max_pixels=limit)
                if self.observing is not None:
                    self.observing.saw_items(held.model, held.version, batch)
                inputs = inputs[len(batch.outcomes) :]
                seconds.decode += batch.decode_s
                seconds.model += batch.model_s
                yield batch

    def _store(
        self, held: Claim, results: list[Success | Failure], seconds: _Seconds, *, renew_s: int | None = None
    ) -> None:
        began = time.perf_counter()
        stored = until_answered(lambda: finish(self.database, held, results, renew_s=renew_s), self.stopping)
        seconds.store += time.perf_counter() - began
        self.items_done += stored
        if self.metrics is not None:
            # Fewer are stored where the job was cancelled, or the claim was lost to another worker.
            failed = min(stored, sum(isinstance(result, Failure) for result in results))
            self.metrics.items_stored(held.model, held.version, succeeded=stored - failed, failed=failed)


def _at_hand(held: Claim) -> list[bytes]:
    return [each for each in held.inputs if isinstance(each, bytes)]


def _turned(held: Claim, begins_at: float) -> Claim:
    """The same claim, of which another item is the first one."""
    first = int(begins_at * len(held.indexes))
    return replace(
        held,
        indexes=held.indexes[first:] + held.indexes[:first],
        inputs=held.inputs[first:] + held.inputs[:first],
    )


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
                    bin=answer.bin,
                )
            )
        elif not isinstance(outcome.result, StorageUnavailable):
            error = outcome.result
            results.append(Failure(index=index, error_code=error.code, error_message=str(error)))
    return results
