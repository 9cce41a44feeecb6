"""Chooses who talks to a stream's broker; its library need not be installed until then."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from client.errors import InputError
from client.streams import INSTALL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from client.streams.address import Broker, Place
    from client.streams.messages import Reader, Tell, Topics, Writer


@contextlib.contextmanager
def writer(place: Place, properties: Mapping[str, str], tell: Tell) -> Iterator[Writer]:
    """Who sends to a topic.

    Raises:
        InputError: its library is not installed, or a property is wrong. Refused: the broker says no.
        Unavailable: nobody answers.
    """
    opened: Writer
    with _installed(place.broker, properties):
        if place.broker.kind == "kafka":
            from client.streams.kafka.writer import KafkaWriter

            opened = KafkaWriter(place, properties, tell)
        else:
            from client.streams.pubsub.writer import PubSubWriter

            opened = PubSubWriter(place, tell)
    with contextlib.closing(opened):
        yield opened


@contextlib.contextmanager
def reader(
    place: Place, properties: Mapping[str, str], *, group: str | None, from_beginning: bool
) -> Iterator[Reader]:
    """Who receives from a topic of Kafka, or from a subscription.

    Raises:
        InputError: its library is not installed, a property is wrong, or it is nothing that Pub/Sub has.
        Refused: the broker says no. Unavailable: nobody answers.
    """
    if place.broker.kind == "pubsub" and (group or from_beginning):
        raise InputError(
            "--group and --from-beginning are Kafka's: a subscription has what came since it was made, and shares it"
        )
    opened: Reader
    with _installed(place.broker, properties):
        if place.broker.kind == "kafka":
            from client.streams.kafka.reader import KafkaReader

            opened = KafkaReader(place, properties, group=group, from_beginning=from_beginning)
        else:
            from client.streams.pubsub.reader import PubSubReader

            opened = PubSubReader(place)
    with contextlib.closing(opened):
        yield opened


@contextlib.contextmanager
def topics(broker: Broker, properties: Mapping[str, str]) -> Iterator[Topics]:
    """Who makes, lists and deletes topics.

    Raises:
        InputError: its library is not installed, or a property is wrong.
    """
    opened: Topics
    with _installed(broker, properties):
        if broker.kind == "kafka":
            from client.streams.kafka.topics import KafkaTopics

            opened = KafkaTopics(broker, properties)
        else:
            from client.streams.pubsub.topics import PubSubTopics

            opened = PubSubTopics(broker)
    with contextlib.closing(opened):
        yield opened


@contextlib.contextmanager
def _installed(broker: Broker, properties: Mapping[str, str]) -> Iterator[None]:
    if broker.kind == "pubsub" and properties:
        raise InputError("--options are librdkafka's: Pub/Sub has its credentials as all Google tools do")
    try:
        yield
    except ModuleNotFoundError as error:
        # Such as confluent_kafka, or google.cloud.
        raise InputError(f"{broker.kind}:// needs {error.name}, which is not installed: {INSTALL}") from error
