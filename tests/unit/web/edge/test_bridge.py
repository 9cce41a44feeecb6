from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from flask import Flask, Response, request

from production_server.errors import Unavailable
from production_server.web.edge.bridge import CUT_OFF, PART_BYTES, SMALL_BYTES, Bridge
from testing.bodies import bodies_of
from testing.event_loop import run_apart

LARGE = 5 * SMALL_BYTES
PARTS = [b"%03d;" % n * (PART_BYTES // 4) for n in range(100)]
DISCONNECT = {"type": "http.disconnect"}


class Exchange:
    """One request to an ASGI application, and what it has sent."""

    def __init__(
        self, app: Bridge, method: str, path: str, headers: dict[str, str], body: list[bytes]
    ) -> None:
        self._app = app
        self._scope = {
            "type": "http",
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": path,
            "query_string": b"a=1",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("192.0.2.1", 4711),
            "server": ("127.0.0.1", 5100),
            "extensions": {CUT_OFF: self._cut_off},
        }
        self._events = [
            {"type": "http.request", "body": part, "more_body": n + 1 < len(body)}
            for n, part in enumerate(body)
        ]
        self.has_left = asyncio.Event()
        self.is_cut_off = False
        self.has_room = asyncio.Event()
        self.has_room.set()
        self.sent: list[dict[str, Any]] = []
        self.on_sent: Callable[[], None] = lambda: None

    async def run(self) -> Exchange:
        async with asyncio.timeout(20):
            await self._app(self._scope, self._receive, self._send)
        return self

    def _cut_off(self) -> None:
        self.is_cut_off = True
        self.has_left.set()

    async def _receive(self) -> dict[str, Any]:
        if not self._events:
            await self.has_left.wait()
            return DISCONNECT
        return self._events.pop(0)

    async def _send(self, event: Any) -> None:
        await self.has_room.wait()
        self.sent.append(event)
        self.on_sent()

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(event["body"] for event in self.sent[1:])

    @property
    def is_whole(self) -> bool:
        return self.sent[-1]["type"] == "http.response.body" and not self.sent[-1].get("more_body")


def _echo() -> bytes:
    return request.get_data()


def bridge_to(app: Flask, **options: Any) -> Bridge:
    bodies = bodies_of(10 * LARGE, is_wanted=lambda scope: scope["path"] != "/refuse")
    return Bridge(app.wsgi_app, bodies=bodies, **options)


class Application:
    """A Flask app behind the bridge; `closed` is set when its stream has ended."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.parts: Iterable[bytes] = PARTS
        self.flask = Flask("test")
        self.flask.add_url_rule("/echo", "echo", view_func=_echo, methods=["POST"])
        self.flask.add_url_rule("/told", view_func=self._told)
        self.flask.add_url_rule("/large", "large", view_func=lambda: b"x" * LARGE)
        self.flask.add_url_rule("/stream", "stream", view_func=lambda: Response(self._stream()))
        self.flask.add_url_rule("/refuse", "refuse", view_func=lambda: ("no", 413), methods=["POST"])
        self.bridge = bridge_to(self.flask, threads=4)

    def _told(self) -> dict[str, Any]:
        names = (
            "PATH_INFO",
            "QUERY_STRING",
            "REMOTE_ADDR",
            "HTTP_X_A",
            "HTTP_COOKIE",
            "CONTENT_TYPE",
            "HTTP_X_B",
        )
        return {name: request.environ.get(name) for name in names}

    def _stream(self) -> Iterator[bytes]:
        try:
            yield from self.parts
        finally:
            self.closed.set()

    def ask(self, method: str, path: str, *body: bytes, **headers: str) -> Exchange:
        async def run() -> Exchange:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await Exchange(self.bridge, method, path, named, list(body) or [b""]).run()

        return run_apart(run())


@pytest.fixture
def application() -> Application:
    return Application()


def test_a_small_request_gets_its_answer_in_one_piece(application: Application) -> None:
    answer = application.ask("POST", "/echo", b"hello", content_length="5")

    assert (answer.status, answer.body, len(answer.sent)) == (200, b"hello", 2)
    assert answer.headers[b"content-length"] == b"5"


def test_a_large_body_is_handed_on_as_it_comes(application: Application) -> None:
    parts = [bytes([n]) * (SMALL_BYTES // 3) for n in range(10)]

    answer = application.ask("POST", "/echo", *parts)

    assert answer.body == b"".join(parts) and answer.is_whole


def test_a_large_answer_comes_whole(application: Application) -> None:
    answer = application.ask("GET", "/large")

    assert (len(answer.body), answer.is_whole) == (LARGE, True)


def test_an_answer_of_unknown_length_is_sent_bit_by_bit(application: Application) -> None:
    answer = application.ask("GET", "/stream")

    assert answer.body == b"".join(PARTS)
    assert len(answer.sent) > len(PARTS) and answer.is_whole and application.closed.is_set()


def test_a_stream_ends_when_its_reader_has_left(application: Application) -> None:
    async def leave_early() -> Exchange:
        exchange = Exchange(application.bridge, "GET", "/stream", {}, [b""])
        exchange.on_sent = exchange.has_left.set
        return await exchange.run()

    exchange = run_apart(leave_early())

    assert application.closed.wait(10) and len(exchange.sent) < len(PARTS) // 2


def test_small_parts_of_a_stream_are_sent_together(application: Application) -> None:
    application.parts = [b"a"] * 1000

    answer = application.ask("GET", "/stream")

    assert (answer.body, answer.is_whole) == (b"a" * 1000, True)
    assert len(answer.sent) < 5


def test_streams_that_have_nothing_to_say_keep_no_thread_and_are_asked_again() -> None:
    """There are more of them than threads, and none ends before the other request was answered."""
    application = Application()
    is_over = threading.Event()

    def until_over() -> Iterator[bytes]:
        yield b"begun;"
        while not is_over.is_set():
            yield b""
        yield b"over"

    application.flask.add_url_rule("/wait", "wait", view_func=lambda: Response(until_over()))

    async def ask() -> list[Exchange]:
        streams = [Exchange(application.bridge, "GET", "/wait", {}, [b""]) for _ in range(20)]
        all_begun = asyncio.Event()

        def note_begun() -> None:
            if all(len(stream.sent) > 1 for stream in streams):
                all_begun.set()

        for stream in streams:
            stream.on_sent = note_begun
        running = [asyncio.create_task(stream.run()) for stream in streams]
        await all_begun.wait()
        other = await Exchange(application.bridge, "GET", "/large", {}, [b""]).run()
        is_over.set()
        return [other, *await asyncio.gather(*running)]

    other, *streams = run_apart(ask())

    assert other.is_whole
    assert {stream.body for stream in streams} == {b"begun;over"}


@pytest.mark.parametrize(
    ("error", "level"), [(Unavailable("the database is away"), "WARNING"), (ZeroDivisionError(), "ERROR")]
)
def test_an_answer_that_fails_in_the_middle_ends_with_its_connection(
    application: Application, error: Exception, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    def parts() -> Iterator[bytes]:
        yield PARTS[0]
        raise error

    application.parts = parts()

    got = application.ask("GET", "/stream")

    assert (got.is_cut_off, got.is_whole) == (True, False)
    assert application.closed.is_set()
    [told] = caplog.records
    assert told.levelname == level
    assert "GET /stream ended in the middle" in told.getMessage()


def test_a_request_that_takes_long_lets_others_begin() -> None:
    application = Application()
    may_end, begun = threading.Event(), threading.Semaphore(0)

    def keep() -> bytes:
        begun.release()
        may_end.wait(20)
        return b"kept"

    application.flask.add_url_rule("/keep", "keep", view_func=keep)
    bridge = bridge_to(application.flask, threads=16)

    async def ask() -> list[Exchange]:
        kept = [asyncio.create_task(Exchange(bridge, "GET", "/keep", {}, [b""]).run()) for _ in range(12)]
        for _ in kept:
            await asyncio.to_thread(begun.acquire)
        other = await Exchange(bridge, "POST", "/echo", {}, [b"hello"]).run()
        may_end.set()
        return [other, *await asyncio.gather(*kept)]

    other, *kept = run_apart(ask())

    assert (other.body, {each.body for each in kept}) == (b"hello", {b"kept"})


def test_what_has_a_thread_of_its_own_is_answered_while_all_others_are_kept() -> None:
    application = Application()
    may_end = threading.Event()
    begun = threading.Semaphore(0)

    def keep() -> bytes:
        begun.release()
        may_end.wait(20)
        return b"kept"

    application.flask.add_url_rule("/keep", "keep", view_func=keep)
    application.flask.add_url_rule("/alive", "alive", view_func=lambda: b"alive")
    bridge = bridge_to(application.flask, threads=2, apart=["/alive"])

    async def ask() -> list[Exchange]:
        kept = [asyncio.create_task(Exchange(bridge, "GET", "/keep", {}, [b""]).run()) for _ in range(5)]
        for _ in range(2):
            await asyncio.to_thread(begun.acquire)
        alive = await Exchange(bridge, "GET", "/alive", {}, [b""]).run()
        may_end.set()
        return [alive, *await asyncio.gather(*kept)]

    alive, *kept = run_apart(ask())

    assert (alive.body, {each.body for each in kept}) == (b"alive", {b"kept"})


def test_a_reader_that_does_not_read_keeps_no_thread(application: Application) -> None:
    async def ask() -> Exchange:
        is_over = asyncio.Event()
        running = []
        for _ in range(20):
            stuck = Exchange(application.bridge, "GET", "/stream", {}, [b""])
            stuck.has_room = is_over
            running.append(asyncio.create_task(stuck.run()))
        await asyncio.sleep(0)
        other = await Exchange(application.bridge, "POST", "/echo", {}, [b"hello"]).run()
        is_over.set()
        await asyncio.gather(*running)
        return other

    assert run_apart(ask()).body == b"hello"


def test_a_client_that_leaves_before_its_body_is_whole_gets_nothing(application: Application) -> None:
    async def leave() -> Exchange:
        exchange = Exchange(application.bridge, "POST", "/echo", {"content-length": "9"}, [])
        exchange.has_left.set()
        return await exchange.run()

    assert not run_apart(leave()).sent


def test_an_application_need_not_read_a_body_that_it_refuses(application: Application) -> None:
    answer = application.ask("POST", "/refuse", *[b"x" * SMALL_BYTES] * 9)

    assert (answer.status, answer.body) == (413, b"no")


def test_head_gets_the_headers_alone(application: Application) -> None:
    answer = application.ask("HEAD", "/large")

    assert (answer.status, answer.body, answer.headers[b"content-length"]) == (200, b"", str(LARGE).encode())


def test_the_application_is_told_who_asks_for_what(application: Application) -> None:
    async def run() -> Exchange:
        exchange = Exchange(application.bridge, "GET", "/told", {}, [b""])
        exchange._scope["headers"] = [
            (b"x-a", b"1"), (b"x-a", b"2"), (b"cookie", b"c=1"), (b"cookie", b"d=2"), (b"x_b", b"forged"),
            (b"content-type", b"text/plain"),
        ]  # fmt: skip
        return await exchange.run()

    told = run_apart(run()).body.decode()

    assert '"HTTP_X_A":"1,2"' in told and '"HTTP_COOKIE":"c=1; d=2"' in told and '"HTTP_X_B":null' in told
    assert (
        '"PATH_INFO":"/told"' in told
        and '"REMOTE_ADDR":"192.0.2.1"' in told
        and '"QUERY_STRING":"a=1"' in told
    )


def test_many_requests_at_once_take_turns(application: Application) -> None:
    async def run() -> list[Exchange]:
        exchanges = [
            Exchange(application.bridge, "POST", "/echo", {"content-length": "2"}, [b"%02d" % n])
            for n in range(50)
        ]
        return await asyncio.gather(*(exchange.run() for exchange in exchanges))

    assert [answer.body for answer in run_apart(run())] == [b"%02d" % n for n in range(50)]
