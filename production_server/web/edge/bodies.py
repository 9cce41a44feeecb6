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
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol

from production_server.errors import CeleriacError, NotKnownYet, TooLarge, Unavailable
from production_server.web.edge.content_codings import PlainBody
from production_server.web.edge.headers import headers_of
from production_server.web.edge.incoming import Arrival, Incoming, Receive
from production_server.web.edge.sizes import MODEST_BYTES, SMALL_BYTES

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PART_BYTES = 64 * 2**10
"""Less is put together: a client may send a byte at a time, and each by itself would take forty."""
BODIES = 8
"""How many of the largest size may be kept at once."""
WRITERS = 2
"""Threads that write to files: a disk that is slow keeps nobody else waiting."""

LARGE_FORMS = 4
"""How much of large forms may be on its way at once: so many of the largest size."""

_UNWANTED = "what this brings was not wanted a moment ago"

Scope = Mapping[str, Any]
IsWanted = Callable[[Scope], bool]


class Form(Protocol):
    """A form that is taken apart as it comes; for one thread at a time."""

    def feed(self, data: bytes, /) -> None:
        """Take what comes next; whatever is raised is told to whoever reads the body."""

    def finish(self) -> None:
        """There is no more of it."""

    def close(self) -> None:
        """Let go of all that it has."""


@dataclass(frozen=True, slots=True)
class LargeForms:
    """Forms whose files are larger than all else: they go where they are to lie, and are kept nowhere before."""

    limit: int
    """The largest one, in bytes."""
    takes: Callable[[Scope], bool]
    """Whether the request with this ASGI scope brings one."""
    begin: Callable[[Scope], Form]


@dataclass(frozen=True, slots=True)
class Judge:
    """What is known of a request by its ASGI scope, before its body comes."""

    most_bytes: Callable[[Scope], int]
    """The longest body that is taken there."""
    is_wanted: IsWanted
    """Whether it is let in; may raise NotKnownYet."""
    is_let_in: IsWanted
    """The same for certain; blocks."""


class Bodies:
    """What Flask's requests bring. For the event loop alone."""

    def __init__(self, *, limit: int, judge: Judge, large: LargeForms | None = None) -> None:
        """`limit` is the largest body of all, in bytes."""
        self._judge = judge
        self._large = large
        self._large_incoming = Incoming(most_bytes=LARGE_FORMS * (large.limit if large else 0))
        # Half of what there is: files in forms are written once more. In containers all of it is memory.
        room = shutil.disk_usage(tempfile.gettempdir()).free // 2
        self._incoming = Incoming(most_bytes=min(BODIES * limit, room))
        # Apart: of logins and events nobody knows whose they are, and they keep out nobody who brings much.
        self._modest = Incoming(most_bytes=BODIES * MODEST_BYTES)
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="body")
        # Of their own: where forms go may be slower than the temporary folder.
        self._form_writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="form")
        # One: whoever comes while somebody looks at the stored keys has what that one finds.
        self._looking = ThreadPoolExecutor(1, thread_name_prefix="unknown-keys")

    def arrival(self, receive: Receive, scope: Scope) -> Arrival:
        """A body that is about to come; a context manager around all that is done with it."""
        if (large := self._large_for(scope)) is not None:
            return self._large_incoming.arrival(receive, limit=large.limit)
        limit = self._judge.most_bytes(scope)
        incoming = self._modest if limit <= MODEST_BYTES else self._incoming
        return incoming.arrival(receive, limit=limit)

    async def receive(self, body: Body, arrival: Arrival, scope: Scope) -> None:
        """Receive a body, as far as it is wanted. Whoever reads it is told what was wrong."""
        large = self._large_for(scope)
        try:
            if large is None:
                await self._receive(body, arrival, scope)
            else:
                await self._receive_large(large, body, arrival, scope)
        except CeleriacError as exc:
            body.refuse(exc)
        if body.form is not None and (body.is_refused or arrival.has_left):
            await self._for_form(body.drop_form)

    async def _receive(self, body: Body, arrival: Arrival, scope: Scope) -> None:
        if _announced(scope) <= arrival.limit:
            await self._receive_up_to(min(SMALL_BYTES, arrival.limit), body, arrival)
            await self._check_wanted(arrival, scope)
            await self._receive_up_to(arrival.limit, body, arrival)
            if arrival.size <= arrival.limit:
                return
        raise TooLarge(f"the request body is over the server's limit of {arrival.limit} bytes")

    async def _check_wanted(self, arrival: Arrival, scope: Scope) -> None:
        """Refuse the rest of a body that is not over, where the request will not be let in anyway.

        Raises:
            Unavailable: it will not.
        """
        if arrival.is_over or arrival.size > arrival.limit:
            return
        try:
            is_wanted = self._judge.is_wanted(scope)
        except NotKnownYet:
            loop = asyncio.get_running_loop()
            is_wanted = await loop.run_in_executor(self._looking, self._judge.is_let_in, scope)
        if not is_wanted:
            raise Unavailable(_UNWANTED)

    async def _receive_large(self, large: LargeForms, body: Body, arrival: Arrival, scope: Scope) -> None:
        if _announced(scope) <= large.limit:
            await self._receive_up_to(SMALL_BYTES, body, arrival)
            if arrival.is_over:
                return
            await self._check_wanted(arrival, scope)
            await self._for_form(body.take_apart, large.begin(scope))
            await self._receive_up_to(large.limit, body, arrival)
            if arrival.size <= large.limit:
                await self._for_form(body.finish)
                return
        raise TooLarge(f"the request body is over the server's limit of {large.limit} bytes")

    def _large_for(self, scope: Scope) -> LargeForms | None:
        return self._large if self._large is not None and self._large.takes(scope) else None

    async def _receive_up_to(self, size: int, body: Body, arrival: Arrival) -> None:
        """Receive until there is more than `size`, or no more to come."""
        while not arrival.is_over and arrival.size <= size:
            body.add(await arrival.next_part())
            if body.form is not None:
                await self._for_form(body.to_file)
            elif body.is_in_file or self._incoming.is_crowded:
                await asyncio.get_running_loop().run_in_executor(self._writers, body.to_file)

    async def _for_form(self, call: Callable[..., None], *arguments: Form) -> None:
        await asyncio.get_running_loop().run_in_executor(self._form_writers, call, *arguments)


