"""What whoever publishes may rely on, over RabbitMQ and within one process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from amqp.channel import Channel
from amqp.exceptions import MessageNacked
from celery import Celery
from opentelemetry.sdk.trace import TracerProvider

from production_server.broker.amqp_publisher import AmqpPublisher
from production_server.broker.app import create_celery
from production_server.broker.local_queue import LocalQueue
from production_server.broker.messages import DEAD_LETTERS, HIGH_QUEUE, NORMAL_QUEUE, read_chunk_body
from production_server.broker.publisher import Publisher
from production_server.errors import Unavailable
from production_server.jobs.records import Chunk, Priority
from production_server.settings import read_settings
from production_server.tracing.spans import Tracing

JOB = uuid4()
NOBODY_LISTENS = "amqp://127.0.0.1:1"


@dataclass(frozen=True)
class Message:
    """What a worker is told."""

    chunk: tuple[UUID, int, int]
    trace: str


@dataclass(frozen=True)
class Place:
    """A publisher, and all that waits, queue by queue, taken as workers take it; high comes first."""

    publisher: Publisher
    take_all: Callable[[], list[Message]]


@pytest.fixture
def tracing() -> Iterator[Tracing]:
    made = Tracing(TracerProvider(shutdown_on_exit=False))
    yield made
    made.close()


def over_rabbitmq(url: str, tracing: Tracing) -> Place:
    app = create_celery(read_settings({"BROKER_URL": url}))
    return Place(AmqpPublisher(app, tracing=tracing), lambda: _take_from_broker(app))


def _take_from_broker(app: Celery) -> list[Message]:
    taken = []
    with app.connection_for_read() as connection, connection.channel() as opened:
        channel: Any = opened
        for name in (HIGH_QUEUE, NORMAL_QUEUE):
            app.amqp.queues[name](channel).declare()
            while (message := channel.basic_get(name, no_ack=True)) is not None:
                decoded = channel.message_to_python(message)
                _, body, _ = decoded.decode()
                taken.append(Message(read_chunk_body(body), decoded.headers.get("traceparent", "")))
    return taken


def in_this_process(tracing: Tracing) -> Place:
    queue = LocalQueue(tracing=tracing)

    def take_all() -> list[Message]:
        taken = []
        while queue.waiting_messages():
            message = queue.take()
            assert message is not None
            chunk = message.chunk
            taken.append(
                Message((chunk.job_id, chunk.start, chunk.stop), message.carried.get("traceparent", ""))
            )
        return taken

    return Place(queue, take_all)


@pytest.fixture(params=["local", "rabbitmq"])
def place(request: pytest.FixtureRequest, tracing: Tracing) -> Place:
    if request.param == "local":
        return in_this_process(tracing)
    return over_rabbitmq(request.getfixturevalue("broker_url"), tracing)


@pytest.fixture(params=["local", "rabbitmq"])
def broken(request: pytest.FixtureRequest) -> Publisher:
    """One that cannot publish (any more)."""
    if request.param == "rabbitmq":
        return AmqpPublisher(create_celery(read_settings({"BROKER_URL": NOBODY_LISTENS})))
    queue = LocalQueue()
    queue.close()
    return queue


def chunks(*starts: int, priority: Priority = "normal") -> Sequence[Chunk]:
    return [Chunk(JOB, start, start + 1, priority) for start in starts]


def starts(messages: Sequence[Message]) -> list[int]:
    return [message.chunk[1] for message in messages]


def test_what_is_published_comes_once_and_in_order(place: Place) -> None:
    place.publisher.publish([Chunk(JOB, 0, 256, "normal"), Chunk(JOB, 256, 300, "normal")])
    place.publisher.publish([Chunk(JOB, 300, 301, "normal")])

    taken = [message.chunk for message in place.take_all()]

    assert taken == [(JOB, 0, 256), (JOB, 256, 300), (JOB, 300, 301)]
    assert place.take_all() == []


def test_what_is_urgent_has_a_queue_of_its_own(place: Place) -> None:
    place.publisher.publish(chunks(1, 2))
    place.publisher.publish(chunks(3, 4, priority="high"))

    assert starts(place.take_all()) == [3, 4, 1, 2]


def test_how_many_wait_is_told_by_queue_without_those_that_were_taken(place: Place) -> None:
    before = place.publisher.queue_depths(), place.publisher.waiting_messages()
    place.publisher.publish([*chunks(1, 2), *chunks(3, priority="high")])
    waiting = place.publisher.queue_depths(), place.publisher.waiting_messages()
    place.take_all()
    after = place.publisher.queue_depths(), place.publisher.waiting_messages()

    nothing = dict.fromkeys((HIGH_QUEUE, NORMAL_QUEUE, DEAD_LETTERS), 0)
    assert (before, after) == ((nothing, 0), (nothing, 0))
    assert waiting == (nothing | {HIGH_QUEUE: 1, NORMAL_QUEUE: 2}, 3)


def test_threads_that_publish_at_once_lose_nothing(place: Place) -> None:
    place.publisher.publish([])
    threads = [
        threading.Thread(target=place.publisher.publish, args=(chunks(*range(first, first + 25)),))
        for first in range(0, 100, 25)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(starts(place.take_all())) == list(range(100))


def test_messages_carry_the_trace_of_whoever_publishes_them(place: Place, tracing: Tracing) -> None:
    with tracing.request("POST", "/api/jobs", {}) as end:
        place.publisher.publish(chunks(1, 2))
        end("/api/jobs", 202, {})

    first, second = (message.trace for message in place.take_all())

    assert first == second != ""


def test_who_cannot_publish_says_so(broken: Publisher) -> None:
    with pytest.raises(Unavailable):
        broken.publish(chunks(1))


def test_a_queue_that_takes_nothing_yet_is_asked_again(
    broker_url: str, tracing: Tracing, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = over_rabbitmq(broker_url, tracing)
    refusals = iter((MessageNacked(), MessageNacked(), MessageNacked()))
    basic_publish = Channel.basic_publish_confirm

    def publish(self: Channel, *arguments: Any, **options: Any) -> Any:
        for refusal in refusals:
            raise refusal
        return basic_publish(self, *arguments, **options)

    monkeypatch.setattr(Channel, "basic_publish_confirm", publish)

    place.publisher.publish(chunks(1, 2))

    assert starts(place.take_all()) == [1, 2]
