from __future__ import annotations

import asyncio
import errno
import gzip
import json
import tempfile
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from production_server.access.key_text import new_key
from production_server.access.keys import create_key
from production_server.access.records import Client, NewKey
from production_server.access.scopes import USUAL
from production_server.errors import Unauthorized
from production_server.web.app import create_front
from production_server.web.edge import incoming
from production_server.web.edge.door import Asking
from production_server.web.edge.needs import scopes_for
from production_server.web.edge.parts import WebParts
from production_server.web.edge.sizes import MODEST_BYTES, SMALL_BYTES, most_body_bytes
from testing.asgi_client import Headers, Sender
from testing.event_loop import run_apart
from tests.unit.access.test_keys import SOMEBODY
from tests.unit.web.test_whose import asked_of

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


PIECE = b"x" * 2**16


def test_of_no_body_more_is_received_than_is_taken_at_its_address(app: Flask, parts: WebParts) -> None:
    """Every route, and what is none; a length that is said, and one that is not."""
    largest = 2**30
    front = create_front(replace(parts, settings=replace(parts.settings, max_body_bytes=largest)))

    def sent(method: str, path: str, *pieces: bytes, length: int | None = None) -> int:
        said = [] if length is None else [(b"content-length", str(length).encode())]
        client = Sender(path, *pieces, headers=[(b"content-type", b"application/json"), *said], end=False)
        client.scope["method"] = method
        taken: list[int] = []

        async def send(_event: Any) -> None:
            # What comes while a stream is answered is passed over.
            taken.append(client.taken)

        run_apart(front(client.scope, client.receive, send))
        return taken[0]

    for operation, method, path in [*asked_of(app), (None, "POST", "/nothing/here")]:
        most = most_body_bytes(operation, largest=largest)
        assert most <= MODEST_BYTES or (operation and scopes_for(operation)), path
        assert sent(method, path, length=most + 1) == 0, (method, path)
        if most <= MODEST_BYTES:
            assert sent(method, path, *[PIECE] * 100) == most // len(PIECE) + 1, (method, path)


@pytest.mark.parametrize("name", ["authorization", "cookie"])
def test_a_key_that_nobody_has_made_has_no_long_body_received(parts: WebParts, name: str) -> None:
    create_key(parts.database, NewKey(name="a", client="a", scopes=frozenset(USUAL)), by=SOMEBODY)
    large = replace(parts, settings=replace(parts.settings, max_body_bytes=2**30))
    brought = {"authorization": f"Bearer {new_key()}", "cookie": f"celeriac_session={new_key()}"}[name]
    headers = [*JSON, (name.encode(), brought.encode()), (b"sec-fetch-site", b"same-origin")]

    told = ask(large, Sender("/api/jobs", *[PIECE] * 100, headers=headers))

    assert told.status == 401
    assert told.taken <= SMALL_BYTES // len(PIECE) + 1


def test_a_key_that_was_made_a_moment_ago_has_its_long_body_received(parts: WebParts) -> None:
    wanted = NewKey(name="a", client="a", scopes=frozenset(USUAL))
    create_key(parts.database, wanted, by=SOMEBODY)
    parts.keys.look_again()
    key = create_key(parts.database, wanted, by=SOMEBODY)[1]
    large = replace(parts, settings=replace(parts.settings, max_body_bytes=2**30))
    headers = [*JSON, (b"authorization", f"Bearer {key}".encode())]

    told = ask(large, Sender("/api/jobs", *[PIECE] * 100, headers=headers))

    assert (told.status, told.code, told.taken) == (400, "malformed_json", 100)


@pytest.mark.parametrize("path", ["/login", "/keys", "/api/keys", "/api/scans", "/events/s3"])
def test_what_a_few_bytes_become_is_bounded_by_their_address_as_well(
    parts: WebParts, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(parts.notifications), "rules", True, raising=False)
    large = replace(parts, settings=replace(parts.settings, max_body_bytes=2**30))
    kind = b"application/json" if "/api" in path or "events" in path else b"application/x-www-form-urlencoded"
    headers = [(b"content-type", kind), (b"content-encoding", b"gzip"), (b"sec-fetch-site", b"same-origin")]

    told = ask(large, Sender(path, gzip.compress(b"a=" + b"x" * 2**23), headers=headers))

    assert told.status == 413
