"""Connections to RabbitMQ: what all have in common, and what is sent over those for calls and their replies."""

from __future__ import annotations

import contextlib
import math
from typing import Any

from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Connection, Queue
from kombu.exceptions import KombuError
from kombu.message import Message

from production_server.broker.app import HEARTBEAT_S
from production_server.broker.calls import CONTENT_ENCODING, CONTENT_TYPE

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


def bounded(app: Celery, *, heartbeat_s: int = 0, is_confirmed: bool = True) -> Connection:
    """A connection, not open yet, on which every read and write ends in time.

    What uses it raises `Blocked`, one of `BROKEN`, as soon as RabbitMQ says that it is short of memory or disk: then it
    reads no more of a connection that publishes, not even a good-bye (https://www.rabbitmq.com/docs/connection-blocked).
    """
    options = {
        "read_timeout": SILENT_S,
        "write_timeout": SILENT_S,
        "confirm_publish": is_confirmed,
        "on_blocked": _raise_blocked,
    }
    return app.connection_for_write(heartbeat=heartbeat_s, transport_options=options)


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


def call_queue(name: str) -> Queue:
    """Where calls wait for a worker. What waits here is of no use after a restart of the broker: it is on no disk."""
    return Queue(name, routing_key=name, durable=True)


def connect(app: Celery, *, is_read: bool = True) -> Connection:
    """A connection for calls and replies. They are not confirmed: whoever gets no answer hears so at the deadline.

    One that is read from has heartbeats: whoever reads must call `heartbeat_check`, too, as a `Listener` does.

    Raises:
        KombuError, AMQPError, OSError: the broker does not answer.
    """
    connection = bounded(app, heartbeat_s=HEARTBEAT_S if is_read else 0, is_confirmed=False)
    open_now(connection)
    return connection


def post(channel: Any, body: bytes, queue: str, **properties: str) -> None:
    """Put a message that need not outlive the broker into a queue. kombu's `Producer` takes several times as long.

    Raises:
        AMQPError, OSError: the connection is broken.
    """
    message = channel.prepare_message(
        body,
        content_type=CONTENT_TYPE,
        content_encoding=CONTENT_ENCODING,
        properties={"delivery_mode": TRANSIENT, **properties},
    )
    channel.basic_publish(message, exchange="", routing_key=queue)


def body_of(message: Message) -> bytes:
    """The raw bytes of a message; transports hand them out in one of several kinds."""
    body: Any = message.body
    return body.encode() if isinstance(body, str) else bytes(body)
