"""Topics of Kafka, by confluent-kafka (librdkafka): the one module that knows it.

Offsets are committed when the messages before them are stored, and only then. A pause is set anew after each
rebalance, which forgets it (confluent-kafka-python#120).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import Message as KafkaMessage

from production_server.errors import Unavailable
from production_server.shown import visible
from production_server.sources.streams.message import Message, Outgoing, SourceState
from production_server.sources.streams.rules import StreamRule

log = logging.getLogger(__name__)

SEND_S = 30.0
"""So long a broker may take for what it is sent."""
ASK_S = 2.0
SAID_EACH_S = 60.0
"""librdkafka tells of a fault that lasts at least so often: it tries each 10 s, and is silent of the same for 30."""
MAX_FAULT = 300
FETCHED_KBYTES = 65_536
"""What is fetched ahead, so that large messages do not fill the memory."""
_OF_CONSUMERS = (
    "group.",
    "auto.offset",
    "fetch.",
    "max.poll",
    "session.",
    "heartbeat.",
    "queued.",
    "partition.",
)
"""How properties begin that a producer has not."""
_TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}


def refused_properties(rule: StreamRule) -> str | None:
    """What librdkafka has against a stream's properties; None: nothing. Nobody is asked for anything."""
    try:
        Consumer({**_consumer_properties(rule), "log_level": 0}).close()
        Producer({**_producer_properties(rule), "log_level": 0})
    except (KafkaException, ValueError, TypeError) as exc:
        error = exc.args[0] if exc.args else exc
        return visible(error.str() if isinstance(error, KafkaError) else str(error))[:MAX_FAULT]
    return None


def _consumer_properties(rule: StreamRule) -> dict[str, Any]:
    properties = {
        "partition.assignment.strategy": "cooperative-sticky",
        "auto.offset.reset": "earliest",
        "queued.max.messages.kbytes": FETCHED_KBYTES,
        **rule.properties,
        "bootstrap.servers": rule.host,
        "group.id": rule.group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "log_level": 2,
    }
    if properties.get("group.protocol") == "consumer":
        # KIP-848: this is the broker's there, and a client that sets it is refused.
        del properties["partition.assignment.strategy"]
    return properties


def _producer_properties(rule: StreamRule) -> dict[str, Any]:
    theirs = {name: value for name, value in rule.properties.items() if not name.startswith(_OF_CONSUMERS)}
    return {
        **theirs,
        "bootstrap.servers": rule.host,
        "enable.idempotence": True,
        "linger.ms": 2,
        "delivery.timeout.ms": int(SEND_S * 1000),
        "log_level": 2,
    }


class _Faults:
    """What librdkafka says is wrong, which it tells again and again, by turns with what follows from it."""

    def __init__(self, of: str) -> None:
        self._of = of
        self._text = ""
        self._told_at = self._logged_at = float("-inf")

    @property
    def latest(self) -> str:
        """Empty: nothing is wrong, or librdkafka has said nothing for longer than it ever does while something is."""
        return self._text if time.monotonic() - self._told_at < SAID_EACH_S else ""

    def note(self, error: KafkaError) -> None:
        """Keep a fault; of those that last, a line is logged each minute."""
        says_less = error.code() == KafkaError._ALL_BROKERS_DOWN and self.latest  # noqa: SLF001
        if says_less or error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            return
        self._text, self._told_at = visible(error.str())[:MAX_FAULT], time.monotonic()
        if self._told_at - self._logged_at > SAID_EACH_S:
            self._logged_at = self._told_at
            log.warning("%s: %s; trying on", self._of, self._text)

    def clear(self) -> None:
        """It works again."""
        self._told_at = self._logged_at = float("-inf")


