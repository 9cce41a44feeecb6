"""The world around a launch: addresses by the routing table, readiness by HTTP."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, ClassVar, Self

import pytest

from client.errors import InputError
from client.launcher.machine.surroundings import Outside
from testing.certificates import make_pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testing.certificates import Pair


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


NAME = "celeriac.example.org"


class Asked(Handler):
    """It keeps connections, as Caddy does."""

    protocol_version = "HTTP/1.1"
    hosts: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.hosts.append(self.headers["Host"])
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextlib.contextmanager
def named_service(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A service on 127.0.0.1 with a certificate, at the port where one with a name is looked for."""
    with HTTPServer(("127.0.0.1", 0), Asked) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        monkeypatch.setattr("client.launcher.machine.surroundings.HTTPS_PORT", server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("host", "is_trusted", "status", "is_ready"),
    [
        (NAME, True, 200, True),
        (NAME, True, 502, False),
        (NAME, False, 200, False),
        ("other.example.org", True, 200, False),
    ],
)
def test_a_machine_proves_its_name_at_its_address(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    host: str,
    is_trusted: bool,
    status: int,
    is_ready: bool,
) -> None:
    authority, other = (make_pair(tmp_path, name, is_authority=True) for name in ("authority", "other"))
    monkeypatch.setenv("SSL_CERT_FILE", str((authority if is_trusted else other).cert))
    monkeypatch.setattr(Asked, "status", status)
    Asked.hosts.clear()
    with named_service(make_pair(tmp_path, host=host, of=authority), monkeypatch):
        assert Outside("lab").is_ready_as(NAME, "127.0.0.1") is is_ready
    assert Asked.hosts == ([NAME] if is_trusted and host == NAME else [])


def test_a_name_that_was_proved_proves_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = make_pair(tmp_path, "authority", is_authority=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))
    with named_service(make_pair(tmp_path, host=NAME, of=authority), monkeypatch):
        outside = Outside("lab")
        assert outside.is_ready_as(NAME, "127.0.0.1")
        assert not outside.is_ready_as(f"other.{NAME}", "127.0.0.1")


def test_a_machine_that_has_no_certificate_yet_has_not_proved_its_name(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr("client.launcher.machine.surroundings.HTTPS_PORT", int(url.rpartition(":")[2]))

    assert outside.is_ready_as(NAME, "127.0.0.1") is False


@pytest.mark.parametrize(
    ("name", "address", "is_there"),
    [
        ("localhost", "127.0.0.1", True),
        ("localhost", "203.0.113.17", False),
        ("nowhere.invalid", "127.0.0.1", False),
        (f"{'a' * 64}.example.org", "127.0.0.1", False),
    ],
)
def test_a_name_points_to_an_address_or_not(
    outside: Outside, *, name: str, address: str, is_there: bool
) -> None:
    assert outside.points_to(name, address) is is_there


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
