"""Batches of calls over RabbitMQ: a queue that all workers take from, and one for each web process's replies."""

from __future__ import annotations

import logging
import select
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

from celery import Celery
from kombu import Connection, Consumer, Queue
from kombu.message import Message

from production_server.broker.amqp_connection import (
    BROKEN,
    NOWHERE,
    body_of,
    call_queue,
    connect,
    drop,
    post,
    told,
)
from production_server.broker.amqp_listener import CONNECT_AGAIN_S, LOOK_EVERY_S, Listener
from production_server.broker.calls import CALL_QUEUE, CALL_QUEUES
from production_server.broker.links import Lost, Replied
from production_server.errors import Unavailable
from production_server.loop import Loop

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Sending:
    connection: Connection
    channel: Any
    reply_to: str


class AmqpLink:
    """A link over RabbitMQ. A thread reads replies; a broker that does not answer is tried again for ever."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._reply_to = ""
        self._is_silent = False
        self._sending: _Sending | None = None
        self._listener = Listener(app, self._consume)
        self._replied: Replied = lambda _key, _body: None
        self._loop: Loop | None = None

    @property
    def is_open(self) -> bool:
        return bool(self._reply_to) and not self._is_silent

    def start(self, replied: Replied, lost: Lost) -> None:
        self._replied = replied
        self._loop = Loop("interactive calls", partial(self._receive, lost), pause_s=CONNECT_AGAIN_S)
        self._loop.start()

    def close(self) -> None:
        if self._loop is not None:
            self._loop.stop()
        self._listener.close()
        self._reply_to = ""
        self._forget()

    def send(self, key: str, body: bytes, *, queue: str, remaining_s: float) -> None:
        expiration = str(int(remaining_s * 1000))
        try:
            sending = self._sending = self._open(self._sending)
            post(
                sending.channel,
                body,
                queue,
                reply_to=sending.reply_to,
                correlation_id=key,
                expiration=expiration,
            )
        except BROKEN as exc:
            log.warning("interactive calls: the broker does not take them (%s)", exc)
            self._forget()
            raise Unavailable(told(exc)) from exc

    def check(self) -> None:
        try:
            sending = self._sending = self._open(self._sending)
            # Where there is an alarm, RabbitMQ tells it only to whoever publishes.
            post(sending.channel, b"", NOWHERE)
            sending.channel.queue_declare(CALL_QUEUE, passive=True)
        except BROKEN as exc:
            if not self._is_silent:
                log.warning("interactive calls: %s", told(exc))
            self._is_silent = True
            self._forget()
            raise Unavailable(told(exc)) from exc
        if self._is_silent:
            log.info("interactive calls: the broker answers again")
        self._is_silent = False

    def _forget(self) -> None:
        sending, self._sending = self._sending, None
        if sending is not None:
            drop(sending.connection)

    def _open(self, old: _Sending | None) -> _Sending:
        """What to send by. Where replies come by a new connection, the old one is broken, too."""
        if old is not None and old.reply_to == self._reply_to and not _is_closed(old):
            return old
        self._forget()
        if not self._reply_to:
            raise Unavailable("the broker does not answer")
        # Nobody reads here, so nobody would see heartbeats: the connection for replies tells whether the broker lives.
        connection = connect(self._app, is_read=False)
        channel = connection.channel()
        for name in CALL_QUEUES:
            call_queue(name)(channel).declare()
        return _Sending(connection, channel, self._reply_to)

    def _receive(self, lost: Lost) -> bool:
        """A step: tell of a reply, or that all are lost where the connection is.

        Raises:
            Unavailable: it is.
        """
        try:
            return self._listener.step()
        except BaseException:
            self._reply_to = ""
            lost(Unavailable("the broker does not answer"))
            raise

    def _consume(self, channel: Any) -> Consumer:
        """A fresh queue of this process's own, which vanishes with the connection."""
        name = f"celeriac.replies.{uuid4().hex}"
        replies = Queue(name, routing_key=name, exclusive=True, auto_delete=True, durable=False)
        replies(channel).declare()
        self._reply_to = name
        return Consumer(channel, [replies], on_message=self._tell, no_ack=True)

    def _tell(self, message: Message) -> None:
        self._replied(message.properties.get("correlation_id", ""), body_of(message))


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
