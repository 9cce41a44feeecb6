"""A worker in threads of the web process, which takes what is published from memory."""

from __future__ import annotations

import time

from production_server.broker.links import LocalLink
from production_server.broker.local_queue import LocalQueue
from production_server.broker.messages import queue_of
from production_server.loop import Loop
from production_server.parts import SharedParts
from production_server.worker.chunk_messages import work_off
from production_server.worker.parts import WorkerParts, chunk_threads


class EmbeddedWorker:
    """Takes chunks from `queue`, which is the publisher of `shared`, and serves the calls of `link`."""

    def __init__(self, shared: SharedParts, queue: LocalQueue, link: LocalLink) -> None:
        self._parts = WorkerParts.build(shared)
        self._drain_s = shared.settings.drain_s
        self._queue = queue
        self._link = link
        self._loops = [
            Loop(f"chunks-{number}", self._work_off_next, pause_s=0.0)
            for number in range(chunk_threads(shared.settings))
        ]

    def start(self) -> None:
        """Publish what an earlier process left behind, and start to work.

        Raises:
            Unavailable: the database does not answer.
        """
        self._parts.start(alone=True)
        self._link.serve(self._parts.call_processor)
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """Finish the batches in hand, put the rest back, and end; what is queued waits in the database."""
        self._parts.chunk_processor.stopping.set()
        self._queue.close()
        until = time.monotonic() + self._drain_s
        for loop in self._loops:
            loop.stop(max(0.0, until - time.monotonic()))
        self._parts.close()

    def _work_off_next(self) -> bool:
        message = self._queue.take()
        if message is None:
            return False
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
        return True
