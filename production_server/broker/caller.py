"""Interactive calls: sends them to the workers in batches and hands the answers out. For the web process.

Nothing is stored: a call is answered once or not at all. Whoever calls looks after the deadline.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import queue
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Connection, Consumer, Queue
from kombu.exceptions import KombuError
from kombu.message import Message

from production_server.broker.app import is_in_memory
from production_server.broker.calls import (
    CALL_QUEUE,
    CONTENT_ENCODING,
    CONTENT_TYPE,
    Reply,
    Request,
    decode_reply,
    encode_request,
)
from production_server.broker.grouping import Answer, Batch, Call, Grouping
from production_server.errors import CeleriacError, DeadlineExceeded, Unavailable

if TYPE_CHECKING:
    from production_server.tracing.spans import Tracing

log = logging.getLogger(__name__)

BROKEN = (KombuError, AMQPError, OSError)
"""What a connection that does not work raises."""
TRANSIENT = 1
"""AMQP's delivery mode for what need not be on disk."""
HEARTBEAT_S = 20
POLLING_S = 0.001
"""The in-memory transport looks for messages this often, where somebody waits for them."""
CONNECT_TIMEOUT_S = 4
LOOK_EVERY_S = 0.2
"""How often the reply thread looks for batches that nobody answers, and whether it shall stop."""
CONNECT_AGAIN_S = 0.5


@dataclass(slots=True)
class _Way:
    connection: Connection
    channel: Any
    reply_to: str


Answers = list[tuple[Call, Answer]]


def hand_out(answers: Answers) -> None:
    """Tell each call its answer."""
    for call, answer in answers:
        call.done(answer)


def call_queue() -> Queue:
    """Where calls wait for a worker. What waits here is of no use after a restart of the broker: it is on no disk."""
    return Queue(CALL_QUEUE, routing_key=CALL_QUEUE, durable=True)


def connect(app: Celery, *, is_read: bool = True) -> Connection:
    """A connection for calls and replies. They are not confirmed: whoever gets no answer hears so at the deadline.

    One that is read from has heartbeats: whoever reads must call `heartbeat_check`, too, as `drained` does.

    Raises:
        KombuError, AMQPError, OSError: the broker does not answer.
    """
    options = {"polling_interval": POLLING_S} if is_in_memory(app) else {"confirm_publish": False}
    connection = app.connection_for_write(heartbeat=HEARTBEAT_S if is_read else 0, transport_options=options)
    connection.ensure_connection(max_retries=1, interval_start=0, timeout=CONNECT_TIMEOUT_S)
    return connection


