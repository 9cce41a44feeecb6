"""Chunks within one process: from whoever publishes them to the threads of the worker, with no broker between."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from production_server.broker.messages import DEAD_LETTERS, HIGH_QUEUE, NORMAL_QUEUE, queue_of
from production_server.broker.publisher import traced
from production_server.errors import Unavailable
from production_server.jobs.records import Chunk

if TYPE_CHECKING:
    from production_server.tracing.spans import Tracing


@dataclass(frozen=True, slots=True)
class LocalMessage:
    """A chunk that was published: a reference to items, never their inputs."""

    chunk: Chunk
    carried: Mapping[str, str]
    """The publisher's trace, where there is one."""


class LocalQueue:
    """A publisher, and what is taken from it. Safe to share between threads.

    Nothing is on disk: what a process leaves here is published again when the next one starts.
    """

    def __init__(self, *, tracing: Tracing | None = None) -> None:
        self._tracing = tracing
        # In the order in which they are looked at: while there is something high, nothing normal is taken.
        self._waiting: dict[str, deque[LocalMessage]] = {HIGH_QUEUE: deque(), NORMAL_QUEUE: deque()}
        self._changed = threading.Condition()
        self._is_closed = False

    def publish(self, chunks: Sequence[Chunk]) -> None:
        """As `Publisher`; never blocks.

        Raises:
            Unavailable: it is closed; none was published.
        """
        with traced(self._tracing, chunks) as carried, self._changed:
            if self._is_closed:
                raise Unavailable("the server stops")
            for chunk in chunks:
                self._waiting[queue_of(chunk)].append(LocalMessage(chunk, carried))
            self._changed.notify(len(chunks))

    def take(self) -> LocalMessage | None:
        """The first message of the first queue that has one, as soon as there is one; None when it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or any(self._waiting.values()))
            if self._is_closed:
                return None
            return next(queue for queue in self._waiting.values() if queue).popleft()

    def close(self) -> None:
        """Whoever waits for a message, or asks for one later, gets none; what waits stays where it is."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def check(self) -> None:
        if self._is_closed:
            raise Unavailable("the server stops")

    def waiting_messages(self) -> int:
        return sum(map(len, self._waiting.values()))

    def queue_depths(self) -> dict[str, int]:
        # Nobody else can send anything.
        return {name: len(queue) for name, queue in self._waiting.items()} | {DEAD_LETTERS: 0}
