"""HTTP/1.1 as uvicorn has it, with bounds where uvicorn has none, and for clients that speak more or less than it.

The bounds are on what comes before a request's body, and on requests that are sent without waiting for answers. Bodies
are bounded by whoever reads them. A client may offer to go on in another protocol (Java's own: h2c), or know HTTP/1.0
only.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any, Protocol

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from production_server import descriptors
from production_server.run.answering import Answering
from production_server.web.edge.at_once import AT_ONCE
from production_server.web.edge.bridge import CUT_OFF

MAX_CONNECTIONS = 4096
"""At once. Of more, those give way that have been waiting for a request for the longest."""
MAX_HEAD_BYTES = 64 * 2**10
"""The request line and the headers; what is read at once may be more by one read."""
HEAD_S = 30
"""How long a client may take for them."""
STALLED_S = 30
"""How long a client may leave what was sent to it unread: there is more of it than asyncio keeps (64 KiB), or nothing
follows."""
LEAST_BYTES_PER_S = 1000
"""A client that takes less is one that leaves it unread."""
SLICE_BYTES = 16 * 2**10
"""So much is taken in at once. It may be hundreds of requests."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


_RESET = struct.pack("ii", 1, 0)
"""Closing sends a reset, where it usually says that all has been sent."""
_OF_AN_UPGRADE = {b"upgrade", b"http2-settings"}


