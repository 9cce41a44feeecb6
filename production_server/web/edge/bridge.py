"""Flask behind an asynchronous server: each request runs in a thread, and no slow client keeps one.

a2wsgi does this, too; with it, a page took four times as long, and a stream went on when its reader had left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from production_server.errors import CeleriacError
from production_server.web.edge.bodies import Bodies, Body
from production_server.web.edge.headers import headers_of
from production_server.web.edge.incoming import Arrival, Event, Receive

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

Scope = Mapping[str, Any]
Send = Callable[[Event], Awaitable[None]]

CUT_OFF = "celeriac.cut_off"
"""An extension of a scope: a function that ends the connection, so that nobody takes a part for the whole."""
BODY_BYTES = "celeriac.body_bytes"
"""Where WSGI's environment says how much of a body was read, as it came."""
FORM = "celeriac.form"
"""Where it has a form that was taken apart as it came, as `Bodies` was told; None: the body is to be read."""
SMALL_BYTES = 256 * 2**10
"""An answer up to this size is sent in one piece; what is larger is made by a thread bit by bit."""
PART_BYTES = 64 * 2**10
"""So much of a stream is made at once; what a thread makes meanwhile waits for its reader."""
PAUSE_S = 0.25
"""How long a stream that has nothing to say is left alone, while there are few."""
STREAM_THREADS = 2
"""So many threads make parts of streams: each is one more that the event loop shares the interpreter with."""
STARTERS = 4
"""So many requests begin at once: with sixteen, an event waited for the interpreter up to sixteen times as long."""
START_S = 0.05
"""A request that takes longer waits for a database, a job or a client, and lets the next one begin."""
LOOKS_PER_S = 200
"""How often all of them together are asked again."""


class _Starters:
    """Places for requests that have just begun: whatever computes shares one interpreter with the event loop.

    Whoever takes longer most of all waits for something, and gives its place up.
    """

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(STARTERS)

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Have a place for the block, or for its first `START_S`."""
        await self._places.acquire()
        is_held = True

        def give_up() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                self._places.release()

        timer = asyncio.get_running_loop().call_later(START_S, give_up)
        try:
            yield
        finally:
            timer.cancel()
            give_up()


class Bridge:
    """An ASGI application (HTTP only) around a WSGI application, which runs in at most so many threads at once."""

    def __init__(
        self, app: WSGIApplication, *, threads: int, bodies: Bodies, apart: Iterable[str] = ()
    ) -> None:
        """`apart` are paths that have a thread each: they are answered whatever keeps all the others."""
        self._app = app
        self._bodies = bodies
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self._apart = {path: ThreadPoolExecutor(1, thread_name_prefix=path) for path in apart}
        self._starters = _Starters()
        self._streams = 0
        # Five hundred streams that begin at once would have all others wait behind the first parts of each.
        self._turns = asyncio.Semaphore(STREAM_THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        with self._bodies.arrival(receive, scope) as arrival, contextlib.closing(Body()) as body:
            await self._bodies.receive(body, arrival, scope)
            if not arrival.has_left:
                await self._answer(scope, body, arrival, send)

    async def _answer(self, scope: Scope, body: Body, arrival: Arrival, send: Send) -> None:
        loop = asyncio.get_running_loop()
        exchange = _Exchange(self._app, environ_of(scope, body), body)
        apart = self._apart.get(scope["path"])
        if apart is None:
            async with self._starters.place():
                rest = await loop.run_in_executor(self._threads, exchange.run)
        else:
            rest = await loop.run_in_executor(apart, exchange.run)
        if arrival.is_late:
            exchange.headers.append((b"connection", b"close"))
        if rest is None:
            await send_all(send, exchange.status, exchange.headers, exchange.first)
        else:
            try:
                await self._stream(exchange, rest, arrival, send)
            except Exception as exc:
                if CUT_OFF not in scope.get("extensions", {}):
                    raise
                _note_end(scope, exc)
                scope["extensions"][CUT_OFF]()
                await arrival.until_gone()

    async def _stream(self, exchange: _Exchange, rest: Iterator[bytes], arrival: Arrival, send: Send) -> None:
        """Send an answer of many parts. Threads make them, and wait neither for a slow reader nor for news."""
        loop = asyncio.get_running_loop()
        gone = loop.create_task(arrival.until_gone())
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
                async with self._turns:
                    if not gone.done():
                        part = await loop.run_in_executor(self._threads, _next_part, rest)
        finally:
            self._streams -= 1
            gone.cancel()
            await loop.run_in_executor(self._threads, exchange.close)


async def send_all(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Send a whole answer."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _note_end(scope: Scope, exc: Exception) -> None:
    """An answer that has begun cannot tell of an error any more: the log does."""
    what = scope["method"], scope["path"]
    if isinstance(exc, CeleriacError):
        log.warning("%s %s ended in the middle: %s", *what, exc)
    else:
        log.error("%s %s ended in the middle", *what, exc_info=exc)


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
    body: Body
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
        self.body.close()
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
        BODY_BYTES: body.size,
        FORM: body.form,
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
