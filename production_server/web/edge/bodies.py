"""Bodies for Flask: they come whole before a thread is taken, in memory or in a file; then they are plain, and bounded.

So a thread never waits for a client, as behind a reverse proxy that reads bodies first (ADR 29).
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Any

from production_server.errors import CeleriacError, TooLarge, Unavailable
from production_server.web.edge.content_codings import PlainBody
from production_server.web.edge.headers import headers_of
from production_server.web.edge.incoming import Arrival, Incoming, Receive

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SMALL_BYTES = 256 * 2**10
"""A body up to this size is received whatever becomes of it; of a longer one it is asked first whether it is wanted."""
PART_BYTES = 64 * 2**10
"""Less is put together: a client may send a byte at a time, and each by itself would take forty."""
BODIES = 8
"""How many of the largest size may be kept at once."""
WRITERS = 2
"""Threads that write to files: a disk that is slow keeps nobody else waiting."""

IsWanted = Callable[[Mapping[str, Any]], bool]


class Bodies:
    """What Flask's requests bring. For the event loop alone."""

    def __init__(self, *, limit: int, is_wanted: IsWanted) -> None:
        """`limit` is the largest body, in bytes; `is_wanted` says by an ASGI scope whether the request is let in."""
        self._limit = limit
        self._is_wanted = is_wanted
        # Half of what there is: files in forms are written once more. In containers all of it is memory.
        room = shutil.disk_usage(tempfile.gettempdir()).free // 2
        self._incoming = Incoming(most_bytes=min(BODIES * limit, room))
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="body")

    def arrival(self, receive: Receive) -> Arrival:
        """A body that is about to come; a context manager around all that is done with it."""
        return self._incoming.arrival(receive)

    async def receive(self, body: Body, arrival: Arrival, scope: Mapping[str, Any]) -> None:
        """Receive a body, as far as it is wanted. Whoever reads it is told what was wrong."""
        try:
            await self._receive(body, arrival, scope)
        except CeleriacError as exc:
            body.refuse(exc)

    async def _receive(self, body: Body, arrival: Arrival, scope: Mapping[str, Any]) -> None:
        if int(headers_of(scope).get("content-length") or 0) <= self._limit:
            await self._receive_up_to(min(SMALL_BYTES, self._limit), body, arrival)
            if not arrival.is_over and not self._is_wanted(scope):
                raise Unavailable("what this brings was not wanted a moment ago")
            await self._receive_up_to(self._limit, body, arrival)
            if arrival.size <= self._limit:
                return
        raise TooLarge(f"the request body is over the server's limit of {self._limit} bytes")

    async def _receive_up_to(self, size: int, body: Body, arrival: Arrival) -> None:
        """Receive until there is more than `size`, or no more to come."""
        while not arrival.is_over and arrival.size <= size:
            body.add(await arrival.next_part())
            if body.is_in_file or self._incoming.is_crowded:
                await asyncio.get_running_loop().run_in_executor(self._writers, body.to_file)


class Body:
    """One request's body, or what came of it."""

    def __init__(self) -> None:
        self.size = 0
        """How much has come of it."""
        self._held: deque[bytearray] = deque()
        self._is_begun = False
        self._file: IO[bytes] | None = None
        self._error: CeleriacError | None = None

    @property
    def is_in_file(self) -> bool:
        return self._file is not None

    def add(self, part: bytes) -> None:
        """Hold some more of it in memory."""
        self.size += len(part)
        if self._held and len(self._held[-1]) < PART_BYTES:
            self._held[-1].extend(part)
        else:
            self._held.append(bytearray(part))

    def to_file(self) -> None:
        """Write what is held to its file; in a thread.

        Raises:
            Unavailable: it cannot be kept.
        """
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # `close` closes it
            while self._held:
                _write_all(self._file, self._held.popleft())
        except OSError as exc:
            raise Unavailable(f"what is being sent cannot be kept: {exc.strerror}") from exc

    def refuse(self, error: CeleriacError) -> None:
        """Have whoever reads it get this error."""
        self._error = error

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; fewer only at the end. For one thread.

        Raises:
            CeleriacError: it did not come as it should.
        """
        if self._error is not None:
            raise self._error
        if self._file is None:
            return self._read_held(size)
        if not self._is_begun:
            self._file.seek(0)
            self._is_begun = True
        return self._file.read(size)

    def _read_held(self, size: int) -> bytes:
        """What is read is held no more: a long body is not in memory twice while a form is made of it."""
        parts: list[bytearray] = []
        missing = size
        while missing and self._held:
            part = self._held.popleft()
            if 0 <= missing < len(part):
                self._held.appendleft(part[missing:])
                part = part[:missing]
            parts.append(part)
            missing -= len(part) if missing > 0 else 0
        return b"".join(parts)

    def close(self) -> None:
        """Keep it no more; in a thread where it is in a file."""
        self._held.clear()
        if self._file is not None:
            self._file.close()


class PlainBodies:
    """A WSGI application that gets bodies as they were before they were compressed, and none over the limit."""

    def __init__(self, app: WSGIApplication, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        coding = environ.pop("HTTP_CONTENT_ENCODING", "")
        # Of other bodies Werkzeug knows the size, and that they end there.
        if coding or not environ.get("CONTENT_LENGTH"):
            environ["wsgi.input"] = PlainBody(environ["wsgi.input"], coding, limit=self._limit)
        if coding:
            environ.pop("CONTENT_LENGTH", None)
            environ["wsgi.input_terminated"] = True
        return self._app(environ, start_response)


def _write_all(file: IO[bytes], data: bytearray) -> None:
    """Write all of it: a file without a buffer may take less at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
