"""A Kafka cluster for tests: librdkafka's own mock, within this process; groups, offsets and rebalances are real."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka import Consumer, Producer
from confluent_kafka import Message as KafkaMessage

from testing.processes import wait_until

QUICK = {"fetch.wait.max.ms": 5, "session.timeout.ms": 2000, "heartbeat.interval.ms": 100}
"""The mock answers a fetch not when something comes, but when this time is over; members learn of others by heartbeats.
"""
REBALANCE_MS = 100
PRODUCER = 0
ALL = -1


class MockKafka:
    """One broker, from the first use on to `close`; keeps 5 MiB a partition. A topic is made when it is first used."""

    def __init__(self) -> None:
        library = _librdkafka()
        quiet = ctypes.c_void_p(library.rd_kafka_conf_new())
        library.rd_kafka_conf_set(quiet, b"log_level", b"2", None, 0)
        self._client = ctypes.c_void_p(library.rd_kafka_new(PRODUCER, quiet, None, 0))
        self._cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(self._client, 1))
        self.address = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        # Kafka waits for more members of a new group, here for as long as it takes a test to lose its patience.
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, ctypes.c_int32(REBALANCE_MS))
        self._producer = Producer(
            {
                "bootstrap.servers": self.address,
                "linger.ms": 1,
                "queue.buffering.max.messages": 1_000_000,
                "log_level": 2,
            }
        )

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """For as long the broker can be reached by nobody; what it has stays."""
        library = _librdkafka()
        library.rd_kafka_mock_broker_set_down(self._cluster, ALL)
        try:
            yield
        finally:
            library.rd_kafka_mock_broker_set_up(self._cluster, ALL)

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
        usual = {"auto.offset.reset": "earliest", **QUICK}
        consumer = Consumer(
            {"bootstrap.servers": self.address, "group.id": group, "log_level": 2, **usual, **properties}
        )
        consumer.subscribe([topic])
        return consumer

    def close(self) -> None:
        """End it with all that it has."""
        self._producer.purge()
        _librdkafka().rd_kafka_mock_cluster_destroy(self._cluster)
        _librdkafka().rd_kafka_destroy(self._client)


@cache
def _librdkafka() -> ctypes.CDLL:
    """The library within confluent-kafka's wheel: what it tells Python of its mock is only how to make one."""
    (path,) = Path(confluent_kafka.__file__).parents[1].glob("confluent_kafka.libs/librdkafka-*.so*")
    library = ctypes.CDLL(str(path))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(library, name).restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return library
