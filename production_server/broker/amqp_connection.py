"""Connections to RabbitMQ for interactive calls and their replies, and what is sent over them."""

from __future__ import annotations

from typing import Any

from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Connection, Queue
from kombu.exceptions import KombuError
from kombu.message import Message

from production_server.broker.calls import CALL_QUEUE, CONTENT_ENCODING, CONTENT_TYPE

BROKEN = (KombuError, AMQPError, OSError)
"""What a connection that does not work raises."""
TRANSIENT = 1
"""AMQP's delivery mode for what need not be on disk."""
HEARTBEAT_S = 20
CONNECT_TIMEOUT_S = 4


def call_queue() -> Queue:
    """Where calls wait for a worker. What waits here is of no use after a restart of the broker: it is on no disk."""
    return Queue(CALL_QUEUE, routing_key=CALL_QUEUE, durable=True)


def connect(app: Celery, *, is_read: bool = True) -> Connection:
    """A connection for calls and replies. They are not confirmed: whoever gets no answer hears so at the deadline.

    One that is read from has heartbeats: whoever reads must call `heartbeat_check`, too, as a `Listener` does.

    Raises:
        KombuError, AMQPError, OSError: the broker does not answer.
    """
    connection = app.connection_for_write(
        heartbeat=HEARTBEAT_S if is_read else 0, transport_options={"confirm_publish": False}
    )
    connection.ensure_connection(max_retries=1, interval_start=0, timeout=CONNECT_TIMEOUT_S)
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
