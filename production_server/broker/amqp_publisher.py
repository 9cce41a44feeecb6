"""Publishing chunks over RabbitMQ, confirmed, and asking the broker how it is."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from amqp.exceptions import MessageNacked, PreconditionFailed
from celery import Celery
from kombu import Connection, Producer, Queue, pools

from production_server.broker.amqp_connection import (
    BROKEN,
    NOWHERE,
    SILENT_S,
    Blocked,
    bounded,
    drop,
    open_now,
    post,
    told,
)
from production_server.broker.app import dead_letter_queue
from production_server.broker.messages import HIGH_QUEUE, NORMAL_QUEUE, RUN_CHUNK, chunk_body, queue_of
from production_server.broker.publisher import traced
from production_server.errors import Unavailable
from production_server.jobs.records import Chunk

if TYPE_CHECKING:
    from production_server.tracing.spans import Tracing

log = logging.getLogger(__name__)


PAUSES_S = (0.1, 0.5)
"""So long after it was refused a message is sent again."""


class AmqpPublisher:
    """A publisher that gives chunks to the broker."""

    def __init__(self, app: Celery, *, tracing: Tracing | None = None) -> None:
        self._app = app
        self._tracing = tracing
        self._producers = pools.producers[bounded(app)]

    def publish(self, chunks: Sequence[Chunk]) -> None:
        """As `Publisher`; returns when the broker has confirmed all of them.

        Raises:
            Unavailable: the broker does not answer or refuses; some chunks may have been published.
        """
        waiting = deque(chunks)
        with (
            traced(self._tracing, chunks) as headers,
            _translated(),
            self._producers.acquire(block=True, timeout=SILENT_S) as producer,
        ):
            try:
                self._send(waiting, producer, headers)
            except (TimeoutError, Blocked):
                raise
            except BROKEN:
                # Once more on a fresh connection: a pooled one may have died with a restart of the broker.
                self._send_patiently(waiting, producer, headers)

    def _send_patiently(self, waiting: deque[Chunk], producer: Producer, headers: Mapping[str, str]) -> None:
        """Send, and again after a pause where the broker has it and refuses: a queue that begins takes nothing yet."""
        for pause_s in PAUSES_S:
            try:
                return self._send(waiting, producer, headers)
            except BROKEN as exc:
                if not _was_refused(exc):
                    raise
            time.sleep(pause_s)
        return self._send(waiting, producer, headers)

    def _send(self, waiting: deque[Chunk], producer: Producer, headers: Mapping[str, str]) -> None:
        connection: Any = producer.__connection__
        try:
            open_now(connection)
            while waiting:
                self._app.send_task(
                    RUN_CHUNK,
                    kwargs=chunk_body(waiting[0]),
                    headers=headers,
                    queue=queue_of(waiting[0]),
                    producer=producer,
                    confirm_timeout=SILENT_S,
                    retry=False,
                )
                waiting.popleft()
        except BROKEN:
            # The next one to publish by it would take a confirmation that comes late for its own.
            drop(connection)
            producer.revive(connection)
            raise

    def check(self) -> None:
        """As `Publisher`."""
        # Not closed where that fails: who is blocked gets no answer to a good-bye.
        with self._asking() as connection:
            post(connection.channel(), b"", NOWHERE)

    def waiting_messages(self) -> int:
        """How many chunks wait in the queues. Makes the queues anew if the broker has lost them.

        Raises:
            Unavailable: the broker does not answer.
        """
        depths = self._depths([*self._chunk_queues(), dead_letter_queue()])
        return depths[HIGH_QUEUE] + depths[NORMAL_QUEUE]

    def queue_depths(self) -> dict[str, int]:
        """As `Publisher`.

        Raises:
            Unavailable: the broker does not answer.
        """
        return self._depths([*self._chunk_queues(), dead_letter_queue()])

    def _chunk_queues(self) -> list[Queue]:
        return [self._app.amqp.queues[name] for name in (HIGH_QUEUE, NORMAL_QUEUE)]

    def _depths(self, queues: Iterable[Queue]) -> dict[str, int]:
        with self._asking() as connection:
            declared: list[Any] = [_declare(queue, connection) for queue in queues]
            return {each.queue: each.message_count for each in declared}

    @contextmanager
    def _asking(self) -> Iterator[Connection]:
        """A connection of its own: a pooled channel believes that it has declared the queues already."""
        connection = bounded(self._app)
        try:
            with _translated():
                open_now(connection)
                yield connection
                connection.release()
        finally:
            drop(connection)


def _declare(queue: Queue, connection: Connection) -> Any:
    """Make a queue unless it is there; one that another version of this service made otherwise is made anew.

    Its messages were hints: the reconciler publishes what they spoke of. One that somebody reads from stays.
    """
    try:
        return _declare_once(queue, connection)
    except PreconditionFailed as exc:
        log.warning("queue %s is of another version (%s): making it anew", queue.name, exc)
        channel: Any
        with connection.channel() as channel:
            channel.queue_delete(queue.name, if_unused=True)
        return _declare_once(queue, connection)


def _declare_once(queue: Queue, connection: Connection) -> Any:
    with connection.channel() as channel:
        return queue(channel).queue_declare()


def _was_refused(error: BaseException | None) -> bool:
    """Whether the broker has answered that it does not take a message (basic.nack)."""
    while error is not None and not isinstance(error, MessageNacked):
        error = error.__cause__
    return error is not None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except BROKEN as exc:
        raise Unavailable(told(exc)) from exc
