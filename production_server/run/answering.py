"""How one request's answer gets to its connection: in pieces as uvicorn sends them, or all at once."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

if TYPE_CHECKING:
    from production_server.run.guarded_http import GuardedHttp


class Answering:
    """What a cycle of uvicorn's writes its answer to, and `AtOnce` for a call.

    In pieces, the head leaves with what follows at once, as one packet and not as two. A client that sends requests
    without waiting for answers, and leaves: uvicorn tells only the last of the cycles.
    """

    def __init__(self, cycle: RequestResponseCycle, connection: GuardedHttp) -> None:
        # A circle of references would be left to the garbage collector, which looks rarely.
        self._cycle = weakref.ref(cycle)
        self._connection = weakref.ref(connection)
        self._transport = cycle.transport
        self._loop = connection.loop
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
        connection = self._connection()
        if connection is not None:
            connection.leave()

    def _flush(self) -> None:
        if self._head:
            self.write(b"")

    def take_body(self) -> bytes | None:
        """As `AtOnce`: what `receive` of the cycle gives when nothing is missing."""
        cycle = self._cycle()
        if (
            cycle is None
            or cycle.more_body
            or cycle.disconnected
            or cycle.response_started
            or cycle.waiting_for_100_continue
        ):
            return None
        body, cycle.body = bytes(cycle.body), bytearray()
        cycle.message_event.clear()
        cycle.flow.resume_reading()
        return body

    def answer(self, head: bytes, body: bytes) -> bool:
        """As `AtOnce`: what `send` of the cycle does, without a look at each header."""
        cycle = self._cycle()
        if (
            cycle is None
            or cycle.disconnected
            or cycle.response_started
            or cycle.access_log
            or cycle.flow.write_paused
            or self.is_closing()
        ):
            return False
        usual = b"".join([b"%b: %b\r\n" % line for line in cycle.default_headers])
        last = b"" if cycle.keep_alive else b"connection: close\r\n"
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        self._transport.write(b"%b%b%b%b\r\n%b" % (STATUS_LINE[200], usual, head, last, body))
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.close()
        cycle.on_response()
        return True
