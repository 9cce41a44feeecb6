"""Fetching objects: threads of their own, so that no thread that runs models ever waits for a network.

Their number is bounded, and so is each bucket's share of them: what is slow or away keeps nobody else waiting.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from production_server.errors import StorageUnavailable, Unavailable
from production_server.jobs.away import note_answer, note_away
from production_server.jobs.database import Database
from production_server.jobs.object_chunks import ObjectChunk, end, miss, put_back, renew, take
from production_server.settings import Settings
from production_server.storage.lately import FOLDERS, Lately, Shares
from production_server.work_in_hand import working_on
from production_server.worker.chunks import STUCK_AFTER_S, ChunkProcessor
from production_server.worker.lanes import Attempt, Lane

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.2
"""A look that finds nothing costs less than a millisecond; objects should not wait longer than people notice."""
SHARES = 4
"""A bucket has a quarter of the threads at most; one where half of all wait for networks. Folders have their own."""
TURN = 0.618
"""Each attempt at a chunk begins so far on in it: by the golden section, a few attempts come everywhere."""


@dataclass(slots=True)
class Fetcher:
    """Takes chunks of objects from the database, each in the hands of one thread. Safe to share between threads."""

    database: Database
    processor: ChunkProcessor
    settings: Settings
    stopping: threading.Event
    _hands: ThreadPoolExecutor = field(init=False)
    _shares: Shares = field(init=False)
    _lanes: dict[str, Lane] = field(default_factory=dict)
    _lately: Lately = field(default_factory=Lately)
    _in_hand: dict[ObjectChunk, Attempt] = field(default_factory=dict)
    _taking: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._shares = Shares.of(self.settings.fetchers)
        self._hands = ThreadPoolExecutor(self._shares.threads, thread_name_prefix="objects")

    def look(self) -> bool:
        """Start work on what waits, as long as threads are free; then there is never more to do at once.

        Raises:
            Unavailable: the database does not answer.
        """
        while (taken := self._take()) is not None:
            self._hands.submit(self._work, *taken)
        return False

    def renew_leases(self) -> None:
        """Keep the chunks in hand, but for those that are stuck.

        Raises:
            Unavailable: the database does not answer.
        """
        moving = [
            chunk
            for chunk, attempt in list(self._in_hand.items())
            if time.monotonic() - attempt.progress_at < STUCK_AFTER_S
        ]
        renew(self.database, moving, lease_s=self.settings.lease_s)

    def close(self) -> None:
        """End the threads, after the batches in hand; `stopping` is set, and the storage closed."""
        self._hands.shutdown(cancel_futures=True)

    def _work_off(self, chunk: ObjectChunk, lane: Lane) -> None:
        """Fetch and work on a chunk, and note what came of it.

        Raises:
            Unavailable: the database does not answer; the chunk is taken again when its lease has run out.
        """
        attempt = Attempt(
            lane,
            begins_at=chunk.tries * TURN % 1,
            is_probe=chunk.is_probe,
            is_last=chunk.is_last,
            on_answer=lambda: self._note_answer(chunk),
        )
        self._in_hand[chunk] = attempt
        try:
            is_done = self.processor.run_objects(chunk, attempt)
        except StorageUnavailable as exc:
            self._note_missing(chunk, attempt, exc)
        else:
            (end if is_done else put_back)(self.database, chunk)
        finally:
            del self._in_hand[chunk]

    def work_next(self) -> bool:
        """Work off one chunk in this thread; False if there is none that may be worked on now.

        Raises:
            Unavailable: the database does not answer.
        """
        taken = self._take()
        if taken is not None:
            self._work_on(*taken)
        return taken is not None

    def _work(self, chunk: ObjectChunk, lane: Lane) -> None:
        """Work off chunk after chunk, until there is none that this thread may take."""
        taken: tuple[ObjectChunk, Lane] | None = (chunk, lane)
        while taken is not None:
            self._work_on(*taken)
            taken = self._take_next()

    def _work_on(self, chunk: ObjectChunk, lane: Lane) -> None:
        try:
            with working_on(job=str(chunk.job_id)):
                self._work_off(chunk, lane)
        except Unavailable as exc:
            log.warning("job %s, items %d to %d: %s", chunk.job_id, chunk.start, chunk.stop - 1, exc)
        except Exception:
            # What else can be fetched must go on; this is taken again when its lease has run out.
            log.exception("a chunk of objects failed")
        finally:
            self._leave(lane, chunk.bucket)

    def _take_next(self) -> tuple[ObjectChunk, Lane] | None:
        try:
            return self._take()
        except Unavailable:
            return None  # It is said by whoever looks for work.

    def _take(self) -> tuple[ObjectChunk, Lane] | None:
        """The next chunk that may be worked on now, and what its bucket has; the caller leaves it."""
        with self._taking:
            if self.stopping.is_set():
                return None
            chunk = take(
                self.database,
                lease_s=self.settings.lease_s,
                patience_s=self.settings.storage_patience_s,
                without=self._full(),
                only=self._allowed(),
            )
            if chunk is None:
                return None
            lane = self._lanes.get(chunk.bucket)
            if lane is None:
                lane = self._lanes[chunk.bucket] = Lane(chunk.bucket, fetches=self.settings.fetches)
            lane.hands += 1
            return chunk, lane

    def _allowed(self) -> set[str] | None:
        """The buckets that may have one more thread, as far as others leave them one; None: any."""
        for bucket, lane in self._lanes.items():
            if lane.answered_at:
                self._lately.note(bucket, lane.answered_at)
        held = [bucket for bucket, lane in self._lanes.items() for _ in range(lane.hands)]
        return self._shares.allowed(held, self._lately.buckets())

    def _full(self) -> list[str]:
        """The buckets that have their share of the threads."""
        busy = sum(lane.hands for bucket, lane in self._lanes.items() if bucket != FOLDERS)
        is_crowded = 2 * busy >= self.settings.fetchers
        share = 1 if is_crowded else max(1, self.settings.fetchers // SHARES)
        shares = {FOLDERS: self._shares.folders}
        return [bucket for bucket, lane in self._lanes.items() if lane.hands >= shares.get(bucket, share)]

    def _leave(self, lane: Lane, bucket: str) -> None:
        with self._taking:
            lane.hands -= 1
            if lane.answered_at:
                self._lately.note(bucket, lane.answered_at)
            if lane.hands == 0:
                del self._lanes[bucket]
                lane.close()

    def _note_answer(self, chunk: ObjectChunk) -> None:
        if chunk.is_probe:
            note_answer(self.database, chunk.bucket)
            log.info("%s answers again", chunk.bucket)

    def _note_missing(self, chunk: ObjectChunk, attempt: Attempt, exc: StorageUnavailable) -> None:
        """What has not come is tried again: with all of its bucket, if that does not answer, or else by itself."""
        if chunk.is_hopeless:
            end(self.database, chunk)
        elif attempt.is_bucket_silent:
            log.warning("%s does not answer: %s; all that lies there waits", chunk.bucket, exc)
            with self._taking:
                attempt.lane.answered_at = 0.0
                self._lately.forget(chunk.bucket)
            note_away(self.database, chunk, str(exc))
        else:
            miss(self.database, chunk, str(exc))
