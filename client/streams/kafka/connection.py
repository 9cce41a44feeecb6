"""What all that talk to a broker have in common: configuration that may be wrong, and the question for a topic."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException

from client.errors import InputError
from client.streams.kafka.errors import UNKNOWN_TOPIC, Faults, error_of, translate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client.streams.address import Broker, Place

ASK_S = 10.0
REFUSED_S = 2.0
"""Where every address refuses the connection, so that nobody need wait for the network."""
SLICE_S = 0.2
APPEAR_S = 3.0
"""A broker that makes topics when they are first asked for does not have them in its first answer."""


_SILENT = logging.getLogger(__name__)
"""What is wrong is told once, by errors: librdkafka would write to stderr, too."""
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


def connection(broker: Broker, faults: Faults) -> dict[str, Any]:
    """The properties of whatever talks to a broker."""
    return {
        "bootstrap.servers": broker.host,
        "error_cb": faults.note,
        "logger": _SILENT,
    }


@contextlib.contextmanager
def configured(broker: Broker) -> Iterator[None]:
    """Raise what librdkafka says of its properties as ours.

    Raises:
        InputError: a property is unknown, or has a value that it cannot have.
    """
    try:
        yield
    except KafkaException as error:
        raise translate(error_of(error), broker) from error
    except (TypeError, ValueError) as error:
        raise InputError(f"--options: {error}") from error


def ask(client: Any, faults: Faults, *, topic: str | None = None) -> Any:
    """What the broker tells of itself, and of its topics or of one.

    Raises:
        Refused: it does not take the credentials. Unavailable: nobody answers.
    """
    started = time.monotonic()
    while True:
        try:
            # In short tries: what is wrong with a connection is told between them only.
            return client.list_topics(topic, timeout=1.0) if topic else client.list_topics(timeout=1.0)
        except KafkaException as error:
            client.poll(0)
            limit_s = REFUSED_S if faults.are_all_down else ASK_S
            if faults.is_final or time.monotonic() > started + limit_s:
                raise faults.raised(error_of(error), what=topic or "") from error


def partitions_of(client: Any, place: Place, faults: Faults) -> list[int]:
    """The partitions of a topic.

    Raises:
        Refused: there is no such topic, or the broker does not take the credentials. Unavailable: nobody answers.
    """
    until = time.monotonic() + APPEAR_S
    while True:
        found = ask(client, faults, topic=place.name).topics[place.name]
        if found.error is None:
            faults.forget()
            return sorted(found.partitions)
        is_coming = found.error.code() in UNKNOWN_TOPIC | {KafkaError.LEADER_NOT_AVAILABLE}
        if not is_coming or time.monotonic() > until:
            raise faults.raised(found.error, what=place.name)
        time.sleep(SLICE_S)
