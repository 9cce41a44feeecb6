"""A worker in threads of the web process, which takes what is published from memory."""

from __future__ import annotations

import logging
import threading
import time

from production_server.broker.links import LocalLink
from production_server.broker.local_queue import LocalMessage, LocalQueue
from production_server.broker.messages import queue_of
from production_server.parts import SharedParts
from production_server.worker.chunk_messages import work_off
from production_server.worker.parts import WorkerParts, chunk_threads

log = logging.getLogger(__name__)


class EmbeddedWorker:
    """Takes chunks from `queue`, which is the publisher of `shared`, and serves the calls of `link`."""

    def __init__(self, shared: SharedParts, queue: LocalQueue, link: LocalLink) -> None:
        self._parts = WorkerParts.build(shared)
        self._drain_s = shared.settings.drain_s
        self._queue = queue
        self._link = link
        self._threads = [
            threading.Thread(target=self._work, name=f"chunks-{number}", daemon=True)
            for number in range(chunk_threads(shared.settings))
        ]

    def start(self) -> None:
        """Publish what an earlier process left behind, and start to work.

        Raises:
            Unavailable: the database does not answer.
        """
        self._parts.start(alone=True)
        self._link.serve(self._parts.call_processor.answer)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the batches in hand, put the rest back, and end; what is queued waits in the database."""
        self._parts.chunk_processor.stopping.set()
        self._queue.close()
        until = time.monotonic() + self._drain_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._parts.close()

    def _work(self) -> None:
        while (message := self._queue.take()) is not None:
            try:
                self._work_off(message)
            except Exception:
                # The thread must live on: without it nothing would ever be worked off again.
                log.exception("a chunk failed")

    def _work_off(self, message: LocalMessage) -> None:
        # What is not done because of a stop is in the database: the next process publishes it.
        chunk = message.chunk
        work_off(
            self._parts.chunk_processor,
            chunk.job_id,
            chunk.start,
            chunk.stop,
            queue=queue_of(chunk),
            carried=message.carried,
        )
