"""Interactive calls: sends them to the workers in batches and hands the answers out. For the web process.

Nothing is stored: a call is answered once or not at all. Whoever calls looks after the deadline.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from production_server.broker.calls import Reply, Request, decode_reply, encode_request
from production_server.broker.grouping import Answer, Batch, Call, Grouping
from production_server.broker.links import Link
from production_server.errors import MISTAKE, CeleriacError, DeadlineExceeded, Unavailable
from production_server.loop import Loop
from production_server.models.tensors import part

if TYPE_CHECKING:
    from production_server.tracing.spans import Tracing

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.2
"""How often it is looked for batches that nobody answers."""
CHECK_AFTER_S = 1.0
"""A batch that is on its way for so long may be one of a slow model, or of a broker that has gone silent."""

Answers = list[tuple[Call, Answer]]


def hand_out(answers: Answers) -> None:
    """Tell each call its answer."""
    for call, answer in answers:
        call.done(answer)


class Caller:
    """Safe to share between threads. `start` before the first call; one for each process."""

    def __init__(
        self,
        link: Link,
        *,
        max_batches: int,
        max_items: int,
        max_waiting: int,
        tracing: Tracing | None = None,
    ) -> None:
        self._link = link
        self._grouping = Grouping(max_batches=max_batches, max_items=max_items, max_waiting=max_waiting)
        self._tracing = tracing
        self._lock = threading.Lock()
        # Numbers will do: who answers late, answers to a queue of before, or to a number that is not used again.
        self._numbers = itertools.count(1)
        self._on_their_way: dict[str, Batch] = {}
        self._outbox: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        self._hand_out: Callable[[Answers], object] = hand_out
        self._looked_at = 0.0
        self._checked_at = 0.0
        self._loop = Loop("calls", self._send_next, pause_s=0.0)

    def start(self) -> None:
        """Start to send, and to listen for replies."""
        self._link.start(self._replied, self._drop_all)
        self._loop.start()

    def close(self) -> None:
        """Stop; whoever still waits gets an error."""
        self._loop.stop()
        self._link.close()
        error = Unavailable("the server stops")
        with contextlib.suppress(queue.Empty):
            while True:
                self._settle(self._outbox.get_nowait(), error)
        self._drop_all(error)

    @property
    def is_connected(self) -> bool:
        """Whether replies can come."""
        return self._link.is_open

    @property
    def waiting_items(self) -> int:
        """Items of calls that have not been sent."""
        return self._grouping.waiting_items

    @property
    def batches_on_their_way(self) -> int:
        return len(self._on_their_way)

    def hand_out_by(self, handler: Callable[[Answers], object]) -> None:
        """Have the answers of a batch handed out in another thread than the one that is told of replies."""
        self._hand_out = handler

    def submit(self, call: Call) -> None:
        """Send a call, now or with others as soon as a batch returns.

        Raises:
            Unavailable: the broker does not answer, or as many wait as may (code `overloaded`).
        """
        if not self._link.is_open:
            raise Unavailable("the broker does not answer")
        with self._lock:
            batch = self._grouping.add(call, time.monotonic())
        if batch is not None:
            self._outbox.put(batch)

    def _send_next(self) -> bool:
        """A step: send a batch as soon as there is one, and look now and then for those that nobody answers."""
        with contextlib.suppress(queue.Empty):
            self._send_or_settle(self._outbox.get(timeout=LOOK_EVERY_S))
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._drop_late()
            self._check_link(now)
        return True

    def _check_link(self, now: float) -> None:
        """See whether what is on its way for a while can arrive, and whether the link is open again."""
        with self._lock:
            oldest = min((batch.sent_at for batch in self._on_their_way.values()), default=now)
        is_due = not self._link.is_open or now - oldest >= CHECK_AFTER_S
        if not is_due or now - self._checked_at < CHECK_AFTER_S:
            return
        try:
            self._link.check()
        except Unavailable as exc:
            self._drop_all(exc)
        self._checked_at = time.monotonic()

    def _send_or_settle(self, batch: Batch) -> None:
        try:
            self._send(batch)
        except CeleriacError as exc:
            self._settle(batch, exc)
        except Exception:
            log.exception("a batch of calls could not be sent")
            self._settle(batch, CeleriacError(MISTAKE))

    def _send(self, batch: Batch) -> None:
        remaining_s = batch.deadline - time.monotonic()
        if remaining_s <= 0:
            raise DeadlineExceeded("there was no time left to send it")
        if self._tracing is None:
            self._send_traced(batch, remaining_s, trace={})
            return
        callers = [call.span for call in batch.calls if call.span is not None]
        with self._tracing.sending(batch.queue, len(batch.calls), callers) as trace:
            self._send_traced(batch, remaining_s, trace=trace)

    def _send_traced(self, batch: Batch, remaining_s: float, *, trace: Mapping[str, str]) -> None:
        first, key, until = batch.calls[0], str(next(self._numbers)), time.time() + remaining_s
        body = encode_request(Request(first.model, first.version, batch.inputs(), trace=trace, until=until))
        batch.sent_at = time.monotonic()
        with self._lock:
            self._on_their_way[key] = batch
        try:
            self._link.send(key, body, queue=batch.queue, remaining_s=remaining_s)
        except BaseException:
            # Somebody may have settled it already: whoever listens for replies sees a broken connection, too.
            if self._taken(key) is not None:
                raise

    def _taken(self, key: str) -> Batch | None:
        """The batch, not on its way any more; None if somebody else has taken it."""
        with self._lock:
            return self._on_their_way.pop(key, None)

    def _replied(self, key: str, body: bytes) -> None:
        batch = self._taken(key)
        if batch is None:
            return
        try:
            reply = decode_reply(body)
        except ValueError as exc:
            log.error("dropped a reply: %s", exc)
            self._settle(batch, Unavailable("a worker's answer cannot be read"))
        else:
            with self._lock:
                self._grouping.heard_of(reply.worker, time.monotonic())
            self._settle(batch, replace(reply, sent_at=batch.sent_at, batch_items=batch.items))

    def _drop_late(self) -> None:
        now = time.monotonic()
        self._drop(lambda batch: batch.deadline < now, DeadlineExceeded("no worker answered in time"))

    def _drop_all(self, error: CeleriacError) -> None:
        self._drop(lambda _batch: True, error)

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
        parts.append(replace(answer, outputs=part(answer.outputs, start, stop), errors=errors))
        start = stop
    return parts
