"""The front of the web process: inference requests are answered on the event loop, all others by Flask in threads."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from production_server.access.allowances import UNLIMITED, Allowance
from production_server.access.records import Client
from production_server.broker.caller import Caller
from production_server.broker.calls import Reply, count_inputs
from production_server.broker.grouping import Answer, Call
from production_server.errors import (
    MISTAKE,
    CeleriacError,
    DeadlineExceeded,
    InferenceFailed,
    InvalidInput,
    NotKnownYet,
    Unavailable,
)
from production_server.models.tensors import Tensors
from production_server.web.edge.at_once import at_once_of
from production_server.web.edge.bridge import Bridge, Scope, Send, send_all
from production_server.web.edge.content_codings import decompressed
from production_server.web.edge.door import Asking, Entrance, asking_of
from production_server.web.edge.headers import VERSION_HEADER, headers_of
from production_server.web.edge.incoming import Arrival, Incoming, Receive
from production_server.web.edge.json_bodies import check_charset
from production_server.web.edge.problems import CHALLENGE, REFUSED, status_of
from production_server.web.edge.protection import usual_headers, usual_lines
from production_server.web.edge.proxies import Proxies
from production_server.web.edge.rate_fields import fields_of
from production_server.web.edge.request_ids import request_id_of
from production_server.web.interactive.call_body import PATIENCE_S, read_body
from production_server.web.interactive.patience import ClientLeft, Patience
from production_server.web.interactive.protocol import Ask, HttpAnswer, HttpRequest, InferenceProtocol
from production_server.web.telemetry.metrics import CallTimes, Metrics

if TYPE_CHECKING:
    from production_server.tracing.spans import Span, Tracing

log = logging.getLogger(__name__)

LARGE_BODY_BYTES = 128 * 2**10
"""Bodies from this size on are read and checked in a thread: it takes milliseconds, in which all others would wait."""
MOST_UNREAD_BYTES = 64 * 2**20
"""Of large bodies that wait for that thread: more are refused, and come again."""
LARGE_ANSWER_NUMBERS = 2**14
"""Answers of so many numbers are written in a thread, for the same reason."""
BODIES = 4
"""How many of the largest size may be on their way at once: they are held in memory."""
TIMEOUT_HEADER = "x-request-timeout-ms"
CLIENT_LEFT = 499
"""The status, as nginx has it, of those who get none."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one call may be at most."""

    body_bytes: int
    timeout_s: float
    patience_s: float = PATIENCE_S


@dataclass(slots=True)
class _Progress:
    """How far one call has come, for the metrics."""

    came_at: float
    request_id: str
    key: tuple[str, str] = ("", "")
    times: CallTimes | None = None
    status: int | None = None
    """Of the answer; None until there is one."""
    span: Span | None = None
    allowance: Allowance = UNLIMITED
    """The client's, once it has come in."""


