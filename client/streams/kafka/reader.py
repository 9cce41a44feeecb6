"""Receives the messages of a topic of Kafka: all of them, or as a member of a group its share."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from client.streams.kafka.connection import ASK_S, configured, connection, partitions_of
from client.streams.kafka.errors import Faults, error_of, is_about_the_place
from client.streams.messages import Incoming

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from confluent_kafka import Message

    from client.streams.address import Place


class KafkaReader:
    """A consumer; a `Reader`. Without a group it reads every partition and leaves no trace at the broker."""

    def __init__(
        self, place: Place, properties: Mapping[str, str], *, group: str | None, from_beginning: bool
    ) -> None:
        """Asks the broker for the topic. What is sent from then on is received.

        Raises:
            InputError: a property is wrong. Refused: there is no such topic, or the broker does not take the
                credentials. Unavailable: nobody answers.
        """
        self._place = place
        self._faults = Faults(place.broker)
        self._is_member = group is not None
        usual = {"auto.offset.reset": "earliest" if from_beginning else "latest"}
        with configured(place.broker):
            self._consumer = Consumer(
                {
                    **usual,
                    **properties,
                    **connection(place.broker, self._faults),
                    # It must have one, also where it joins none.
                    "group.id": group or f"celeriac-client-{uuid.uuid4()}",
                    "enable.auto.commit": self._is_member,
                    "enable.auto.offset.store": False,
                }
            )
        partitions = partitions_of(self._consumer, place, self._faults)
        if self._is_member:
            self._consumer.subscribe([place.name])
        else:
            starts = [self._start(each, from_beginning=from_beginning) for each in partitions]
            self._consumer.assign(starts)

    @property
    def fault(self) -> str:
        return self._faults.text

    def take(self, *, most: int, wait_s: float) -> Sequence[Incoming]:
        # Waited for is only the first message: librdkafka would wait until there are so many.
        first = self._consumer.poll(wait_s)
        if first is None:
            return []
        if first.error() is None:
            self._faults.forget()
        rest = self._consumer.consume(most - 1, timeout=0) if most > 1 else []
        return [_read(each) for each in [first, *rest] if not self._is_fault(each)]

    def confirm(self, taken: Sequence[Incoming]) -> None:
        if not self._is_member:
            return
        for message in taken:
            try:
                self._consumer.store_offsets(message=message.receipt)
            except KafkaException:
                # Its partition is another member's by now, to whom it comes again.
                continue

    def close(self) -> None:
        self._consumer.close()

    def _start(self, partition: int, *, from_beginning: bool) -> TopicPartition:
        """Where to begin. The end is asked for, so that nothing is missed that is sent after this."""
        at = TopicPartition(self._place.name, partition, OFFSET_BEGINNING)
        if not from_beginning:
            try:
                _, at.offset = self._consumer.get_watermark_offsets(at, timeout=ASK_S)
            except KafkaException as error:
                raise self._faults.raised(error_of(error), what=self._place.name) from error
        return at

    def _is_fault(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return False
        if is_about_the_place(error):
            raise self._faults.raised(error, what=self._place.name)
        if error.code() != KafkaError._PARTITION_EOF:
            self._faults.note(error)
        return True


def _read(message: Message) -> Incoming:
    _, milliseconds = message.timestamp()
    return Incoming(
        value=_bytes(message.value()),
        headers=_headers_of(message),
        place=f"{message.topic()}/{message.partition()}/{message.offset()}",
        sent_at=milliseconds / 1000,
        receipt=message,
    )


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else b"" if value is None else str(value).encode()


def _headers_of(message: Message) -> Mapping[str, str]:
    found: Any = message.headers() or []
    pairs = found.items() if isinstance(found, dict) else found
    return {str(name).lower(): _bytes(value).decode(errors="replace") for name, value in pairs}
