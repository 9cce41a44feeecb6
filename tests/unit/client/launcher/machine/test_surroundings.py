"""The world around a launch: addresses by the routing table, readiness by HTTP."""

from __future__ import annotations

import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Self

import pytest

from client.errors import InputError
from client.launcher.machine.surroundings import Outside
from testing.certificates import make_pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def outside() -> Outside:
    return Outside("lab")


class Handler(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(params=["http", "https"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """With a certificate that nobody vouches for, or without any."""
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        if request.param == "https":
            pair, context = make_pair(tmp_path), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair.cert, pair.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"{request.param}://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "is_ready"), [(200, True), (503, False), (404, False), (302, False)])
def test_only_200_means_ready(
    outside: Outside, url: str, monkeypatch: pytest.MonkeyPatch, status: int, is_ready: bool
) -> None:
    monkeypatch.setattr(Handler, "status", status)

    assert outside.is_ready(url) is is_ready


def test_who_does_not_answer_is_not_ready(outside: Outside) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert outside.is_ready(f"http://127.0.0.1:{closed.getsockname()[1]}") is False


def test_towards_this_machine_there_is_no_address(outside: Outside) -> None:
    assert outside.own_address("127.0.0.1") is None
    assert outside.own_address("localhost") is None


def test_a_host_without_a_route_asks_for_the_addresses(outside: Outside) -> None:
    with pytest.raises(InputError, match=r"no route to nowhere.invalid .*--allow-from"):
        outside.own_address("nowhere.invalid")


class Route:
    """A socket of a machine with one address."""

    def __init__(self, own: str) -> None:
        self._own = own

    def __call__(self, *_args: object) -> Route:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_args: object) -> None:
        pass

    def connect(self, _destination: object) -> None:
        pass

    def getsockname(self) -> tuple[str, int]:
        return self._own, 40000


@pytest.mark.parametrize(
    ("own", "towards", "source"),
    [
        ("10.0.0.7", "10.0.9.9", "10.0.0.7/32"),
        ("9.9.9.9", "8.8.8.8", "9.9.9.9/32"),
        ("2a00:1450::7", "2a00:1450::8", "2a00:1450::7/128"),
        ("172.24.4.1", "172.24.4.90", "172.24.4.1/32"),
    ],
)
def test_the_address_towards_a_host_is_a_range_of_one(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, own: str, towards: str, source: str
) -> None:
    monkeypatch.setattr("client.launcher.machine.surroundings.socket.socket", Route(own))

    assert outside.own_address(towards) == source


def test_behind_an_address_translation_it_asks_for_the_public_address(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.launcher.machine.surroundings.socket.socket", Route("192.168.1.7"))

    with pytest.raises(InputError, match=r"private address 192.168.1.7.*--allow-from"):
        outside.own_address("8.8.8.8")
