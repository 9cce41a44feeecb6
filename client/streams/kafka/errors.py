"""What librdkafka says, as errors of ours: one line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException

from client.errors import ClientError, InputError, Refused, Unavailable

if TYPE_CHECKING:
    from client.streams.address import Broker

TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}
UNKNOWN_TOPIC = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
}
_DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
_CREDENTIALS = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
}
_AWAY = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._RESOLVE,
}

_WORDS: Sequence[tuple[set[int], type[ClientError], str]] = (
    (_CREDENTIALS, Refused, "{broker} does not take these credentials: {text}"),
    (_DENIED, Refused, "these credentials may not do that with {what}: {text}"),
    (
        UNKNOWN_TOPIC,
        Refused,
        "there is no topic {what} at {broker}: python -m client topics create {broker} {what}",
    ),
    ({KafkaError._INVALID_ARG}, InputError, "--options: {text}"),
    ({KafkaError._SSL}, Unavailable, "{broker}: TLS fails: {text}"),
    ({KafkaError._RESOLVE}, Unavailable, "{broker}: there is no such host: {text}"),
    (
        _AWAY,
        Unavailable,
        "nothing answers at {broker} ({text}): is that the broker's address, and does it want TLS or SASL (--options)?",
    ),
)


class Faults:
    """What librdkafka tells of a connection between whiles; the most telling is kept."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._worst: KafkaError | None = None
        self.are_all_down = False

    def note(self, error: KafkaError) -> None:
        """Called by librdkafka, again and again for one and the same."""
        self.are_all_down = self.are_all_down or error.code() == KafkaError._ALL_BROKERS_DOWN
        # That all brokers are down follows from why one is.
        if self._worst is None or error.code() not in _AWAY:
            self._worst = error

    @property
    def text(self) -> str:
        """What is wrong now; empty: nothing."""
        return "" if self._worst is None else str(translate(self._worst, self._broker))

    @property
    def is_final(self) -> bool:
        """Whether another try would fare no better: credentials, certificates."""
        return self._worst is not None and self._worst.code() not in _AWAY

    def forget(self) -> None:
        """It works now."""
        self._worst, self.are_all_down = None, False

    def raised(self, error: KafkaError, *, what: str = "") -> ClientError:
        """An error of ours for one of librdkafka's, or for the one that was told before and caused it."""
        if error.code() in _AWAY and self._worst is not None:
            error = self._worst
        return translate(error, self._broker, what=what)


def error_of(exception: KafkaException) -> KafkaError:
    """What a KafkaException is about."""
    found: KafkaError = exception.args[0]
    return found


def is_about_the_place(error: KafkaError) -> bool:
    """Whether no other message would fare better."""
    return error.code() in UNKNOWN_TOPIC | _DENIED | _CREDENTIALS


def translate(error: KafkaError, broker: Broker, *, what: str = "") -> ClientError:
    """Ours for one of librdkafka's; `what` is the topic that was asked about."""
    text = " ".join(error.str().split())
    for codes, kind, sentence in _WORDS:
        if error.code() in codes:
            return kind(sentence.format(broker=broker, what=what or broker, text=text))
    return Refused(f"{broker}: {text}")
