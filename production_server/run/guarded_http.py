"""HTTP/1.1 as uvicorn has it, with bounds where uvicorn has none.

They are on what comes before a request's body, and on requests that are sent without waiting for answers. Bodies are
bounded by whoever reads them.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD_BYTES = 64 * 2**10
"""The request line and the headers; what is read at once may be more by one read."""
HEAD_S = 30
"""How long a client may take for them."""
SLICE_BYTES = 16 * 2**10
"""So much is taken in at once. It may be hundreds of requests."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class _Answer:
    """What a cycle writes its answer to. The head leaves with what follows at once, as one packet and not as two.

    A client that sends requests without waiting for answers, and leaves: uvicorn tells only the last of the cycles.
    """

    def __init__(self, cycle: RequestResponseCycle, loop: asyncio.AbstractEventLoop) -> None:
        # A circle of references would be left to the garbage collector, which looks rarely.
        self._cycle = weakref.ref(cycle)
        self._transport = cycle.transport
        self._loop = loop
        self._head = b""
        self.is_closing = self._transport.is_closing

    def write(self, data: bytes) -> None:
        if self._transport.is_closing():
            self._tell_that_client_left()
        elif not self._head and data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            head, self._head = self._head, b""
            self._transport.write(head + data)

    def _tell_that_client_left(self) -> None:
        cycle = self._cycle()
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            self.write(b"")


class _Flow(FlowControl):
    """Reads on only where nothing that came already waits."""

    def __init__(self, transport: asyncio.Transport, something_waits: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._something_waits = something_waits

    def resume_reading(self) -> None:
        if not self._something_waits():
            super().resume_reading()


class GuardedHttp(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_in_head = True
        self._head_bytes = 0
        self._patience: asyncio.TimerHandle | None = None
        self._unread = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self._something_waits)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.pipeline.clear()
        self._unread = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        self._read_on()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._unread:
            self._read_on()

    def _something_waits(self) -> bool:
        return bool(self.pipeline or self._unread)

    def _read_on(self) -> None:
        """Take in what has come, but of requests that were sent without waiting for answers only a few at a time.

        What is read at once may be thousands of them, and uvicorn would make 3 kB of each.
        """
        unread, start = self._unread, 0
        while start < len(unread) and not self.pipeline and not self.transport.is_closing():
            self._take(unread[start : start + SLICE_BYTES])
            start += SLICE_BYTES
        self._unread = unread[start:]
        latest: RequestResponseCycle | None = self.cycle
        if self._unread:
            self.flow.pause_reading()
        elif latest is None or latest.response_complete:
            self.flow.resume_reading()

    def _take(self, data: bytes) -> None:
        if self._is_in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)
        elif self._is_in_head and self._head_bytes and self._patience is None:
            self._wait_for_head()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._head_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()
        self.cycle.transport = _Answer(self.cycle, self.loop)  # type: ignore[assignment]  # it has what a cycle uses

    def on_message_complete(self) -> None:
        self._is_in_head = True
        super().on_message_complete()

    def _wait_for_head(self) -> None:
        self._patience = self.loop.call_later(HEAD_S, self._refuse, _TOO_SLOW)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _refuse(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            # Not into the middle of an answer to an earlier request on this connection.
            earlier: RequestResponseCycle | None = self.cycle
            if earlier is None or earlier.response_complete:
                self.transport.write(answer)
            self.transport.close()
