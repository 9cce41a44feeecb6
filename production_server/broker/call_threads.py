"""Threads that run batches of calls: numbers and image files have one each, beside those for chunks."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from production_server.broker.frames import Kind
from production_server.loop import Loop


class CallThread:
    """Runs what it is given, in order. An executor takes twice as long to hand something over."""

    def __init__(self, kind: Kind) -> None:
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        name = f"interactive calls with {kind.name.lower()}"
        self._loop = Loop(name, self._step, pause_s=0.0, stopping=self._stopping)

    def start(self) -> None:
        self._loop.start()

    def run(self, work: Callable[[], None]) -> None:
        """Run something, after what it was given before."""
        self._waiting.put(work)

    def stop(self, timeout_s: float | None = None) -> None:
        """End after what is in hand, which is waited for so long."""
        # First: whoever is woken and sees that nothing stops would wait for what comes next.
        self._stopping.set()
        self._waiting.put(None)
        self._loop.stop(timeout_s)

    def _step(self) -> bool:
        work = self._waiting.get()
        if work is None:
            return False
        work()
        return True
