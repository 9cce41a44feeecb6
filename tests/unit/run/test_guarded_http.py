from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import uvicorn

from production_server.run import guarded_http
from production_server.run.guarded_http import MAX_HEAD_BYTES, SLICE_BYTES, Crowd, GuardedHttp
from production_server.web.edge.at_once import at_once_of
from production_server.web.edge.bridge import CUT_OFF
from testing.processes import wait_until

REQUEST = b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 4\r\n\r\nbody"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the length of the headers' values, after the whole body."""
    while (await receive()).get("more_body"):
        pass
    size = str(sum(len(value) for _, value in scope["headers"])).encode()
    headers = [(b"content-length", str(len(size)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": size})


async def echo_at_once(scope: Any, receive: Any, send: Any) -> None:
    """The same, in the short way as far as that is open."""
    at_once = at_once_of(scope)
    while at_once is None or at_once.take_body() is None:
        if not (await receive()).get("more_body"):
            break
    size = str(sum(len(value) for _, value in scope["headers"])).encode()
    if at_once is not None and at_once.answer(b"content-length: %d\r\n" % len(size), size):
        return
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(size))]}
    )
    await send({"type": "http.response.body", "body": size})


@pytest.fixture(params=[echo, echo_at_once])
def address(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    with serving(request.param) as address:
        yield address


@contextlib.contextmanager
def serving(app: Any, *, http: Any = GuardedHttp) -> Iterator[tuple[str, int]]:
    config = uvicorn.Config(app, http=http, lifespan="off", log_config=None, ws="none", loop="uvloop")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()
        server.should_exit = True
        thread.join()


@pytest.fixture
def client(address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=20) as connection:
        yield connection


def answered(client: socket.socket) -> bytes:
    """The first answer's status line."""
    return client.recv(4096).split(b"\r\n")[0]


def test_requests_of_an_ordinary_size_are_answered_one_after_another(client: socket.socket) -> None:
    large = b"GET / HTTP/1.1\r\nhost: here\r\nx: " + b"a" * (MAX_HEAD_BYTES - 100) + b"\r\n\r\n"

    for request in (REQUEST, large, REQUEST, large):
        client.sendall(request)
        assert answered(client) == b"HTTP/1.1 200 OK"


def test_a_head_without_end_is_refused(client: socket.socket) -> None:
    client.sendall(b"GET / HTTP/1.1\r\n")
    with contextlib.suppress(ConnectionError):
        for _ in range(100):
            client.sendall(b"x-more: " + b"a" * 8000 + b"\r\n")
            time.sleep(0.001)

    with contextlib.suppress(ConnectionResetError):  # what was still on its way may meet a closed connection
        assert answered(client) == b"HTTP/1.1 431 Request Header Fields Too Large"


@pytest.mark.parametrize("before", [b"", REQUEST], ids=["the first", "a later one"])
def test_a_head_that_takes_too_long_is_not_waited_for(
    address: tuple[str, int], before: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded_http, "HEAD_S", 0.3)
    with socket.create_connection(address, timeout=20) as client:
        if before:
            client.sendall(before)
            answered(client)
        client.sendall(b"GET / HT")

        assert answered(client) == b"HTTP/1.1 408 Request Timeout"
        assert client.recv(1) == b""


def test_a_body_may_take_longer_than_a_head(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded_http, "HEAD_S", 0.2)
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(REQUEST[:-1])
        time.sleep(0.5)
        client.sendall(REQUEST[-1:])

        assert answered(client) == b"HTTP/1.1 200 OK"


def test_the_head_of_an_answer_and_its_body_come_together(client: socket.socket) -> None:
    for _ in range(5):
        client.sendall(REQUEST)

        assert client.recv(4096).endswith(b"\r\n\r\n5")


def test_a_client_that_asks_on_and_leaves_is_noticed_and_the_rest_is_not_begun(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[str] = []

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        told.append("begun")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()
        leaving = asyncio.ensure_future(receive())
        while not leaving.done():
            await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
            await asyncio.sleep(0.01)
        told.append(leaving.result()["type"])

    with serving(endless) as address:
        with socket.create_connection(address, timeout=20) as client:
            client.sendall(REQUEST * 3)
            answered(client)

        wait_until(lambda: len(told) > 1, what="the first request has ended", timeout_s=20)

    assert told == ["begun", "http.disconnect"]
    assert "Exception" not in caplog.text


def test_what_is_sent_without_waiting_for_answers_is_read_bit_by_bit_and_all_answered() -> None:
    connections: list[GuardedHttp] = []
    waiting: list[int] = []

    async def slow_at_first(scope: Any, receive: Any, send: Any) -> None:
        if not waiting:
            await asyncio.sleep(0.2)
        waiting.append(len(connections[0].pipeline))
        await echo(scope, receive, send)

    class Watched(GuardedHttp):
        def connection_made(self, transport: Any) -> None:
            connections.append(self)
            super().connection_made(transport)

    with (
        serving(slow_at_first, http=Watched) as address,
        socket.create_connection(address, timeout=20) as client,
    ):
        sender = threading.Thread(target=client.sendall, args=(REQUEST * 20_000,))
        sender.start()
        answers = b""
        while answers.count(b"HTTP/1.1 200 OK") < 20_000:
            answers += client.recv(2**20)
        sender.join()

    assert 0 < max(waiting) < SLICE_BYTES / len(REQUEST) + 2


def exchanged(address: tuple[str, int], *parts: bytes) -> bytes:
    """All that is answered on one connection to requests that come in parts; the last of them has it closed."""
    with socket.create_connection(address, timeout=20) as client:
        for part in parts:
            client.sendall(part)
            time.sleep(0.02)  # so that a part arrives by itself
        return b"".join(iter(lambda: client.recv(4096), b""))


async def mirror(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the body, in two parts of which the length is not told."""
    body = b""
    while True:
        event = await receive()
        body += event["body"]
        if not event["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for part in (b"<", scope["method"].encode() + b" " + body, b">"):
        await send({"type": "http.response.body", "body": part, "more_body": part != b">"})


CLOSING = b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n"
H2C = b"upgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAABAAMAAABk\r\nconnection: Upgrade, HTTP2-Settings\r\n"


@pytest.mark.parametrize(
    "offer",
    [
        H2C,
        b"Upgrade: websocket\r\nConnection: upgrade\r\n",
        b"upgrade: TLS/1.0\r\nconnection:keep-alive, Upgrade\r\n",
    ],
)
@pytest.mark.parametrize(
    "cut", [None, 12, -4, -2], ids=["whole", "in the head", "before the body", "in the body"]
)
def test_an_offer_to_go_on_in_another_protocol_is_passed_over(offer: bytes, cut: int | None) -> None:
    request = b"POST /a?b HTTP/1.1\r\nhost: here\r\n" + offer + b"content-length: 4\r\n\r\nbody"

    with serving(mirror) as address:
        answer = exchanged(address, request[:cut], request[cut:] if cut else b"", CLOSING)

    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert b"POST body" in answer
    assert b"GET " in answer


def test_an_offer_with_a_body_in_chunks_is_passed_over_and_the_body_is_no_request() -> None:
    hidden = b"GET /hidden HTTP/1.1\r\nhost: here\r\n\r\n"
    request = (
        b"POST / HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n" + H2C + b"\r\n"
        + b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden)
    )  # fmt: skip

    with serving(mirror) as address:
        answer = exchanged(address, request, CLOSING)

    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert b"POST " + hidden in answer


def test_an_offer_that_closes_the_connection_has_it_closed() -> None:
    request = b"GET / HTTP/1.1\r\nhost: here\r\nupgrade: h2c\r\nconnection: close, Upgrade\r\n\r\n"

    with serving(mirror) as address:
        assert exchanged(address, request).count(b"HTTP/1.1 200 OK") == 1


def test_no_tunnel_is_made() -> None:
    with serving(mirror) as address:
        answer = exchanged(address, b"CONNECT there:80 HTTP/1.1\r\nhost: there:80\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 Bad Request")


@pytest.mark.parametrize("connection", [b"", b"connection: keep-alive\r\n"])
def test_to_http_1_0_an_answer_comes_without_chunks_and_ends_with_the_connection(connection: bytes) -> None:
    request = b"POST / HTTP/1.0\r\n" + connection + b"expect: 100-continue\r\ncontent-length: 4\r\n\r\nbody"

    with serving(mirror) as address:
        head, _, body = exchanged(address, request).partition(b"\r\n\r\n")

    assert b"connection: close" in head.splitlines()
    assert b"transfer-encoding" not in head
    assert body == b"<POST body>"


def test_to_http_1_0_an_answer_of_known_length_is_as_ever(address: tuple[str, int]) -> None:
    head, _, body = exchanged(address, b"GET / HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")

    assert b"content-length: 1" in head
    assert body == b"0"


async def flood(scope: Any, receive: Any, send: Any) -> None:
    """Sends until its client has left."""
    gone = asyncio.create_task(left(receive))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while not gone.done():
        await send({"type": "http.response.body", "body": bytes(2**16), "more_body": True})
        await asyncio.sleep(0)


async def left(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@contextlib.contextmanager
def flooded() -> Iterator[tuple[socket.socket, threading.Event]]:
    """A client whose answer does not end, and what is set when it is left."""
    is_left = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await flood(scope, receive, send)
        is_left.set()

    with serving(app) as address, socket.create_connection(address, timeout=20) as client:
        client.sendall(REQUEST)
        yield client, is_left


def test_a_client_that_does_not_read_its_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_http, "STALLED_S", 0.3)
    with flooded() as (_, is_left):
        assert is_left.wait(20)


def test_a_client_that_reads_slowly_is_not_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_http, "STALLED_S", 1)
    with flooded() as (client, is_left):
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            assert client.recv(2**20)
            assert not is_left.wait(0.02)


def test_a_client_that_takes_a_large_answer_slowly_is_not_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it was sent at once: what counts is that it becomes less."""
    monkeypatch.setattr(guarded_http, "STALLED_S", 0.5)
    size = 20 * 2**20

    async def large(scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-length", str(size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(size)})

    taken = 0
    with serving(large) as address, socket.create_connection(address, timeout=20) as client:
        client.sendall(CLOSING)
        while data := client.recv(2**18):
            taken += len(data)
            time.sleep(0.02)

    assert taken > size


@pytest.mark.parametrize("closing", [b"", b"connection: close\r\n"])
def test_a_client_that_never_takes_its_last_answer_is_left(
    closing: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded_http, "STALLED_S", 0.3)
    connections: list[GuardedHttp] = []

    class Watched(GuardedHttp):
        def connection_made(self, transport: Any) -> None:
            connections.append(self)
            super().connection_made(transport)

    async def large(scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(20 * 2**20)})

    with serving(large, http=Watched) as address, socket.create_connection(address, timeout=20) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: here\r\n" + closing + b"\r\n")

        wait_until(lambda: bool(connections), what="it has come", timeout_s=20)
        wait_until(lambda: not connections[0].connections, what="it was left", timeout_s=20)


async def refuse(_scope: Any, _receive: Any, send: Any) -> None:
    """Answers at once, and reads no body."""
    await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("rest", [b"", b"body", b"body\r\n\r\n"], ids=["unfinished", "whole", "empty lines"])
def test_a_body_that_nobody_reads_is_not_waited_for(rest: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then, or silence after its end, would keep the connection for ever."""
    monkeypatch.setattr(guarded_http, "HEAD_S", 0.4)

    with serving(refuse) as address, socket.create_connection(address, timeout=20) as client:
        client.sendall(REQUEST.removesuffix(b"body"))
        assert answered(client) == b"HTTP/1.1 413 Request Entity Too Large"
        client.sendall(rest)

        assert answered(client) == b"HTTP/1.1 408 Request Timeout"
        assert client.recv(1) == b""


def test_who_waits_for_no_answer_gives_way_to_whoever_comes_and_who_does_is_answered() -> None:
    may_end = threading.Event()

    async def patient(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            await asyncio.to_thread(may_end.wait, 20)
        await echo(scope, receive, send)

    http = partial(GuardedHttp, crowd=Crowd(most=10))
    with serving(patient, http=http) as address, contextlib.ExitStack() as stack:

        def connect(request: bytes) -> socket.socket:
            client = stack.enter_context(socket.create_connection(address, timeout=20))
            client.sendall(request)
            return client

        served = [connect(REQUEST) for _ in range(5)]
        silent = [connect(b"") for _ in range(5)]
        for _ in range(20):
            assert answered(connect(CLOSING.replace(b"connection: close\r\n", b""))) == b"HTTP/1.1 200 OK"
        assert [answered(each) for each in silent] == [b"HTTP/1.1 503 Service Unavailable"] * 5
        may_end.set()
        assert [answered(each) for each in served] == [b"HTTP/1.1 200 OK"] * 5


def test_of_more_than_there_may_be_whoever_comes_last_is_told_to_come_again() -> None:
    may_end = threading.Event()

    async def patient(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.to_thread(may_end.wait, 20)
        await echo(scope, receive, send)

    http = partial(GuardedHttp, crowd=Crowd(most=3))
    with serving(patient, http=http) as address, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(address, timeout=20)) for _ in range(3)]
        for client in clients:
            client.sendall(REQUEST)
        time.sleep(0.3)  # they are in hand
        late = stack.enter_context(socket.create_connection(address, timeout=20))

        said = late.recv(4096)
        may_end.set()

        assert said.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in said
        assert [answered(client) for client in clients] == [b"HTTP/1.1 200 OK"] * 3


def read_to_end(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def test_an_answer_that_its_application_cuts_off_is_whole_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def begins(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a part", "more_body": True})
        scope["extensions"][CUT_OFF]()
        while (await receive())["type"] != "http.disconnect":
            pass

    for version in (b"1.1", b"1.0"):
        with serving(begins) as address, socket.create_connection(address, timeout=20) as connection:
            connection.sendall(b"GET / HTTP/%b\r\nhost: here\r\n\r\n" % version)
            with pytest.raises(ConnectionResetError):
                read_to_end(connection)

    assert caplog.records == []


def test_an_answer_at_once_says_that_the_connection_closes_and_closes_it() -> None:
    with serving(echo_at_once) as address, socket.create_connection(address, timeout=20) as client:
        client.sendall(REQUEST.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))

        answer = b"".join(iter(lambda: client.recv(4096), b""))

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and body == b"10"
    assert b"\r\nconnection: close" in head and b"\r\ndate: " in head


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_only_a_body_that_nobody_has_to_ask_for_is_taken_at_once(version: bytes) -> None:
    taken: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        at_once = at_once_of(scope)
        taken.append(at_once and at_once.take_body())
        await echo(scope, receive, send)

    with serving(app) as address, socket.create_connection(address, timeout=20) as client:
        request = REQUEST.replace(b"HTTP/1.1", b"HTTP/" + version)
        client.sendall(request.replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n"))
        expected = b"HTTP/1.1 100 Continue" if version == b"1.1" else b"HTTP/1.1 200 OK"
        assert answered(client) == expected

    assert taken == [None]
