"""Sends messages to a topic of Kafka."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Producer

from client.streams.kafka.connection import SLICE_S, configured, connection, partitions_of
from client.streams.kafka.errors import TOO_LARGE, Faults, error_of, is_about_the_place
from client.streams.messages import NOT_IN_TIME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import Message

    from client.errors import ClientError
    from client.streams.address import Place
    from client.streams.messages import Outgoing, Tell

SEND_S = 30
"""So long a broker may take for a message; then it is a failure, which is told."""
MOST_BYTES = 1_000_000
"""What librdkafka sends at most, and a broker takes, if neither is told otherwise."""
_LET_GO = {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}
ROOM_BYTES = 512
"""Of these some are the key, the headers and the batch around a value."""


class KafkaWriter:
    """An idempotent producer; a `Writer`. The key of a message is its id, which spreads them over the partitions."""

    def __init__(self, place: Place, properties: Mapping[str, str], tell: Tell) -> None:
        """Asks the broker for the topic.

        Raises:
            InputError: a property is wrong. Refused: there is no such topic, or the broker does not take the
                credentials. Unavailable: nobody answers.
        """
        self._place, self._tell = place, tell
        self._faults = Faults(place.broker)
        self._stops: ClientError | None = None
        self._in_hand: dict[str, Outgoing] = {}
        usual = {"linger.ms": 5, "message.timeout.ms": SEND_S * 1000, "enable.idempotence": True}
        with configured(place.broker):
            self._most_bytes = int(properties.get("message.max.bytes", MOST_BYTES)) - ROOM_BYTES
            self._producer = Producer({**usual, **properties, **connection(place.broker, self._faults)})
        partitions_of(self._producer, place, self._faults)

    @property
    def most_bytes(self) -> int:
        return self._most_bytes

    def send(self, message: Outgoing) -> None:
        self._in_hand[message.id] = message
        while True:
            self._poll(0)
            try:
                self._producer.produce(
                    self._place.name,
                    message.value,
                    message.id,
                    headers=dict(message.headers),
                    on_delivery=self._delivered(message),
                )
            except BufferError:
                # The queue is full: what is in it must be sent first.
                self._poll(SLICE_S)
            except KafkaException as error:
                self._told(message, error_of(error), "")
                return
            else:
                return

    def wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._poll(min(left, SLICE_S))

    def finish(self, seconds: float) -> int:
        until = time.monotonic() + seconds
        # In slices, between which Ctrl-C is heard.
        while len(self._producer) and time.monotonic() < until:
            self._poll(SLICE_S)
        return len(self._producer)

    def close(self) -> None:
        self._producer.purge()
        # After a fatal error nothing else is said, not even what becomes of messages.
        with contextlib.suppress(KafkaException):
            self._producer.poll(0)
        for message in self._in_hand.values():
            self._tell(message, "", NOT_IN_TIME)

    def _poll(self, seconds: float) -> None:
        try:
            self._producer.poll(seconds)
        except KafkaException as error:
            # Fatal, for this producer: its broker has lost what it knew of it, say.
            raise self._faults.raised(error_of(error), what=self._place.name) from error
        if self._stops is not None:
            raise self._stops

    def _delivered(self, message: Outgoing) -> Any:
        def told(error: KafkaError | None, sent: Message) -> None:
            self._told(message, error, f"{sent.topic()}/{sent.partition()}/{sent.offset()}")

        return told

    def _told(self, message: Outgoing, error: KafkaError | None, place: str) -> None:
        self._in_hand.pop(message.id, None)
        if error is None:
            self._faults.forget()
            self._tell(message, place, "")
            return
        if error.code() in TOO_LARGE:
            reason = f"{len(message.value):,} bytes are more than the broker takes"
        elif error.code() in _LET_GO:
            reason = NOT_IN_TIME
        else:
            failure = self._faults.raised(error, what=self._place.name)
            reason = str(failure)
            if is_about_the_place(error):
                self._stops = failure
        self._tell(message, "", reason)