def drained(connection: Connection, *, until: threading.Event) -> Iterator[None]:
    """Have a connection's messages handled until something is set; yields every `LOOK_EVERY_S`, messages or not.

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
            yield


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


class Caller:
    """Safe to share between threads. `start` before the first call; one for each process."""

    def __init__(
        self,
        app: Celery,
        *,
        max_batches: int,
        max_items: int,
        max_waiting: int,
        tracing: Tracing | None = None,
    ) -> None:
        self._app = app
        self._grouping = Grouping(max_batches=max_batches, max_items=max_items, max_waiting=max_waiting)
        self._tracing = tracing
        self._lock = threading.Lock()
        # Numbers will do: who answers late, answers to a queue of before, or to a number that is not used again.
        self._numbers = itertools.count(1)
        self._on_their_way: dict[str, Batch] = {}
        self._outbox: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._reply_to = ""
        self._stopped = threading.Event()
        self._hand_out: Callable[[Answers], object] = hand_out
        self._threads = [
            threading.Thread(target=self._send_all, name="calls", daemon=True),
            threading.Thread(target=self._receive_all, name="replies", daemon=True),
        ]

    def start(self) -> None:
        """Start the two threads; a broker that does not answer is tried again for ever."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop the threads; whoever still waits gets an error."""
        self._stopped.set()
        self._outbox.put(None)
        for thread in self._threads:
            thread.join()

    @property
    def is_connected(self) -> bool:
        """Whether there is a way for replies to come."""
        return bool(self._reply_to)

    @property
    def waiting_items(self) -> int:
        """Items of calls that have not been sent."""
        return self._grouping.waiting_items

    @property
    def batches_on_their_way(self) -> int:
        return len(self._on_their_way)

    def hand_out_by(self, way: Callable[[Answers], object]) -> None:
        """Have the answers of a batch handed out in another thread than the one that reads replies."""
        self._hand_out = way

    def submit(self, call: Call) -> None:
        """Send a call, now or with others as soon as a batch returns.

        Raises:
            Unavailable: the broker does not answer, or as many wait as may (code `overloaded`).
        """
        if not self._reply_to:
            raise Unavailable("the broker does not answer")
        with self._lock:
            batch = self._grouping.add(call, time.monotonic())
        if batch is not None:
            self._outbox.put(batch)

    def _send_all(self) -> None:
        way: _Way | None = None
        while (batch := self._outbox.get()) is not None:
            try:
                if way is None or way.reply_to != self._reply_to or _is_closed(way):
                    way = self._find_way(way)
                self._send(batch, way)
            except BROKEN as exc:
                log.warning("interactive calls: the broker does not take them (%s)", exc)
                way = None
                self._settle(batch, Unavailable(f"the broker does not answer: {exc}"))
            except Exception:
                # The thread must live on: without it nobody would ever be answered again.
                log.exception("a batch of calls could not be sent")
                self._settle(batch, CeleriacError("the server made a mistake; its log says which"))
        if way is not None:
            _close(way)

    def _find_way(self, old: _Way | None) -> _Way:
        """A connection to send by; where replies come by a new one, the old one is broken, too."""
        if old is not None:
            _close(old)
        # Nobody reads here, so nobody would see heartbeats: the connection for replies tells whether the broker lives.
        connection = connect(self._app, is_read=False)
        channel = connection.channel()
        call_queue()(channel).declare()
        return _Way(connection, channel, self._reply_to)

    def _send(self, batch: Batch, way: _Way) -> None:
        remaining_s = batch.deadline - time.monotonic()
        if remaining_s <= 0:
            self._settle(batch, DeadlineExceeded("there was no time left to send it"))
            return
        if not way.reply_to:
            self._settle(batch, Unavailable("the broker does not answer"))
            return
        if self._tracing is None:
            self._post(batch, way, remaining_s, trace={})
            return
        callers = [call.span for call in batch.calls if call.span is not None]
        with self._tracing.sending(CALL_QUEUE, len(batch.calls), callers) as trace:
            self._post(batch, way, remaining_s, trace=trace)

    def _post(self, batch: Batch, way: _Way, remaining_s: float, *, trace: Mapping[str, str]) -> None:
        first, key, until = batch.calls[0], str(next(self._numbers)), time.time() + remaining_s
        body = encode_request(Request(first.model, first.version, batch.inputs(), trace=trace, until=until))
        batch.sent_at = time.monotonic()
        with self._lock:
            self._on_their_way[key] = batch
        try:
            post(
                way.channel,
                body,
                CALL_QUEUE,
                reply_to=way.reply_to,
                correlation_id=key,
                expiration=str(int(remaining_s * 1000)),
            )
        except BROKEN:
            # Somebody may have settled it already: the reply thread sees a broken connection, too.
            with self._lock:
                is_ours = self._on_their_way.pop(key, None) is not None
            if is_ours:
                raise

    def _receive_all(self) -> None:
        last_fault = ""
        while not self._stopped.is_set():
            try:
                self._receive()
            except BROKEN as exc:
                if str(exc) != last_fault:
                    log.warning("interactive calls: the broker does not answer (%s); trying on", exc)
                    last_fault = str(exc)
            except Exception:
                log.exception("interactive calls: starting anew")
            self._reply_to = ""
            self._drop(lambda _batch: True, Unavailable("the broker does not answer"))
            self._stopped.wait(CONNECT_AGAIN_S)

    def _receive(self) -> None:
        """Hand out replies until the connection breaks or a stop is asked for."""
        name = f"celeriac.replies.{uuid4().hex}"
        with connect(self._app) as connection, connection.channel() as channel:
            replies = Queue(name, routing_key=name, exclusive=True, auto_delete=True, durable=False)
            replies(channel).declare()
            with Consumer(channel, [replies], on_message=self._receive_one, no_ack=True):
                self._reply_to = name
                for _ in drained(connection, until=self._stopped):
                    self._drop(
                        lambda batch: batch.deadline < time.monotonic(),
                        DeadlineExceeded("no worker answered in time"),
                    )

    def _receive_one(self, message: Message) -> None:
        with self._lock:
            batch = self._on_their_way.pop(message.properties.get("correlation_id", ""), None)
        if batch is None:
            return
        try:
            reply = decode_reply(body_of(message))
        except ValueError as exc:
            log.error("dropped a reply: %s", exc)
            self._settle(batch, Unavailable("a worker's answer cannot be read"))
        else:
            with self._lock:
                self._grouping.heard_of(reply.worker, time.monotonic())
            self._settle(batch, replace(reply, sent_at=batch.sent_at, batch_items=batch.items))

    def _drop(self, is_lost: Callable[[Batch], bool], error: CeleriacError) -> None:
        """Give up batches that nobody will answer any more."""
        with self._lock:
            lost = {key: batch for key, batch in self._on_their_way.items() if is_lost(batch)}
            for key in lost:
                del self._on_their_way[key]
        for batch in lost.values():
            self._settle(batch, error)

    def _settle(self, batch: Batch, answer: Answer) -> None:
        """Tell each call of a batch what came of it, and send the next one."""
        with self._lock:
            following = self._grouping.returned(batch, time.monotonic())
        if following is not None:
            self._outbox.put(following)
        self._hand_out(list(zip(batch.calls, _parts(batch, answer), strict=True)))


def _parts(batch: Batch, answer: Answer) -> list[Answer]:
    """What each call of a batch gets: its own rows and errors, or the error of all."""
    failure = answer if isinstance(answer, CeleriacError) else answer.error
    if failure is not None or not isinstance(answer, Reply) or answer.outputs is None:
        return [failure or Unavailable("a worker answered nothing")] * len(batch.calls)
    parts: list[Answer] = []
    start = 0
    for call in batch.calls:
        stop = start + call.items
        errors = {place - start: error for place, error in answer.errors.items() if start <= place < stop}
        parts.append(replace(answer, outputs=answer.outputs[start:stop], errors=errors))
        start = stop
    return parts


def _is_closed(way: _Way) -> bool:
    """Whether the broker has closed a connection or channel that nobody reads from: what is sent then is lost.

    The in-memory transport has no socket, and closes nothing.
    """
    socket = getattr(way.connection.connection, "sock", None)
    if socket is None:
        return False
    news = select.poll()
    news.register(socket, select.POLLIN)
    try:
        if news.poll(0):
            way.connection.drain_events(timeout=LOOK_EVERY_S)
    except TimeoutError:
        return False
    except BROKEN as exc:
        log.warning("interactive calls: the broker has closed the connection (%s); opening another one", exc)
        return True
    return not way.channel.is_open


def _close(way: _Way) -> None:
    with contextlib.suppress(*BROKEN):
        way.connection.release()
