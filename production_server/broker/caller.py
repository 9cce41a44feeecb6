"""Interactive calls: sends them to the workers in batches and hands the answers out. For the web process.

Nothing is stored: a call is answered once or not at all. Whoever calls looks after the deadline.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from production_server.broker.calls import (
    MAX_REQUEST_BYTES,
    Reply,
    Request,
    decode_reply,
    destination_of,
    encode_request,
)
from production_server.broker.frames import Kind
from production_server.broker.grouping import Answer, Batch, Call, Grouping
from production_server.broker.links import Body, Link
from production_server.errors import MISTAKE, CeleriacError, DeadlineExceeded, TooLarge, Unavailable
from production_server.models.tensors import part

if TYPE_CHECKING:
    from production_server.broker.grouping import Kind as CallKind
    from production_server.tracing.spans import Tracing

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.2
"""How often it is looked for batches that nobody answers, while some are on their way."""


class Caller:
    """Belongs to the event loop in which it is started: no other thread calls it. One for each process."""

    def __init__(
        self,
        link: Link,
        *,
        max_batches: int,
        max_items: int,
        max_waiting: int,
        tracing: Tracing | None = None,
    ) -> None:
        self.link = link
        self._grouping = Grouping(max_batches=max_batches, max_items=max_items, max_waiting=max_waiting)
        self._tracing = tracing
        self._numbers = itertools.count(1)
        self._on_their_way: dict[int, Batch] = {}
        self._came: dict[CallKind, None] = {}
        """The kinds of the calls that were read in this turn of the loop."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looking: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Take calls, in the loop that runs."""
        self._loop = asyncio.get_running_loop()
        self.link.start(self._replied, self._lost)

    def close(self) -> None:
        """Stop; whoever still waits gets an error."""
        self._loop = None
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        self.link.close()
        self._drop(lambda _batch: True, Unavailable("the server stops"))

    @property
    def is_connected(self) -> bool:
        """Whether replies can come."""
        return self._loop is not None and self.link.is_open

    @property
    def waiting_items(self) -> int:
        """Items of calls that have not been sent. Any thread may ask."""
        return self._grouping.waiting_items

    @property
    def batches_on_their_way(self) -> int:
        """Any thread may ask."""
        return len(self._on_their_way)

    def submit(self, call: Call) -> None:
        """Send a call: with those that are read in the same turn of the loop, or as soon as a batch returns.

        Raises:
            Unavailable: no worker answers, or as many wait as may (code `overloaded`).
        """
        if self._loop is None or not self.link.is_open:
            raise Unavailable("no worker answers")
        self._grouping.add(call)
        if not self._came:
            self._loop.call_soon(self._send_what_came)
        self._came[call.kind] = None

    def _send_what_came(self) -> None:
        came, self._came = self._came, {}
        for kind in came:
            self._send_next(kind)

    def _send_next(self, kind: CallKind) -> None:
        """Send what waits of a kind, as far as it may be on its way."""
        while self._loop is not None:
            batch = self._grouping.next(kind, time.monotonic(), workers=self.link.workers)
            if batch is None:
                return
            self._send_or_settle(batch)

    def _send_or_settle(self, batch: Batch) -> None:
        try:
            self._send(batch)
        except CeleriacError as exc:
            self._end(batch, exc)
        except Exception:
            log.exception("a batch of calls could not be sent")
            self._end(batch, CeleriacError(MISTAKE))

    def _send(self, batch: Batch) -> None:
        remaining_s = batch.deadline - time.monotonic()
        if remaining_s <= 0:
            raise DeadlineExceeded("there was no time left to send it")
        if self._tracing is None:
            self._send_traced(batch, remaining_s, trace={})
            return
        callers = [call.span for call in batch.calls if call.span is not None]
        with self._tracing.sending(destination_of(batch.calls[0].inputs), len(batch.calls), callers) as trace:
            self._send_traced(batch, remaining_s, trace=trace)

    def _send_traced(self, batch: Batch, remaining_s: float, *, trace: Mapping[str, str]) -> None:
        first, key, until = batch.calls[0], next(self._numbers), time.time() + remaining_s
        body = encode_request(Request(first.model, first.version, batch.inputs(), trace=trace, until=until))
        if len(body) > MAX_REQUEST_BYTES:
            raise TooLarge(f"the call takes {len(body)} bytes, at most {MAX_REQUEST_BYTES}: ask in parts")
        batch.sent_at = time.monotonic()
        self.link.send(key, Kind.NUMBERS if isinstance(first.inputs, Mapping) else Kind.IMAGES, body)
        self._on_their_way[key] = batch
        self._look_later()

    def _replied(self, key: int, body: Body) -> None:
        batch = self._on_their_way.pop(key, None)
        if batch is None:
            return
        try:
            reply = decode_reply(body)
        except ValueError as exc:
            log.error("dropped a reply: %s", exc)
            self._settle(batch, Unavailable("a worker's answer cannot be read"))
        else:
            self._settle(batch, replace(reply, sent_at=batch.sent_at, batch_items=batch.items))

    def _lost(self, key: int, error: CeleriacError) -> None:
        batch = self._on_their_way.pop(key, None)
        if batch is not None:
            self._settle(batch, error)

    def _look_later(self) -> None:
        if self._looking is None and self._loop is not None:
            self._looking = self._loop.call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        """Give up what is too late, and look again as long as something is on its way."""
        self._looking = None
        now = time.monotonic()
        self._drop(lambda batch: batch.deadline < now, DeadlineExceeded("no worker answered in time"))
        if self._on_their_way:
            self._look_later()

    def _drop(self, is_lost: Callable[[Batch], bool], error: CeleriacError) -> None:
        """Give up batches that nobody will answer any more."""
        for key in [key for key, batch in self._on_their_way.items() if is_lost(batch)]:
            self.link.forget(key)
            batch = self._on_their_way.pop(key, None)
            if batch is not None:
                self._settle(batch, error)

    def _settle(self, batch: Batch, answer: Answer) -> None:
        """Tell each call of a batch what came of it, and send the next one."""
        self._end(batch, answer)
        self._send_next(batch.calls[0].kind)

    def _end(self, batch: Batch, answer: Answer) -> None:
        self._grouping.returned(batch)
        for call, own in zip(batch.calls, _parts(batch, answer), strict=True):
            call.done(own)


def _parts(batch: Batch, answer: Answer) -> list[Answer]:
    """What each call of a batch gets: its own rows and errors, or the error of all."""
    failure = answer if isinstance(answer, CeleriacError) else answer.error
    if failure is not None or not isinstance(answer, Reply) or answer.outputs is None:
        return [failure or Unavailable("a worker answered nothing")] * len(batch.calls)
    if len(batch.calls) == 1:
        return [answer]
    parts: list[Answer] = []
    start = 0
    for call in batch.calls:
        stop = start + call.items
        errors = answer.errors and {
            place - start: error for place, error in answer.errors.items() if start <= place < stop
        }
        parts.append(replace(answer, outputs=part(answer.outputs, start, stop), errors=errors))
        start = stop
    return parts
