"""Publishing chunks over RabbitMQ, confirmed, and asking the broker how it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Connection, Queue, pools
from kombu.exceptions import KombuError

from production_server.broker.amqp_connection import call_queue
from production_server.broker.messages import HIGH_QUEUE, NORMAL_QUEUE, RUN_CHUNK, chunk_body, queue_of
from production_server.broker.publisher import traced
from production_server.errors import Unavailable
from production_server.jobs.records import Chunk

if TYPE_CHECKING:
    from production_server.tracing.spans import Tracing

POOL_TIMEOUT_S = 5
CONFIRM_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 10
"""A broker that says nothing for this long does not answer: a damaged quorum queue is silent for a minute."""
# One more try on a fresh connection: a pooled one may have died with a restart of the broker.
RETRY_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}


class AmqpPublisher:
    """A publisher that gives chunks to the broker."""

    def __init__(self, app: Celery, *, tracing: Tracing | None = None) -> None:
        self._app = app
        self._tracing = tracing
        # Bounded in all that it waits for: out of memory or disk, RabbitMQ confirms nothing, and not even a close.
        self._producers = pools.producers[_bounded_connection(app, CONFIRM_TIMEOUT_S)]

    def publish(self, chunks: Sequence[Chunk]) -> None:
        """As `Publisher`; returns when the broker has confirmed all of them.

        Raises:
            Unavailable: the broker does not answer or refuses; some chunks may have been published.
        """
        with (
            traced(self._tracing, chunks) as headers,
            _translated(),
            self._producers.acquire(block=True, timeout=POOL_TIMEOUT_S) as producer,
        ):
            for chunk in chunks:
                self._app.send_task(
                    RUN_CHUNK,
                    kwargs=chunk_body(chunk),
                    headers=headers,
                    queue=queue_of(chunk),
                    producer=producer,
                    confirm_timeout=CONFIRM_TIMEOUT_S,
                    retry=True,
                    retry_policy=RETRY_ONCE,
                )

    def waiting_messages(self) -> int:
        """How many chunks wait in the queues. Makes the queues anew if the broker has lost them.

        Raises:
            Unavailable: the broker does not answer.
        """
        return sum(
            self._depths([self._app.amqp.queues[name] for name in (HIGH_QUEUE, NORMAL_QUEUE)]).values()
        )

    def queue_depths(self) -> dict[str, int]:
        """How many messages wait in each queue: of chunks, and of interactive calls.

        Raises:
            Unavailable: the broker does not answer.
        """
        return self._depths(
            [*(self._app.amqp.queues[name] for name in (HIGH_QUEUE, NORMAL_QUEUE)), call_queue()]
        )

    def _depths(self, queues: Iterable[Queue]) -> dict[str, int]:
        # A connection of its own: a pooled channel believes that it has declared the queues already.
        with _translated(), _bounded_connection(self._app, ANSWER_TIMEOUT_S) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=POOL_TIMEOUT_S)
            with connection.channel() as channel:
                declared: list[Any] = [queue(channel).queue_declare() for queue in queues]
                return {each.queue: each.message_count for each in declared}


def _bounded_connection(app: Celery, timeout_s: float) -> Connection:
    """A connection, not open yet, on which each read and each write ends within that time."""
    return app.connection_for_write(transport_options={"read_timeout": timeout_s, "write_timeout": timeout_s})


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (KombuError, AMQPError, OSError) as exc:
        raise Unavailable(f"the broker does not answer: {exc}") from exc
