"""From what is stored to what is on its way: the step that every front door takes once its job is durable."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from production_server.broker.publisher import Publisher
from production_server.errors import Unavailable
from production_server.jobs.database import Database
from production_server.jobs.publication import mark_published
from production_server.jobs.records import Chunk
from production_server.work_in_hand import working_on

log = logging.getLogger(__name__)

PATIENCE_S = 1.0
"""What a client waits for its job to be published. Most take milliseconds; a broker may take as long as it likes."""
HANDS = 4
MAX_BEHIND = 200
"""Jobs that may wait to be published; those beyond are left to the reconciler."""


class Handover:
    """Publishes the chunks of stored jobs. Safe to share between threads.

    A broker that does not answer gets them from the reconciler: what is not noted as published is published again.
    """

    def __init__(self, publisher: Publisher, database: Database) -> None:
        self._publisher = publisher
        self._database = database
        self._hands = ThreadPoolExecutor(HANDS, thread_name_prefix="handover")
        self._places = threading.Semaphore(MAX_BEHIND)
        self._is_slow = False

    def hand_over(self, chunks: Sequence[Chunk]) -> None:
        """Publish chunks of one stored job, in order, and note it; returns when that is done, or takes too long.

        While the broker is slow nobody waits for it.
        """
        if not chunks:
            return
        if not self._places.acquire(blocking=False):
            log.warning("job %s is accepted and waits to be published: the broker is slow", chunks[0].job_id)
            return
        done = self._hands.submit(copy_context().run, self._publish, chunks)
        try:
            done.result(0 if self._is_slow else PATIENCE_S)
        except TimeoutError:
            self._is_slow = True

    def close(self) -> None:
        """Publish what is in hand and no more: the rest is stored."""
        self._hands.shutdown(cancel_futures=True)

    def _publish(self, chunks: Sequence[Chunk]) -> None:
        job_id = chunks[0].job_id
        with working_on(job=str(job_id)):
            try:
                self._publisher.publish(chunks)
                mark_published(self._database, job_id, start=chunks[0].start)
                self._is_slow = False
            except Unavailable as exc:
                log.warning("job %s is accepted and waits to be published: %s", job_id, exc)
            finally:
                self._places.release()
