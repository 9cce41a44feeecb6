"""A Kafka cluster for tests: librdkafka's own mock, within this process; groups, offsets and rebalances are real."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, Producer
from confluent_kafka import Message as KafkaMessage

from testing.processes import wait_until

QUICK = {"fetch.wait.max.ms": 5}
"""The mock answers a fetch not when something comes, but when this time is over."""


class MockKafka:
    """One broker, from the first use on to `close`; keeps 5 MiB a partition. A topic is made when it is first used."""

    def __init__(self) -> None:
        self._cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 2})
        (broker,) = self._cluster.list_topics(timeout=10).brokers.values()
        self.address = f"{broker.host}:{broker.port}"
        self._producer = Producer(
            {"bootstrap.servers": self.address, "linger.ms": 1, "queue.buffering.max.messages": 1_000_000}
        )

    def produce(self, topic: str, *values: bytes, key: Callable[[int], str] = str, **headers: str) -> None:
        """Send messages, with their number as key, and wait until they are there."""
        for number, value in enumerate(values):
            self._producer.produce(topic, value, key(number), headers=dict(headers))
            self._producer.poll(0)
        assert self._producer.flush(30) == 0

    def make_topics(self, *topics: str) -> None:
        """Have topics that nothing was sent to yet."""
        for topic in topics:
            self._producer.list_topics(topic, timeout=10)

    def consume(
        self, topic: str, is_enough: Callable[[list[KafkaMessage]], bool], *, timeout_s: float = 60
    ) -> list[KafkaMessage]:
        """The messages of a topic from its beginning on, until there are enough of them."""
        consumer = self.consumer(topic, group=f"test-{topic}")
        found: list[KafkaMessage] = []

        def has_all() -> bool:
            found.extend(each for each in consumer.consume(1000, 0.2) if each.error() is None)
            return is_enough(found)

        try:
            wait_until(has_all, what=f"enough messages of {topic}", timeout_s=timeout_s)
        finally:
            consumer.close()
        return found

    def consumer(self, topic: str, *, group: str, **properties: Any) -> Consumer:
        """A consumer of a topic, from its beginning on."""
        usual = {"auto.offset.reset": "earliest", "session.timeout.ms": 6000, **QUICK}
        consumer = Consumer(
            {"bootstrap.servers": self.address, "group.id": group, "log_level": 2, **usual, **properties}
        )
        consumer.subscribe([topic])
        return consumer

    def close(self) -> None:
        """End it with all that it has."""
        self._producer.purge()
        del self._cluster
