from __future__ import annotations

import asyncio
import errno
import gzip
import json
import tempfile
from dataclasses import replace
from typing import Any

import pytest

from production_server.access.records import Client
from production_server.errors import Unauthorized
from production_server.web.app import create_front
from production_server.web.edge import incoming
from production_server.web.edge.bodies import SMALL_BYTES
from production_server.web.edge.door import Asking
from production_server.web.edge.parts import WebParts
from testing.asgi_client import Headers, Sender
from testing.event_loop import run_apart

JOB = json.dumps({"model": "table", "inputs": [[3, 7]]}).encode()
JSON = [(b"content-type", b"application/json")]


def ask(parts: WebParts, client: Sender) -> Sender:
    run_apart(create_front(parts)(client.scope, client.receive, client.send))
    return client


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "GRACE_S", 0.2)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("sent", [b"", b"{", b"x" * 100_000])
def test_a_body_that_does_not_go_on_is_a_problem_with_a_code_and_the_connection_is_closed(
    parts: WebParts, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "CREDIT_S", 0.2)

    told = ask(parts, Sender("/api/jobs", sent, end=False))

    assert (told.status, told.code) == (408, "request_timeout")
    assert (b"connection", b"close") in told.sent[0]["headers"]


def test_more_bodies_than_threads_that_do_not_go_on_keep_nobody_from_being_answered(parts: WebParts) -> None:
    front = create_front(parts)
    stuck = [Sender("/api/jobs", b"{", end=False) for _ in range(100)]

    async def run() -> Sender:
        waiting = [asyncio.create_task(front(each.scope, each.receive, each.send)) for each in stuck]
        honest = Sender("/api/jobs", JOB)
        await front(honest.scope, honest.receive, honest.send)
        for each in waiting:
            each.cancel()
        return honest

    assert run_apart(run()).status == 202


def test_a_body_over_the_limit_is_refused_before_it_has_come(parts: WebParts) -> None:
    length = str(parts.settings.max_body_bytes + 1).encode()

    told = ask(parts, Sender("/api/jobs", headers=[*JSON, (b"content-length", length)], end=False))

    assert (told.status, told.code, told.taken) == (413, "too_large", 0)


@pytest.mark.parametrize("coding", [b"", b"gzip"])
def test_a_body_of_no_stated_length_is_refused_where_it_is_over_the_limit(
    parts: WebParts, coding: bytes
) -> None:
    sent = [b"x" * 50_000] * 9

    told = ask(parts, Sender("/api/jobs", *sent, headers=[*JSON, (b"content-encoding", coding)]))

    assert (told.status, told.code, told.taken) == (413, "too_large", 5)


class Closed:
    """A door that lets nobody in."""

    def admit(self, _asking: Asking, /) -> Client:
        raise Unauthorized("this key opens nothing")

    def look_again(self) -> None:
        raise AssertionError("it knows all that it needs")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/jobs", JSON, 401),
        ("/api/jobs", [*JSON, (b"origin", b"http://evil.com")], 403),
        ("/api/jobs", [*JSON, (b"host", b"evil.com")], 403),
        ("/api/nothing", JSON, 401),
    ],
)
def test_a_long_body_of_who_is_not_let_in_is_not_received(
    parts: WebParts, path: str, headers: Headers, status: int
) -> None:
    large = replace(parts.settings, max_body_bytes=2**30)
    sent = [b"x" * 2**16] * 100

    told = ask(replace(parts, settings=large, door=Closed()), Sender(path, *sent, headers=headers))

    assert told.status == status
    assert told.taken <= SMALL_BYTES // 2**16 + 1


@pytest.mark.parametrize("size", [1, SMALL_BYTES, SMALL_BYTES + 1, 10 * SMALL_BYTES + 7])
@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize(
    "crowded_bytes", [0, incoming.CROWDED_BYTES, 100_000], ids=["file", "memory", "both"]
)
def test_a_body_comes_as_it_was_sent_wherever_it_is_kept(
    parts: WebParts, size: int, coded: bool, crowded_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "CROWDED_BYTES", crowded_bytes)
    large = replace(parts, settings=replace(parts.settings, max_body_bytes=2**24))
    body = b'{"model": "none", "inputs": ["' + bytes(65 + n * n % 26 for n in range(size)) + b'"]}'
    sent = gzip.compress(body, 0) if coded else body
    pieces = [sent[n : n + 50_000] for n in range(0, len(sent), 50_000)]
    headers = [*JSON, (b"content-encoding", b"gzip")] if coded else JSON

    told = ask(large, Sender("/api/jobs", *pieces, headers=headers))

    assert (told.status, told.code) == (404, "model_not_found")


def test_a_full_disk_is_told_so(parts: WebParts, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_options: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(incoming, "CROWDED_BYTES", 0)
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    large = replace(parts, settings=replace(parts.settings, max_body_bytes=2**24))

    told = ask(large, Sender("/api/jobs", *[b"x" * 2**16] * 20))

    assert (told.status, told.code) == (503, "unavailable")