class KafkaSource:
    """One member of a group that shares the partitions of a topic; a `Source`."""

    def __init__(self, rule: StreamRule) -> None:
        """Joins when it is first asked for messages; opens no connection yet that anybody waits for."""
        self._faults = _Faults(f"{rule.host}/{rule.place}")
        self._is_paused = False
        self._must_pause = False
        self._mine: dict[int, TopicPartition] = {}
        properties = {**_consumer_properties(rule), "error_cb": self._faults.note}
        self._consumer = Consumer(properties)
        self._topic = rule.place
        self._consumer.subscribe(
            [rule.place], on_assign=self._take_over, on_revoke=self._give_back, on_lost=self._give_back
        )

    def take(self, *, most: int, wait_s: float) -> list[Message]:
        """What has come: waited for is only the first message, so that the others' way is as short as can be."""
        first = self._consumer.poll(wait_s)
        if self._must_pause:
            self._must_pause = False
            self._pause(list(self._mine.values()))
        found = [] if first is None else [first]
        if found and most > 1:
            found += self._consumer.consume(most - 1, timeout=0)
        messages = [self._read(each) for each in found if not self._is_fault(each)]
        if messages:
            self._faults.clear()
        return messages

    def confirm(self, taken: Sequence[Message]) -> None:
        """Commit what is behind the last of them in each partition that is still this process's."""
        behind: dict[int, int] = {}
        for message in taken:
            partition, offset = message.receipt
            if partition in self._mine:
                behind[partition] = max(behind.get(partition, 0), offset + 1)
        if not behind:
            return
        offsets = [TopicPartition(self._topic, partition, offset) for partition, offset in behind.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as exc:
            # They come again then, to whomever, and are known.
            log.info("the offsets of %s were not committed: %s", self._topic, exc)

    def set_paused(self, *, paused: bool) -> None:
        self._is_paused = paused
        self._pause(list(self._mine.values()))

    def state(self) -> SourceState:
        """The lag by what the consumer knows already."""
        lag: dict[str, int | None] = {}
        for partition, each in sorted(self._mine.items()):
            lag[str(partition)] = self._lag_of(each)
        return SourceState(lag=lag, fault=self._faults.latest)

    def close(self) -> None:
        self._consumer.close()

    def _lag_of(self, partition: TopicPartition) -> int | None:
        try:
            (at,) = self._consumer.position([partition])
            start, end = self._consumer.get_watermark_offsets(partition, cached=True)
        except KafkaException:
            return None
        if at.offset < 0:
            # Nothing was read of it yet.
            return 0 if start == end >= 0 else None
        return max(0, end - at.offset) if end >= 0 else None

    def _take_over(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._mine |= {each.partition: TopicPartition(each.topic, each.partition) for each in partitions}
        log.info("%s: reads partitions %s", self._topic, ", ".join(map(str, sorted(self._mine))) or "none")
        # They are this process's only after this: a pause of them is set with the next look.
        self._must_pause = self._is_paused

    def _give_back(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            self._mine.pop(each.partition, None)

    def _pause(self, partitions: list[TopicPartition]) -> None:
        change = self._consumer.pause if self._is_paused else self._consumer.resume
        try:
            change(partitions)
        except KafkaException as exc:
            log.info("%s: %s", self._topic, exc)

    def _is_fault(self, message: KafkaMessage) -> bool:
        error = message.error()
        if error is not None:
            self._faults.note(error)
        return error is not None

    def _read(self, message: KafkaMessage) -> Message:
        partition, offset = int(message.partition() or 0), int(message.offset() or 0)
        _, milliseconds = message.timestamp()
        return Message(
            value=_bytes(message.value()),
            key=None if message.key() is None else _bytes(message.key()),
            headers=_headers_of(message),
            place=f"{self._topic}/{partition}/{offset}",
            sent_at=milliseconds / 1000,
            receipt=(partition, offset),
        )


class KafkaSink:
    """An idempotent producer; a `Sink`."""

    def __init__(self, rule: StreamRule) -> None:
        self._faults = _Faults(f"results to {rule.host}")
        self._host = rule.host
        self._producer = Producer({**_producer_properties(rule), "error_cb": self._faults.note})

    def send(self, topic: str, messages: Sequence[Outgoing]) -> list[bool]:
        faults: list[KafkaError | None] = [None] * len(messages)
        for place, each in enumerate(messages):
            self._produce(topic, each, place, faults)
        left = self._producer.flush(SEND_S)
        if left:
            self._producer.purge()
            self._producer.flush(0)
        others = [each for each in faults if each is not None and each.code() not in _TOO_LARGE]
        if left or others:
            reason = self._faults.latest or (others[0].str() if others else "it takes nothing")
            raise Unavailable(f"the stream's broker does not take results: {reason}", place=self._host)
        self._faults.clear()
        return [each is None for each in faults]

    def close(self) -> None:
        self._producer.flush(ASK_S)

    def _produce(self, topic: str, message: Outgoing, place: int, faults: list[KafkaError | None]) -> None:
        def told(error: KafkaError | None, _message: KafkaMessage) -> None:
            faults[place] = error

        until = time.monotonic() + SEND_S
        headers: list[tuple[str, str | bytes | None]] = list(message.headers.items())
        while True:
            try:
                self._producer.produce(topic, message.value, message.key, headers=headers, on_delivery=told)
            except BufferError as exc:
                # The queue is full: what is in it must be sent first.
                if time.monotonic() > until:
                    raise Unavailable("the stream's broker does not take results", place=self._host) from exc
                self._producer.poll(0.1)
            except KafkaException as exc:
                faults[place] = exc.args[0]
                return
            else:
                self._producer.poll(0)
                return


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else b"" if value is None else str(value).encode()


def _headers_of(message: KafkaMessage) -> Mapping[str, str]:
    found: Any = message.headers() or []
    pairs = found.items() if isinstance(found, dict) else found
    return {str(name).lower(): _bytes(value).decode(errors="replace") for name, value in pairs}