class Front:
    """An ASGI application. `protocols` answer inference requests, `others` the rest."""

    def __init__(
        self,
        protocols: Sequence[InferenceProtocol],
        others: Bridge,
        *,
        entrance: Entrance,
        proxies: Proxies,
        caller: Caller,
        metrics: Metrics,
        tracing: Tracing | None = None,
        bounds: Bounds,
    ) -> None:
        self._protocols = tuple(protocols)
        self._entrance = entrance
        self._proxies = proxies
        self._caller = caller
        self._others = others
        self._metrics = metrics
        self._tracing = tracing
        self._bounds = bounds
        self._incoming = Incoming(most_bytes=BODIES * bounds.body_bytes)
        # One: reading holds the interpreter, so that two take as long, and twice the memory.
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="large-calls")
        self._unread_bytes = 0
        # One: whoever comes while somebody looks at the stored keys has what that one finds.
        self._looking = ThreadPoolExecutor(1, thread_name_prefix="unknown-keys")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        # Here, before the halves part: what follows knows one address and one scheme.
        scope = self._proxies.resolved(scope)
        for protocol in self._protocols:
            if protocol.takes(scope["method"], scope["path"]):
                await self._infer(protocol, scope, receive, send)
                return
        await self._others(scope, receive, send)

    async def _infer(self, protocol: InferenceProtocol, scope: Scope, receive: Receive, send: Send) -> None:
        came_at, headers = time.monotonic(), headers_of(scope)
        progress = _Progress(came_at, request_id_of(headers.get("x-request-id")))
        if self._tracing is None:
            await self._respond(protocol, scope, receive, send, headers=headers, progress=progress)
            return
        progress.span = self._tracing.begin_request(scope["method"], scope["path"], headers)
        try:
            await self._respond(protocol, scope, receive, send, headers=headers, progress=progress)
        finally:
            self._tracing.end_request(progress.span, protocol.route, progress.status, _attributes(progress))

    async def _respond(
        self,
        protocol: InferenceProtocol,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        headers: Mapping[str, str],
        progress: _Progress,
    ) -> None:
        try:
            asking = asking_of(f"calls.{protocol.name}", scope, headers)
            client = await self._enter(asking, progress)
            coming = self._incoming.arrival(receive, at_once=at_once_of(scope))
            answer = await self._answer_one_more(
                protocol, asking, client, receive, coming, headers=headers, progress=progress
            )
        except ClientLeft:
            self._count(protocol, progress)
            return
        except CeleriacError as exc:
            answer = protocol.write_error(exc)
        except Exception:
            known = {"request_id": progress.request_id}
            log.exception("%s %s failed", scope["method"], scope["path"], extra=known)
            answer = protocol.write_error(CeleriacError(MISTAKE))
        progress.status = answer.status
        scheme, at_once = scope.get("scheme", "http"), at_once_of(scope)
        is_sent = (
            at_once is not None
            and answer.status == HTTPStatus.OK
            and at_once.answer(_prepared_head(answer, progress, usual_lines(scheme, headers)), answer.body)
        )
        if not is_sent:
            lines = _header_lines(answer, progress, usual_headers(scheme, headers))
            await send_all(send, answer.status, lines, answer.body)
        self._count(protocol, progress)

    async def _enter(self, asking: Asking, progress: _Progress) -> Client:
        client = None
        try:
            client = await self._recognise(asking)
            progress.allowance = self._entrance.check(asking, client)
        except CeleriacError as exc:
            self._note_refusal(asking, client, progress, exc)
            raise
        return client

    def _check_still(self, asking: Asking, client: Client, progress: _Progress) -> None:
        """A body may have taken half a minute to come: what was revoked meanwhile opens nothing."""
        try:
            self._entrance.check_still(client)
        except CeleriacError as exc:
            self._note_refusal(asking, client, progress, exc)
            raise

    def _note_refusal(
        self, asking: Asking, client: Client | None, progress: _Progress, error: CeleriacError
    ) -> None:
        if status_of(error) in REFUSED:
            self._entrance.note_refusal(asking, client, request_id=progress.request_id, code=error.code)

    async def _recognise(self, asking: Asking) -> Client:
        try:
            return self._entrance.recognise(asking)
        except NotKnownYet:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._looking, self._entrance.look_again, asking.peer)
            return self._entrance.recognise(asking, has_looked=True)

    async def _answer_one_more(
        self,
        protocol: InferenceProtocol,
        asking: Asking,
        client: Client,
        receive: Receive,
        coming: Arrival,
        *,
        headers: Mapping[str, str],
        progress: _Progress,
    ) -> HttpAnswer:
        """Answer a call whose client has come in, which may have so many in hand at once."""
        allowance = progress.allowance
        allowance.begin_call()
        try:
            body = await read_body(
                headers, coming, limit=self._bounds.body_bytes, patience_s=self._bounds.patience_s
            )
            self._check_still(asking, client, progress)
            if "charset" in (content_type := headers.get("content-type", "")):
                check_charset(content_type, body)
            request = HttpRequest(asking.method, asking.path, headers, body)
            return await self._answer(protocol, request, receive, progress)
        finally:
            allowance.end_call(coming.size)

    def _count(self, protocol: InferenceProtocol, progress: _Progress) -> None:
        self._metrics.call_answered(
            protocol.name,
            progress.key,
            progress.status or CLIENT_LEFT,
            seconds=time.monotonic() - progress.came_at,
            times=progress.times,
        )

    async def _answer(
        self, protocol: InferenceProtocol, request: HttpRequest, receive: Receive, progress: _Progress
    ) -> HttpAnswer:
        # What a few compressed bytes become is not known before.
        if len(request.body) < LARGE_BODY_BYTES and "content-encoding" not in request.headers:
            ask = protocol.read(request)
        else:
            ask = await self._read_in_time(protocol, request, came_at=progress.came_at)
        progress.allowance.take_items(count_inputs(ask.inputs))
        wished_s = [ask.timeout_s, timeout_of(request.headers), self._bounds.timeout_s]
        timeout_s = min(seconds for seconds in wished_s if seconds is not None)
        progress.key = ask.version.key
        asked_at = time.monotonic()
        reply = await self._ask(ask, receive, deadline=progress.came_at + timeout_s, span=progress.span)
        progress.times = _times(reply, asked_at)
        if reply.outputs is None or _numbers_of(reply.outputs) < LARGE_ANSWER_NUMBERS:
            return protocol.write(ask, reply)
        return await asyncio.get_running_loop().run_in_executor(None, protocol.write, ask, reply)

    async def _read_in_time(
        self, protocol: InferenceProtocol, request: HttpRequest, *, came_at: float
    ) -> Ask:
        """What a large call asks; the large ones before it are read first.

        Raises:
            DeadlineExceeded: its time is over before that. Unavailable: too many wait (code `overloaded`).
        """
        size = len(request.body)
        if self._unread_bytes and self._unread_bytes + size > MOST_UNREAD_BYTES:
            raise Unavailable("too many large calls are waiting to be read", code="overloaded")
        timeout_s = min(timeout_of(request.headers) or self._bounds.timeout_s, self._bounds.timeout_s)
        reading = asyncio.get_running_loop().run_in_executor(self._reading, self._read, protocol, request)
        self._unread_bytes += size
        try:
            async with asyncio.timeout(came_at + timeout_s - time.monotonic()):
                return await reading
        except TimeoutError as exc:
            raise DeadlineExceeded("there was no time left to read it") from exc
        finally:
            self._unread_bytes -= size
            # It holds the exception, whose traceback holds this frame: a circle, with the body in it.
            del reading

    def _read(self, protocol: InferenceProtocol, request: HttpRequest) -> Ask:
        encoding = request.headers.get("content-encoding", "")
        try:
            body = decompressed(request.body, encoding, limit=self._bounds.body_bytes)
            return protocol.read(replace(request, body=body))
        except CeleriacError as exc:
            # The frames that it came through hold all that was read; the next one is read before this is answered.
            exc.__context__ = None
            raise exc.with_traceback(None) from None

    async def _ask(self, ask: Ask, receive: Receive, *, deadline: float, span: Span | None) -> Reply:
        """The reply, when it is there; `deadline` is on the monotonic clock.

        Raises:
            DeadlineExceeded: it was not there in time. Unavailable: nobody can answer. ClientLeft: nobody wants it.
            InvalidInput, InferenceFailed, …: as the worker says.
        """
        loop = asyncio.get_running_loop()
        replied: asyncio.Future[Answer | ClientLeft] = loop.create_future()

        def done(answer: Answer | ClientLeft) -> None:
            if not replied.done():
                replied.set_result(answer)

        call = Call(*ask.version.key, ask.inputs, deadline, done, span=span)
        self._caller.submit(call)
        patience = Patience(loop, receive, deadline, end=done)
        try:
            return _checked(await replied)
        finally:
            call.is_over = True
            patience.stop()


