"""Makes, lists and deletes topics of Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from client.errors import Refused
from client.streams.kafka.connection import ASK_S, ask, configured, connection
from client.streams.kafka.errors import UNKNOWN_TOPIC, Faults, error_of
from client.streams.messages import Topic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from client.streams.address import Broker

BROKERS_OWN = -1
"""As many replicas, or partitions, as the broker's own settings say."""


class KafkaTopics:
    """The topics of one cluster; a `Topics`."""

    def __init__(self, broker: Broker, properties: Mapping[str, str]) -> None:
        """Asks nobody yet.

        Raises:
            InputError: a property is wrong.
        """
        self._broker = broker
        self._faults = Faults(broker)
        with configured(broker):
            self._admin = AdminClient({**properties, **connection(broker, self._faults)})

    def list(self) -> Sequence[Topic]:
        found = ask(self._admin, self._faults).topics
        return [
            Topic(
                name=name,
                partitions=len(topic.partitions),
                replication=max((len(each.replicas) for each in topic.partitions.values()), default=None),
            )
            for name, topic in sorted(found.items())
            # The broker's own, such as __consumer_offsets.
            if not name.startswith("__")
        ]

    def create(self, name: str, *, partitions: int | None, replication: int | None) -> bool:
        brokers = len(ask(self._admin, self._faults).brokers)
        wanted = NewTopic(
            name,
            num_partitions=partitions or BROKERS_OWN,
            replication_factor=replication or BROKERS_OWN,
        )
        error = self._outcome(self._admin.create_topics([wanted], request_timeout=ASK_S)[name])
        if error is None or error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return error is None
        if error.code() == KafkaError.INVALID_REPLICATION_FACTOR:
            asked = f"{replication} replicas" if replication else "so many replicas as its settings say"
            raise Refused(f"{name}: {asked} need as many brokers, and {self._broker} has {brokers}")
        raise self._faults.raised(error, what=name)

    def delete(self, name: str) -> bool:
        ask(self._admin, self._faults)
        error = self._outcome(self._admin.delete_topics([name], request_timeout=ASK_S)[name])
        if error is None or error.code() in UNKNOWN_TOPIC:
            return error is None
        raise self._faults.raised(error, what=name)

    def close(self) -> None:
        self._admin.poll(0)

    def _outcome(self, asked: Any) -> KafkaError | None:
        try:
            asked.result(ASK_S + 5)
        except KafkaException as error:
            return error_of(error)
        return None
