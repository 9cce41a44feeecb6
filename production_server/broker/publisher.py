"""What publishes chunks: what all publishers have in common, whatever the chunks travel by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from production_server.broker.messages import queue_of
from production_server.jobs.records import Chunk

if TYPE_CHECKING:
    from production_server.tracing.spans import Tracing


class Publisher(Protocol):
    """Puts chunks into the queues that workers take them from. Safe to share between threads, not between processes."""

    def publish(self, chunks: Sequence[Chunk]) -> None:
        """Put one message per chunk into its queue, in order; returns when all are safely there.

        Raises:
            Unavailable: they are not; some chunks may have been published.
        """

    def check(self) -> None:
        """See whether chunks could be published now.

        Raises:
            Unavailable: they could not.
        """

    def waiting_messages(self) -> int:
        """How many chunks wait in the queues; what a worker has in hand is not waiting any more.

        Raises:
            Unavailable: nobody can say.
        """

    def queue_depths(self) -> dict[str, int]:
        """How many messages wait in each queue: of chunks, and of what was refused.

        Raises:
            Unavailable: nobody can say.
        """


@contextmanager
def traced(tracing: Tracing | None, chunks: Sequence[Chunk]) -> Iterator[dict[str, str]]:
    """While chunks are published; gives what their messages shall carry, for the worker to go on with the trace."""
    if tracing is None or not chunks:
        yield {}
        return
    with tracing.sending(queue_of(chunks[0]), len(chunks)) as carried:
        yield carried
