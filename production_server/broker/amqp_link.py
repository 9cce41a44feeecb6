"""Batches of calls over RabbitMQ: a queue that all workers take from, and one for each web process's replies."""

from __future__ import annotations

import contextlib
import logging
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Connection, Consumer, Queue
from kombu.exceptions import KombuError
from kombu.message import Message

from production_server.broker.calls import CALL_QUEUE, CONTENT_ENCODING, CONTENT_TYPE
from production_server.broker.links import Lost, Replied
from production_server.errors import Unavailable

log = logging.getLogger(__name__)

BROKEN = (KombuError, AMQPError, OSError)
"""What a connection that does not work raises."""
TRANSIENT = 1
"""AMQP's delivery mode for what need not be on disk."""
HEARTBEAT_S = 20
CONNECT_TIMEOUT_S = 4
LOOK_EVERY_S = 0.2
"""How often whoever reads looks whether it shall stop, and tells the broker that it lives."""
CONNECT_AGAIN_S = 0.5


def call_queue() -> Queue:
    """Where calls wait for a worker. What waits here is of no use after a restart of the broker: it is on no disk."""
    return Queue(CALL_QUEUE, routing_key=CALL_QUEUE, durable=True)


def connect(app: Celery, *, is_read: bool = True) -> Connection:
    """A connection for calls and replies. They are not confirmed: whoever gets no answer hears so at the deadline.

    One that is read from has heartbeats: whoever reads must call `heartbeat_check`, too, as `drain` does.

    Raises:
        KombuError, AMQPError, OSError: the broker does not answer.
    """
    connection = app.connection_for_write(
        heartbeat=HEARTBEAT_S if is_read else 0, transport_options={"confirm_publish": False}
    )
    connection.ensure_connection(max_retries=1, interval_start=0, timeout=CONNECT_TIMEOUT_S)
    return connection


def drain(connection: Connection, *, until: threading.Event) -> None:
    """Have a connection's messages handled until something is set.

    Raises:
        AMQPError, OSError: the connection is broken.
    """
    looked_at = time.monotonic()
    while not until.is_set():
        with contextlib.suppress(TimeoutError):
            connection.drain_events(timeout=LOOK_EVERY_S)
        if time.monotonic() - looked_at >= LOOK_EVERY_S:
            # Also where messages never end: what only reads would not tell the broker that it lives.
            connection.heartbeat_check()
            looked_at = time.monotonic()


def keep_up(
    serve: Callable[[], None], *, until: threading.Event, when_ended: Callable[[], None] = lambda: None
) -> None:
    """Serve again and again until something is set, whatever breaks; `when_ended` is run each time after."""
    last_fault = ""
    while not until.is_set():
        try:
            serve()
        except BROKEN as exc:
            if str(exc) != last_fault:
                log.warning("interactive calls: the broker does not answer (%s); trying on", exc)
                last_fault = str(exc)
        except Exception:
            log.exception("interactive calls: starting anew")
        when_ended()
        until.wait(CONNECT_AGAIN_S)


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


@dataclass(slots=True)
class _Sending:
    connection: Connection
    channel: Any
    reply_to: str


class AmqpLink:
    """A thread reads replies; a broker that does not answer is tried again for ever."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._reply_to = ""
        self._sending: _Sending | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_open(self) -> bool:
        return bool(self._reply_to)

    def start(self, replied: Replied, lost: Lost) -> None:
        self._thread = threading.Thread(
            target=self._receive_all, args=(replied, lost), name="replies", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        if self._sending is not None:
            _close(self._sending)

    def send(self, key: str, body: bytes, *, remaining_s: float) -> None:
        expiration = str(int(remaining_s * 1000))
        try:
            sending = self._sending = self._open(self._sending)
            post(
                sending.channel,
                body,
                CALL_QUEUE,
                reply_to=sending.reply_to,
                correlation_id=key,
                expiration=expiration,
            )
        except BROKEN as exc:
            log.warning("interactive calls: the broker does not take them (%s)", exc)
            self._sending = None
            raise Unavailable(f"the broker does not answer: {exc}") from exc

    def _open(self, old: _Sending | None) -> _Sending:
        """What to send by. Where replies come by a new connection, the old one is broken, too."""
        if old is not None and old.reply_to == self._reply_to and not _is_closed(old):
            return old
        if old is not None:
            _close(old)
        if not self._reply_to:
            raise Unavailable("the broker does not answer")
        # Nobody reads here, so nobody would see heartbeats: the connection for replies tells whether the broker lives.
        connection = connect(self._app, is_read=False)
        channel = connection.channel()
        call_queue()(channel).declare()
        return _Sending(connection, channel, self._reply_to)

    def _receive_all(self, replied: Replied, lost: Lost) -> None:
        def close() -> None:
            self._reply_to = ""
            lost(Unavailable("the broker does not answer"))

        keep_up(partial(self._receive, replied), until=self._stopped, when_ended=close)

    def _receive(self, replied: Replied) -> None:
        """Tell of replies until the connection breaks or a stop is asked for."""

        def receive(message: Message) -> None:
            replied(message.properties.get("correlation_id", ""), body_of(message))

        name = f"celeriac.replies.{uuid4().hex}"
        with connect(self._app) as connection, connection.channel() as channel:
            replies = Queue(name, routing_key=name, exclusive=True, auto_delete=True, durable=False)
            replies(channel).declare()
            with Consumer(channel, [replies], on_message=receive, no_ack=True):
                self._reply_to = name
                drain(connection, until=self._stopped)


def _is_closed(sending: _Sending) -> bool:
    """Whether the broker has closed a connection or channel that nobody reads from: what is sent then is lost."""
    news = select.poll()
    news.register(sending.connection.connection.sock, select.POLLIN)
    try:
        if news.poll(0):
            sending.connection.drain_events(timeout=LOOK_EVERY_S)
    except TimeoutError:
        return False
    except BROKEN as exc:
        log.warning("interactive calls: the broker has closed the connection (%s); opening another one", exc)
        return True
    return not sending.channel.is_open


def _close(sending: _Sending) -> None:
    with contextlib.suppress(*BROKEN):
        sending.connection.release()