class _Parser:
    """httptools' parser, which leaves a request's body unread where it offers another protocol.

    A server may pass over such an offer (RFC 9110, section 7.8): the request is parsed again without it.
    """

    def __init__(self, protocol: GuardedHttp) -> None:
        self._protocol = protocol
        self._renew()

    def _renew(self) -> None:
        self._parser = httptools.HttpRequestParser(self._protocol)
        # As uvicorn sets it: what follows a request that closes the connection is no fault of that request.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.get_http_version = self._parser.get_http_version
        self.get_method = self._parser.get_method
        self.should_keep_alive = self._parser.should_keep_alive
        self.should_upgrade = self._parser.should_upgrade

    def feed_data(self, data: bytes) -> None:
        """Parse on.

        Raises:
            httptools.HttpParserError: it is no HTTP, or asks for a tunnel.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            if self.get_method() == b"CONNECT":
                raise httptools.HttpParserError("no tunnels here") from exc
            head = self._protocol.head_without_upgrade()
            self._renew()
            self.feed_data(head + data[exc.args[0] :])


class _Guest(Protocol):
    def give_way(self) -> None:
        """Close the connection for another one."""


class Crowd:
    """The connections of one server that wait for a request; the first has been waiting for the longest."""

    def __init__(self, *, most: int = MAX_CONNECTIONS) -> None:
        """`most` is how many connections of any kind there may be."""
        self._most = most
        self._idle: dict[_Guest, None] = {}

    def let_in(self, connection: _Guest, *, count: int) -> None:
        """Let a connection in, the latest of `count`. Another one gives way to it, where one can."""
        self._idle[connection] = None
        if count > self._most:
            oldest = next(iter(self._idle))
            self.forget(oldest)
            oldest.give_way()

    def wait(self, connection: _Guest) -> None:
        """It waits for a request, from now on."""
        self._idle[connection] = None

    def forget(self, connection: _Guest) -> None:
        """It has a request, or is lost."""
        self._idle.pop(connection, None)


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

    def __init__(self, *args: Any, crowd: Crowd | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._crowd = crowd or Crowd()
        self.parser = _Parser(self)  # type: ignore[assignment]  # it has what uvicorn uses
        self._is_in_head = True
        self._head_bytes = 0
        self._patience: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._unsent_bytes = 0
        self._unread = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self._something_waits)
        self._wait_for_head()
        self._crowd.let_in(self, count=len(self.connections))
        if descriptors.is_kept(transport.get_extra_info("socket").fileno()):
            self._refuse(_TOO_MANY)

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.forget(self)
        self._stop_waiting()
        self._stop_stalled()
        self.pipeline.clear()
        self._unread = b""
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_stalled()
        if self.transport.is_closing():
            self._watch_reader()

    def data_received(self, data: bytes) -> None:
        self._unread += data
        self._read_on()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._unread:
            self._read_on()
        if self.cycle.response_complete and not self.pipeline and not self.transport.is_closing():
            self._crowd.wait(self)
            if not self._is_in_head:
                self._wait_for_head()  # what is left of a body comes first, and nobody reads that

    def timeout_keep_alive_handler(self) -> None:
        self.leave()

    def send_400_response(self, msg: str) -> None:
        super().send_400_response(msg)
        self.leave()

    def give_way(self) -> None:
        """Close the connection for another one: no request is in hand."""
        if self.cycle is None:
            self.transport.write(_TOO_MANY)
        self.leave()

    def leave(self) -> None:
        """Close the connection as soon as its client has taken what was sent to it, or does not take it."""
        self.transport.close()
        if self._stalled is None and self in self.connections:
            self._watch_reader()

    def cut_off(self) -> None:
        """End the connection at once, and not in good order: its client has got a part of an answer."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

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
        if self.parser.should_upgrade():
            return  # the parser stops here, and comes again without it
        is_old = self.parser.get_http_version() == "1.0"
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or not (hosts or is_old):
            raise httptools.HttpParserError("one Host header was expected (RFC 9112, section 3.2)")
        self._is_in_head = False
        self._head_bytes = 0
        self._stop_waiting()
        self._crowd.forget(self)
        self.scope["extensions"] = {CUT_OFF: self.cut_off}  # type: ignore[dict-item]  # as any server may
        super().on_headers_complete()
        answering = Answering(self.cycle, self)
        self.cycle.transport = answering  # type: ignore[assignment]  # it has what a cycle uses
        if is_old:
            _speak_as_1_0(self.cycle)
        else:
            self.scope["extensions"][AT_ONCE] = answering  # type: ignore[assignment]  # they are a dictionary of ours

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._is_in_head = True
        super().on_message_complete()
        if self.cycle.response_complete:
            self._wait_for_head()

    def head_without_upgrade(self) -> bytes:
        """The head that was just parsed, without the offer to go on in another protocol."""
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            kept = _without_upgrade(value) if name == b"connection" else value
            if name not in _OF_AN_UPGRADE and kept:
                lines.append(b"%s: %s" % (name, kept))
        return b"\r\n".join([*lines, b"", b""])

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(HEAD_S, self._refuse, _TOO_SLOW)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _watch_reader(self) -> None:
        self._stop_stalled()
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(STALLED_S, self._look_at_reader)

    def _look_at_reader(self) -> None:
        taken = self._unsent_bytes - self.transport.get_write_buffer_size()
        if taken < LEAST_BYTES_PER_S * STALLED_S:
            self.transport.abort()
        else:
            self._watch_reader()

    def _stop_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _refuse(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            # Not into the middle of an answer to an earlier request on this connection.
            earlier: RequestResponseCycle | None = self.cycle
            if earlier is None or earlier.response_complete:
                self.transport.write(answer)
            self.leave()


def _without_upgrade(connection: bytes) -> bytes:
    """A Connection header's value without what belongs to an upgrade."""
    options = (option.strip() for option in connection.split(b","))
    return b", ".join(option for option in options if option.lower() not in _OF_AN_UPGRADE)


def _speak_as_1_0(cycle: RequestResponseCycle) -> None:
    """HTTP/1.0 knows neither chunks nor 100 Continue: an answer of unknown length ends with the connection.

    Source: RFC 9112, section 6.1, and RFC 9110, section 15.2.
    """
    cycle.waiting_for_100_continue = False
    cycle.chunked_encoding = False
    send = cycle.send

    async def send_unchunked(event: Any) -> None:
        # uvicorn takes no more than was announced.
        cycle.expected_content_length = len(event.get("body", b""))
        await send(event)

    cycle.send = send_unchunked  # type: ignore[assignment]  # of any event
