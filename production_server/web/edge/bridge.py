"""Flask behind an asynchronous server: each request runs in a thread, which a slow client does not keep without need.

a2wsgi does this, too; with it, a page took four times as long, and a stream went on when its reader had left.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

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
PART_BYTES = 64 * 2**10
"""So much of a stream is made at once; what a thread makes meanwhile waits for its reader."""
PAUSE_S = 0.25
"""How long a stream that has nothing to say is left alone, while there are few."""
LOOKS_PER_S = 200
"""How often all of them together are asked again."""
PATIENCE_S = 30
"""How long a client may take for that first part of a body, or for all of a call's."""


class Bridge:
    """An ASGI application (HTTP only) around a WSGI application, which runs in at most so many threads at once."""

    def __init__(self, app: WSGIApplication, *, threads: int, apart: Iterable[str] = ()) -> None:
        """`apart` are paths that have a thread each: they are answered whatever keeps all the others."""
        self._app = app
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self._apart = {path: ThreadPoolExecutor(1, thread_name_prefix=path) for path in apart}
        self._streams = 0

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
        exchange = _Exchange(self._app, environ_of(scope, body))
        rest = await loop.run_in_executor(self._apart.get(scope["path"], self._threads), exchange.run)
        if rest is None:
            await send_all(send, exchange.status, exchange.headers, exchange.first)
        else:
            await self._stream(exchange, rest, body, send)

    async def _stream(self, exchange: _Exchange, rest: Iterator[bytes], body: Body, send: Send) -> None:
        """Send an answer of many parts. Threads make them, and wait neither for a slow reader nor for news."""
        loop = asyncio.get_running_loop()
        # While a body still comes, whoever reads that learns that the client left.
        gone = loop.create_task(body.until_gone() if body.is_whole else asyncio.Event().wait())
        self._streams += 1
        try:
            await send(
                {"type": "http.response.start", "status": exchange.status, "headers": exchange.headers}
            )
            part = _Part(exchange.first, is_pause=not exchange.first)
            while not gone.done():
                await send({"type": "http.response.body", "body": part.data, "more_body": not part.is_last})
                if part.is_last:
                    return
                if part.is_pause:
                    await asyncio.wait([gone], timeout=max(PAUSE_S, self._streams / LOOKS_PER_S))
                part = await loop.run_in_executor(self._threads, _next_part, rest)
        finally:
            self._streams -= 1
            gone.cancel()
            await loop.run_in_executor(self._threads, exchange.close)


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


class _Part(NamedTuple):
    """Some of a stream, and what follows it: a pause, nothing, or more at once."""

    data: bytes
    is_pause: bool = False
    is_last: bool = False


def _next_part(parts: Iterator[bytes]) -> _Part:
    """What comes next, up to `PART_BYTES`. An empty part says that there is nothing more at the moment (PEP 3333)."""
    gathered: list[bytes] = []
    size = 0
    for part in parts:
        gathered.append(part)
        size += len(part)
        if not part or size >= PART_BYTES:
            return _Part(b"".join(gathered), is_pause=not part)
    return _Part(b"".join(gathered), is_last=True)


@dataclass(slots=True)
class _Exchange:
    """One call of the WSGI application."""

    app: WSGIApplication
    environ: WSGIEnvironment
    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    first: bytes = b""
    """The whole answer, or the first part of a stream."""
    _parts: Iterable[bytes] = ()

    def run(self) -> Iterator[bytes] | None:
        """Make the answer, in this thread; what is left of it if it is large or its length is not known."""
        try:
            self._parts = self.app(self.environ, self._start)
            rest = iter(self._parts)
            self.first = next(rest, b"")
            length = int(dict(self.headers).get(b"content-length", -1))
            if not (len(self.first) == length or 0 <= length <= SMALL_BYTES or self._is_head):
                return rest
            self.first += b"".join(rest)
        except BaseException:
            self.close()
            raise
        self.close()
        return None

    def close(self) -> None:
        """Tell the application that nobody wants more of it; in a thread."""
        close = getattr(self._parts, "close", None)
        if close is not None:
            close()

    @property
    def _is_head(self) -> bool:
        return bool(self.environ["REQUEST_METHOD"] == "HEAD")

    def _start(
        self, status: str, headers: list[tuple[str, str]], _exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        self.status = int(status[:3])
        self.headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return _refuse_to_write


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
