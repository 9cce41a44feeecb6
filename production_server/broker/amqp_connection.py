"""Connections to RabbitMQ: what all have in common."""

from __future__ import annotations

import contextlib
import math
from typing import Any

from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Connection
from kombu.exceptions import KombuError

BROKEN = (KombuError, AMQPError, OSError)
"""What a connection that does not work raises."""
TRANSIENT = 1
"""AMQP's delivery mode for what need not be on disk."""
SILENT_S = 3.0
"""A broker that says nothing for so long, where it should answer, does not answer."""
NOWHERE = "celeriac.nowhere"
"""There is no such queue: what is sent there the broker throws away, if it takes it."""


class Blocked(OSError):
    """The broker has told that it takes no messages."""


def bounded(app: Celery) -> Connection:
    """A connection, not open yet, on which every read and write ends in time.

    What uses it raises `Blocked`, one of `BROKEN`, as soon as RabbitMQ says that it is short of memory or disk: then it
    reads no more of a connection that publishes, not even a good-bye (https://www.rabbitmq.com/docs/connection-blocked).
    """
    options = {
        "read_timeout": SILENT_S,
        "write_timeout": SILENT_S,
        "confirm_publish": True,
        "on_blocked": _raise_blocked,
    }
    return app.connection_for_write(heartbeat=0, transport_options=options)


def open_now(connection: Connection) -> None:
    """Connect, unless it is; tries once.

    Raises:
        KombuError, AMQPError, OSError: the broker does not answer.
    """
    connection.ensure_connection(max_retries=0, interval_start=0, timeout=math.ceil(SILENT_S))


def drop(connection: Connection) -> None:
    """Close a connection without a word: a broker that is silent would not answer a good-bye either."""
    with contextlib.suppress(*BROKEN):
        connection.collect()


def told(error: BaseException) -> str:
    """What one of `BROKEN` means, in a user's words."""
    if isinstance(error, Blocked):
        return "the broker takes no messages: it is short of memory or disk"
    return f"the broker does not answer: {str(error) or 'it is silent'}"


def _raise_blocked(_reason: str) -> None:
    raise Blocked


def post(channel: Any, body: bytes, queue: str) -> None:
    """Put a message that need not outlive the broker into a queue.

    Raises:
        AMQPError, OSError: the connection is broken.
    """
    message = channel.prepare_message(body, properties={"delivery_mode": TRANSIENT})
    channel.basic_publish(message, exchange="", routing_key=queue)
