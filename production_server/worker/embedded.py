"""A worker in threads of the web process: the same tasks on the in-memory transport."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery import Celery
from celery.worker import state

from production_server.broker.messages import HIGH_QUEUE
from production_server.settings import Settings
from production_server.worker.parts import CHUNK_THREADS, WorkerParts

if TYPE_CHECKING:
    from production_server.tracing.spans import Tracing

WAKE = "celeriac.wake"


class EmbeddedWorker:
    """Runs in this process; at most one of them at a time, since Celery keeps its stop flag in a module."""

    def __init__(self, settings: Settings, app: Celery, *, tracing: Tracing | None = None) -> None:
        self._parts = WorkerParts.build(settings, app=app, tracing=tracing)
        self._settings = settings
        self._parts.app.task(name=WAKE)(_do_nothing)
        self._controller: Any = None
        self._thread: threading.Thread | None = None

    @property
    def answer_call(self) -> Callable[[bytes], bytes]:
        """Runs a batch of interactive calls, in the thread that asks."""
        return self._parts.call_processor.answer

    def start(self) -> None:
        """Publish what an earlier process left behind and start consuming.

        Raises:
            Unavailable: the database does not answer.
        """
        self._controller = self._parts.app.WorkController(
            pool="threads",
            concurrency=CHUNK_THREADS * self._settings.workers,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            hostname=self._parts.housekeeping.name,
        )
        self._thread = threading.Thread(target=self._controller.start, name="embedded-worker", daemon=True)
        self._thread.start()
        self._parts.start(alone=True)

    def stop(self) -> None:
        """Finish the batches in hand, put the rest back, and end; what is queued waits in the database."""
        self._parts.chunk_processor.stopping.set()
        _set_stop_flag(0)
        # The consumer looks at the flag after a message, or after 2 s without one, and once more before it ends.
        for _ in range(2):
            self._parts.app.send_task(WAKE, queue=HIGH_QUEUE)
        if self._thread is not None:
            self._thread.join(self._settings.drain_s)
        _set_stop_flag(None)
        self._parts.close()


def _do_nothing() -> None:
    """The body of the task that wakes the consumer."""


def _set_stop_flag(exit_code: int | None) -> None:
    """What Celery's consumer looks at between messages; left set, it would end the next worker of this process."""
    flags: Any = state
    flags.should_stop = exit_code