class Body:
    """One request's body, or what came of it."""

    def __init__(self) -> None:
        self.size = 0
        """How much has come of it."""
        self._held: deque[bytearray] = deque()
        self._is_begun = False
        self._file: IO[bytes] | None = None
        self._error: CeleriacError | None = None
        self.form: Form | None = None
        """What takes it apart as it comes; then there is nothing to read."""

    @property
    def is_in_file(self) -> bool:
        return self._file is not None

    @property
    def is_refused(self) -> bool:
        return self._error is not None

    def add(self, part: bytes) -> None:
        """Hold some more of it in memory."""
        self.size += len(part)
        if self._held and len(self._held[-1]) < PART_BYTES:
            self._held[-1].extend(part)
        else:
            self._held.append(bytearray(part))

    def to_file(self) -> None:
        """Write what is held to its file, or hand it to the form; in a thread.

        Raises:
            Unavailable: it cannot be kept. CeleriacError: the form says so.
        """
        if self.form is not None:
            while self._held:
                self.form.feed(bytes(self._held.popleft()))
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # `close` closes it
            while self._held:
                _write_all(self._file, self._held.popleft())
        except OSError as exc:
            raise Unavailable(f"what is being sent cannot be kept: {exc.strerror}") from exc

    def take_apart(self, form: Form) -> None:
        """Hand all that has come, and will come, to a form; in a thread.

        Raises:
            CeleriacError: the form says so.
        """
        came = list(iter(lambda: self.read(PART_BYTES), b""))
        self.close()
        self.form = form
        for part in came:
            form.feed(part)

    def finish(self) -> None:
        """Tell the form that there is no more; in a thread."""
        if self.form is not None:
            self.to_file()
            self.form.finish()

    def drop_form(self) -> None:
        """Nobody will ask for the form; in a thread."""
        form, self.form = self.form, None
        if form is not None:
            form.close()

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
        self.drop_form()
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


def _announced(scope: Scope) -> int:
    """The bytes that a body is said to have; 0: it is not said."""
    return int(headers_of(scope).get("content-length") or 0)


def _write_all(file: IO[bytes], data: bytearray) -> None:
    """Write all of it: a file without a buffer may take less at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
