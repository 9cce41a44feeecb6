from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from production_server.errors import CeleriacError
from production_server.web.edge.bridge import Bridge
from production_server.web.edge.parts import WebParts
from production_server.web.edge.problems import status_of
from production_server.web.edge.protection import usual_headers, usual_lines
from production_server.web.interactive import front as module
from production_server.web.interactive.front import Bounds, Front
from production_server.web.interactive.protocol import Ask, HttpAnswer, HttpRequest
from production_server.web.interactive.tensorflow_serving import TensorFlowServing
from testing.bodies import bodies_of
from testing.event_loop import run_apart
from testing.processes import wait_until

Receive = Callable[[], Any]
PATH = "/v1/models/table:predict"


class Broken(TensorFlowServing):
    """A protocol with a bug."""

    def read(self, request: HttpRequest) -> Ask:
        raise ZeroDivisionError


def answer(
    parts: WebParts,
    receive: Receive,
    *,
    protocol: type[TensorFlowServing] = TensorFlowServing,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> tuple[int, dict[str, Any]]:
    """What a front with little patience, and no broker, answers: the status and the body."""
    start, body = sent(parts, receive, protocol=protocol, headers=headers)
    return start["status"], json.loads(body["body"])


def sent(
    parts: WebParts,
    receive: Receive,
    *,
    protocol: type[TensorFlowServing] = TensorFlowServing,
    headers: Sequence[tuple[bytes, bytes]] = (),
    scheme: str = "http",
) -> list[Any]:
    """All that it sends."""
    front = Front(
        [protocol(parts.registry, status_of)],
        Bridge(lambda _environ, _start: [], threads=1, bodies=bodies_of(100)),
        entrance=parts.entrance,
        proxies=parts.proxies,
        caller=parts.caller,
        metrics=parts.metrics,
        bounds=Bounds(body_bytes=100, timeout_s=1, patience_s=0.2),
    )
    events: list[Any] = []

    async def send(event: Any) -> None:
        events.append(event)

    scope = {"type": "http", "scheme": scheme, "method": "POST", "path": PATH, "headers": list(headers)}
    run_apart(front(scope, receive, send))
    return events


def in_parts(*parts: bytes, every_s: float = 0.0, end: str = "http.request") -> Receive:
    """A client that sends so; `end` is what comes last."""

    async def events() -> AsyncIterator[Any]:
        for part in parts:
            await asyncio.sleep(every_s)
            yield {"type": "http.request", "body": part, "more_body": True}
        yield {"type": end, "body": b"", "more_body": False}

    iterator = events()
    return lambda: anext(iterator)


def test_a_client_that_sends_a_byte_now_and_then_is_told_that_it_took_too_long(parts: WebParts) -> None:
    start, body = sent(parts, in_parts(*[b"x"] * 50, every_s=0.05))

    assert start["status"] == 408 and (b"connection", b"close") in start["headers"]
    assert json.loads(body["body"]) == {
        "error": "the body did not come within 0.2 s", "code": "request_timeout",
    }  # fmt: skip


def test_a_body_in_parts_that_is_too_large_is_refused_before_its_end(parts: WebParts) -> None:
    taken = 0

    async def receive() -> Any:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"x" * 30, "more_body": True}

    status, body = answer(parts, receive)

    assert (status, body["code"], taken) == (413, "too_large", 4)


def test_nobody_is_answered_who_leaves_in_the_middle_of_a_body(parts: WebParts) -> None:
    assert not sent(parts, in_parts(b"{", end="http.disconnect"))


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (b"application/json; charset=latin-1", 415),
        (b"application/json; charset=UTF-8", 400),
        (b"application/json", 400),
    ],
)
def test_a_call_of_another_charset_is_refused_as_other_bodies_are(
    parts: WebParts, kind: bytes, status: int
) -> None:
    receive = in_parts('{"instances": "é"}'.encode())

    assert answer(parts, receive, headers=[(b"content-type", kind)])[0] == status


@pytest.mark.parametrize(
    ("scheme", "host", "stays"),
    [("https", b"192.0.2.7:5100", True), ("https", b"localhost:5100", False), ("http", b"192.0.2.7", False)],
)
def test_answers_of_calls_are_no_pages_and_told_to_stay_with_https(
    parts: WebParts, scheme: str, host: bytes, stays: bool
) -> None:
    start, _ = sent(parts, in_parts(b"{}"), headers=[(b"host", host)], scheme=scheme)

    told = {name.lower(): value for name, value in start["headers"]}
    assert told[b"x-content-type-options"] == b"nosniff"
    assert told.get(b"strict-transport-security") == (b"max-age=31536000" if stays else None)


def test_a_bug_is_answered_in_the_protocols_form(parts: WebParts, caplog: pytest.LogCaptureFixture) -> None:
    status, body = answer(parts, in_parts(b"{}"), protocol=Broken)

    assert (status, body["code"]) == (500, CeleriacError.code)
    assert "ZeroDivisionError" in caplog.text


def test_without_a_worker_a_call_is_refused_at_once(parts: WebParts) -> None:
    status, body = answer(parts, in_parts(b'{"instances": [', b"[3, 1]]}"))

    assert (status, body["error"]) == (503, "no worker answers")


def test_nothing_is_kept_of_a_large_body_that_was_refused(
    parts: WebParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE_BODY_BYTES", 1)
    gc.disable()
    try:
        before = requests_there_are()
        status, _ = answer(parts, in_parts(b"no JSON"))
        # The thread that read it may be about to forget it; the garbage collector is not waited for.
        wait_until(lambda: requests_there_are() == before, what="nothing is kept", timeout_s=10)
    finally:
        gc.enable()

    assert status == 400


def requests_there_are() -> int:
    return sum(isinstance(each, HttpRequest) for each in gc.get_objects())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_prepared_head_says_what_is_sent_line_by_line(scheme: str) -> None:
    progress = module._Progress(0.0, "an-id", key=("table", "7"))
    answer = HttpAnswer(200, "application/json", b"{}", {"inference-header-content-length": "2"})
    headers = {"host": "192.0.2.7"}

    prepared = module._prepared_head(answer, progress, usual_lines(scheme, headers))

    lines = module._header_lines(answer, progress, usual_headers(scheme, headers))
    assert prepared == b"".join(b"%b: %b\r\n" % (name.lower(), value) for name, value in lines)
