"""Links: what carries batches of calls to whoever answers them. Here: what all have in common, and the shortest one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from production_server.broker.call_threads import CallThread
from production_server.broker.frames import Kind
from production_server.errors import CeleriacError, Unavailable
from production_server.jobs.records import WorkerInfo

Body = bytes | memoryview
Replied = Callable[[int, Body], None]
"""Told of a reply: the batch's key, and the body."""
Lost = Callable[[int, CeleriacError], None]
"""Told that a batch will not be answered any more: its key, and why."""


class Answering(Protocol):
    """A worker's side: makes a reply's body of a batch's."""

    def answer(self, body: Body) -> bytes:
        """The reply, whatever it takes. Any thread may ask."""

    def answer_if_quick(self, body: Body) -> bytes | None:
        """The reply to a batch of numbers that takes less than to hand it to another thread; None: it may not."""


class Link(Protocol):
    """Carries bodies. Belongs to the event loop that runs when it is started: all but `know` is for that one."""

    @property
    def is_open(self) -> bool:
        """Whether there is somebody to send to, or there soon may be."""

    @property
    def workers(self) -> int:
        """How many answer."""

    @property
    def unsent_batches(self) -> int:
        """Batches that wait for a worker that has room. Any thread may ask."""

    @property
    def broken(self) -> Mapping[str, int]:
        """How many batches were under way where a connection broke, by what was done then. Any thread may ask."""

    def start(self, replied: Replied, lost: Lost) -> None:
        """Tell these two from now on."""

    def know(self, workers: Sequence[WorkerInfo]) -> None:
        """These are alive, as their heartbeats say. Safe to call from any thread."""

    def send(self, key: int, kind: Kind, body: bytes) -> None:
        """Send a batch, of numbers or images.

        Raises:
            Unavailable: it cannot be sent.
        """

    def forget(self, key: int) -> None:
        """Nobody wants the answer to this batch any more: it need not be sent, or not again."""

    def close(self) -> None:
        """Stop; nothing is told afterwards."""


class LocalLink:
    """To a worker in this process: numbers and image files have a thread each, as in a worker of its own.

    What takes less than to hand it over is answered by the event loop's.
    """

    def __init__(self) -> None:
        self._worker: Answering | None = None
        self._replied: Replied = _to_nobody
        self._threads: dict[Kind, CallThread] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_open(self) -> bool:
        return self._worker is not None and self._loop is not None

    @property
    def workers(self) -> int:
        return 1

    @property
    def unsent_batches(self) -> int:
        return 0

    @property
    def broken(self) -> Mapping[str, int]:
        return {}

    def serve(self, worker: Answering) -> None:
        """Have a worker answer from now on."""
        self._worker = worker

    def start(self, replied: Replied, lost: Lost) -> None:  # noqa: ARG002  # nothing is lost between two functions
        self._replied = replied
        self._loop = asyncio.get_running_loop()
        self._threads = {kind: CallThread(kind) for kind in (Kind.NUMBERS, Kind.IMAGES)}
        for thread in self._threads.values():
            thread.start()

    def know(self, workers: Sequence[WorkerInfo]) -> None:
        pass  # the one that it has is in this process

    def send(self, key: int, kind: Kind, body: bytes) -> None:
        worker, loop = self._worker, self._loop
        if worker is None or loop is None:
            raise Unavailable("no worker has started")
        reply = worker.answer_if_quick(body) if kind is Kind.NUMBERS else None
        if reply is None:
            self._threads[kind].run(partial(self._run, worker, loop, key, body))
        else:
            # Not before whoever sends has noted that it is on its way.
            loop.call_soon(self._tell, key, reply)

    def forget(self, key: int) -> None:
        pass  # the worker sees for itself that it is too late

    def close(self) -> None:
        """As `Link`; waits for the batches in hand, for the models go next."""
        self._replied, self._loop = _to_nobody, None
        for thread in self._threads.values():
            thread.stop()

    def _run(self, worker: Answering, loop: asyncio.AbstractEventLoop, key: int, body: bytes) -> None:
        reply = worker.answer(body)
        # A loop that has ended has nobody who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._tell, key, reply)

    def _tell(self, key: int, reply: bytes) -> None:
        self._replied(key, reply)


def _to_nobody(_key: int, _body: Body) -> None:
    pass
