"""Flask behind an asynchronous server: each request runs in a thread, which a slow client does not keep without need.

a2wsgi does this, too; with it, a page took four times as long, and a stream went on when its reader had left.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from production_server.web.edge.headers import headers_of

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

Scope = Mapping[str, Any]
Event = Mapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

SMALL_BYTES = 256 * 2**10
"""A request's body up to this size is read before a thread is taken, and an answer is sent in one piece; what is larger
is read and sent by the thread, bit by bit."""
PATIENCE_S = 30
"""How long a client may take for that first part of a body, or for all of a call's."""


class Bridge:
    """An ASGI application (HTTP only) around a WSGI application, which runs in at most so many threads at once."""

    def __init__(self, app: WSGIApplication, *, threads: int) -> None:
        self._app = app
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        loop = asyncio.get_running_loop()
        body = Body(loop, receive)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await body.read_first_part()
        except TimeoutError:
            await send_all(send, 408, [(b"connection", b"close")], b"")
            return
        if body.is_gone:
            return
        exchange = _Exchange(self._app, environ_of(scope, body), body, send)
        try:
            answer = await loop.run_in_executor(self._threads, exchange.run)
        finally:
            if exchange.watch is not None:
                exchange.watch.cancel()
        if answer is not None:
            await send_all(send, *answer)


async def send_all(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Send a whole answer."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Body:
    """A request's body: its first part is read asynchronously, the rest by the thread that wants it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, receive: Receive) -> None:
        self.loop = loop
        self._receive = receive
        self._parts: list[bytes] = []
        self.is_whole = False
        self.is_gone = False

    async def read_first_part(self) -> None:
        """Read until the body ends or is not small."""
        size = 0
        while not self.is_whole and size < SMALL_BYTES:
            size += len(await self._read_part())

    async def until_gone(self) -> None:
        """Wait until the client leaves; only after the body is whole."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; fewer only at the end of the body, or where the client has left. For threads."""
        parts: list[bytes] = []
        missing = size
        while missing and (self._parts or self._read_on()):
            part = self._parts.pop(0)
            if 0 <= missing < len(part):
                self._parts.insert(0, part[missing:])
                part = part[:missing]
            parts.append(part)
            missing -= len(part) if missing > 0 else 0
        return b"".join(parts)

    def _read_on(self) -> bool:
        while not self.is_whole and not self._parts:
            asyncio.run_coroutine_threadsafe(self._read_part(), self.loop).result()
        return bool(self._parts)

    async def _read_part(self) -> bytes:
        event = await self._receive()
        self.is_gone = event["type"] == "http.disconnect"
        self.is_whole = self.is_gone or not event.get("more_body", False)
        part: bytes = event.get("body", b"")
        if part:
            self._parts.append(part)
        return part


@dataclass(slots=True)
class _Exchange:
    """One call of the WSGI application, in a thread."""

    app: WSGIApplication
    environ: WSGIEnvironment
    body: Body
    send: Send
    watch: asyncio.Task[None] | None = None
    is_gone: bool = False
    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def run(self) -> tuple[int, list[tuple[bytes, bytes]], bytes] | None:
        """The whole answer if it is small; else None, after it was sent."""
        chunks = self.app(self.environ, self._start)
        try:
            return self._answer(iter(chunks))
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()

    def _start(
        self, status: str, headers: list[tuple[str, str]], _exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        self.status = int(status[:3])
        self.headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return _refuse_to_write

    def _answer(self, chunks: Iterator[bytes]) -> tuple[int, list[tuple[bytes, bytes]], bytes] | None:
        first = next(chunks, b"")
        # An answer whose length is not known may be one that waits between its parts.
        length = int(dict(self.headers).get(b"content-length", -1))
        if len(first) == length or (0 <= length <= SMALL_BYTES) or self.environ["REQUEST_METHOD"] == "HEAD":
            return self.status, self.headers, first + b"".join(chunks)
        self._stream(first, chunks)
        return None

    def _stream(self, first: bytes, rest: Iterator[bytes]) -> None:
        self.body.loop.call_soon_threadsafe(self._watch_reader)
        self._send_now({"type": "http.response.start", "status": self.status, "headers": self.headers})
        self._send_now({"type": "http.response.body", "body": first, "more_body": True})
        for chunk in rest:
            if self.is_gone:
                return
            self._send_now({"type": "http.response.body", "body": chunk, "more_body": True})
        self._send_now({"type": "http.response.body", "body": b""})

    def _send_now(self, event: Event) -> None:
        asyncio.run_coroutine_threadsafe(_sent(self.send, event), self.body.loop).result()

    def _watch_reader(self) -> None:
        """Learn when a stream's reader leaves. While a body still comes, whoever reads that learns it."""
        if self.body.is_whole:
            self.watch = self.body.loop.create_task(self._until_gone())

    async def _until_gone(self) -> None:
        await self.body.until_gone()
        self.is_gone = True


async def _sent(send: Send, event: Event) -> None:
    await send(event)


def _refuse_to_write(_data: bytes, /) -> object:
    raise NotImplementedError("an application of today returns its answer")


def environ_of(scope: Scope, body: Body) -> WSGIEnvironment:
    """What WSGI (PEP 3333) calls the environment of a request."""
    server_name, server_port = scope.get("server") or ("localhost", 80)
    client_address, client_port = scope.get("client") or ("", 0)
    return {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server_name,
        "SERVER_PORT": str(server_port),
        "REMOTE_ADDR": client_address,
        "REMOTE_PORT": str(client_port),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **_header_variables(headers_of(scope)),
    }


def _header_variables(headers: Mapping[str, str]) -> dict[str, str]:
    variables: dict[str, str] = {}
    for name, text in headers.items():
        if "_" in name:
            # Its variable could not be told from that of another header, with a hyphen there.
            continue
        key = name.upper().replace("-", "_")
        variables[key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"] = text
    return variables