def _prepared_head(answer: HttpAnswer, progress: _Progress, protection: bytes) -> bytes:
    """What `_header_lines` says of an answer with outputs, as it is sent."""
    about = (
        f"content-type: {answer.content_type}\r\ncontent-length: {len(answer.body)}\r\n"
        f"x-request-id: {progress.request_id}\r\n{VERSION_HEADER.lower()}: {progress.key[1]}\r\n"
    )
    head = about.encode("latin-1") + protection
    more = {**fields_of(progress.allowance), **answer.headers}
    return head + "".join(f"{name}: {value}\r\n" for name, value in more.items()).encode("latin-1")


def _header_lines(
    answer: HttpAnswer, progress: _Progress, protection: Mapping[str, str]
) -> list[tuple[bytes, bytes]]:
    lines = [
        (b"content-type", answer.content_type.encode("latin-1")),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-request-id", progress.request_id.encode()),
    ]
    if progress.key[1]:
        lines.append((VERSION_HEADER.lower().encode(), progress.key[1].encode()))
    if answer.status == HTTPStatus.REQUEST_TIMEOUT:
        # Whoever sends so slowly would go on.
        lines.append((b"connection", b"close"))
    if answer.status == HTTPStatus.UNAUTHORIZED:
        lines.append((b"www-authenticate", CHALLENGE.encode()))
    told = {**protection, **fields_of(progress.allowance), **answer.headers}
    return lines + [(name.encode(), value.encode("latin-1")) for name, value in told.items()]


def _attributes(progress: _Progress) -> dict[str, str | int | float]:
    """What a call's span tells of it."""
    model, version = progress.key
    attributes: dict[str, str | int | float] = {"celeriac.request_id": progress.request_id}
    if model:
        attributes |= {"celeriac.model": model, "celeriac.version": version}
    if progress.times is not None:
        attributes |= {f"celeriac.{name}": value for name, value in asdict(progress.times).items()}
    return attributes


def _numbers_of(outputs: Tensors) -> int:
    return sum(each.size for each in outputs.values())


def _times(reply: Reply, asked_at: float) -> CallTimes:
    run_s = reply.run_ms / 1000
    return CallTimes(
        waiting_s=reply.sent_at - asked_at,
        queue_s=max(0.0, time.monotonic() - reply.sent_at - run_s),
        batch_s=run_s,
        model_s=reply.model_ms / 1000,
        batch_items=reply.batch_items,
    )


def timeout_of(headers: Mapping[str, str]) -> float | None:
    """How long a client wants to wait, in seconds.

    Raises:
        InvalidInput: the header is no number of milliseconds.
    """
    text = headers.get(TIMEOUT_HEADER)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise InvalidInput.at(TIMEOUT_HEADER, "a whole number of milliseconds above 0", text[:40])
    return int(text) / 1000


def _checked(answer: Answer | ClientLeft) -> Reply:
    if isinstance(answer, CeleriacError | ClientLeft):
        raise answer
    for place, error in answer.errors.items():
        if isinstance(error, Unavailable):
            raise error
        if isinstance(error, InvalidInput):
            raise type(error)(f"input {place}: {error}", error.faults, code=error.code)
        raise InferenceFailed(f"input {place}: {error}")
    return answer
