from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from production_server import descriptors
from production_server.run import guarded_http, guarded_tls
from production_server.run.certificate import Certificate
from production_server.run.guarded_http import Crowd, GuardedHttp
from production_server.run.guarded_tls import GuardedTls
from production_server.run.tls_session import TlsSession
from production_server.web.edge.bridge import CUT_OFF
from testing.certificates import make_pair
from testing.processes import wait_until
from tests.unit.run.test_guarded_http import REQUEST, answered, echo, mirror, serving

Address = tuple[str, int]
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""How a client begins; 506 bytes are to follow."""


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    pair = make_pair(tmp_path)
    return Certificate(pair.cert, pair.key)


@contextlib.contextmanager
def serving_tls(app: Any, certificate: Certificate, *, most: int = 100) -> Iterator[Address]:
    with serving(app, http=partial(GuardedTls, certificate=certificate, crowd=Crowd(most=most))) as address:
        yield address


def client_context(*, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = version
    return context


def connect(address: Address, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    connection = socket.create_connection(address, timeout=20)
    return (context or client_context()).wrap_socket(connection, suppress_ragged_eofs=False)


def read_to_end(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(2**18), b""))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests_are_answered_one_after_another(certificate: Certificate, version: ssl.TLSVersion) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["scheme"])
        await echo(scope, receive, send)

    context = client_context(version=version)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with serving_tls(app, certificate) as address, connect(address, context) as client:
        for _ in range(3):
            client.sendall(REQUEST)
            assert answered(client) == b"HTTP/1.1 200 OK"

        assert client.selected_alpn_protocol() == "http/1.1"
    assert seen == ["https"] * 3


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_a_client_of_another_age_is_refused(certificate: Certificate) -> None:
    context = client_context(version=ssl.TLSVersion.TLSv1_1)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")

    with serving_tls(echo, certificate) as address, pytest.raises(ssl.SSLError, match="protocol version"):
        connect(address, context)


def test_much_is_sent_and_comes_back_as_it_was(certificate: Certificate) -> None:
    body = os.urandom(3 * 2**20 + 1)
    head = b"PUT / HTTP/1.0\r\ncontent-length: %d\r\n\r\n" % len(body)

    with serving_tls(mirror, certificate) as address, connect(address) as client:
        sender = threading.Thread(target=client.sendall, args=(head + body,))
        sender.start()
        sender.join()

        assert read_to_end(client).endswith(b"<PUT " + body + b">")


def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(certificate: Certificate) -> None:
    session = TlsSession(client_context(), is_server=False)
    with serving_tls(echo, certificate) as address, socket.create_connection(address, timeout=20) as client:
        session.begin(b"")
        client.sendall(session.take())
        while not session.has_begun:
            session.begin(client.recv(2**16))
        client.sendall(session.take() + session.encrypt(REQUEST * 3))

        answers = b""
        while answers.count(b"HTTP/1.1 200 OK") < 3:
            answers += session.decrypt(client.recv(2**16))


def test_the_end_is_announced_so_that_nobody_takes_a_part_for_the_whole(certificate: Certificate) -> None:
    with serving_tls(mirror, certificate) as address, connect(address) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")

        assert read_to_end(client).endswith(b"<GET >")  # else: SSLEOFError


def test_an_answer_that_is_cut_off_is_whole_to_nobody(
    certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    async def begins(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a part", "more_body": True})
        scope["extensions"][CUT_OFF]()
        while (await receive())["type"] != "http.disconnect":
            pass

    with serving_tls(begins, certificate) as address, connect(address) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        # OpenSSL may have an end of its own for a reset.
        with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
            read_to_end(client)

    assert caplog.records == []


def test_a_connection_that_is_closed_does_not_wait_for_its_client(certificate: Certificate) -> None:
    """A pool of connections reads nothing until the next request: a server that stops would wait for all of them."""
    left = threading.Event()

    class Watched(GuardedHttp):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            left.set()

    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setattr(guarded_tls, "GuardedHttp", Watched)
        address = stack.enter_context(serving_tls(echo, certificate))
        client = stack.enter_context(connect(address))
        client.sendall(REQUEST.replace(b"host: here", b"host: here\r\nconnection: close"))

        assert left.wait(5)


def test_new_connections_are_shown_another_certificate_and_old_ones_go_on(tmp_path: Path) -> None:
    pair, other = make_pair(tmp_path), make_pair(tmp_path, "other")
    certificate = Certificate(pair.cert, pair.key)
    with serving_tls(echo, certificate) as address, connect(address) as before:
        other.cert.rename(pair.cert)
        other.key.rename(pair.key)
        certificate.look()

        with connect(address) as after:
            shown = [each.getpeercert(binary_form=True) for each in (before, after)]
        before.sendall(REQUEST)

        assert answered(before) == b"HTTP/1.1 200 OK"
    assert shown[0] != shown[1]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00" * 100,
        b"\x15\x03\x01\x00\x02\x02\x28",
        HELLO + b"\xff" * 506,
        b"\x16\x03\x01\xff\xff" + b"a" * 70_000,
        b"\x16\x03\x01\x00\x00" * 100,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x80\x2e\x01\x00\x02",
    ],
)
def test_what_is_no_handshake_ends_its_connection_and_is_not_told(
    certificate: Certificate, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    with serving_tls(echo, certificate) as address, connect(address) as other:
        with socket.create_connection(address, timeout=20) as client, contextlib.suppress(ConnectionError):
            client.sendall(sent)
            assert not read_to_end(client).startswith(b"HTTP/1.1 200")
        other.sendall(REQUEST)

        assert answered(other) == b"HTTP/1.1 200 OK"
    assert caplog.records == []


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("sent", [b"", HELLO, HELLO[:1]])
def test_who_leaves_within_a_handshake_leaves_nothing_behind(
    certificate: Certificate, caplog: pytest.LogCaptureFixture, sent: bytes, reset: bool
) -> None:
    made: list[GuardedTls] = []

    class Watched(GuardedTls):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            made.append(self)

    crowd = Crowd(most=100)
    with serving(echo, http=partial(Watched, certificate=certificate, crowd=crowd)) as address:
        for _ in range(20):
            client = socket.create_connection(address, timeout=20)
            client.sendall(sent)
            if reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

        wait_until(lambda: len(made) == 20 and not made[0]._connections, what="all have left", timeout_s=20)
        assert not crowd._idle
    assert caplog.records == []


def test_garbage_within_a_session_ends_it(certificate: Certificate, caplog: pytest.LogCaptureFixture) -> None:
    with serving_tls(echo, certificate) as address, connect(address) as client:
        with socket.socket(fileno=os.dup(client.fileno())) as plain:
            plain.sendall(b"\x17\x03\x03\x00\x20" + b"a" * 32)

        with pytest.raises(ssl.SSLError, match=r"BAD_RECORD_MAC|bad record mac"):
            client.recv(1)
    assert caplog.records == []


def test_who_speaks_http_is_told_that_this_is_https(certificate: Certificate) -> None:
    with serving_tls(echo, certificate) as address, socket.create_connection(address, timeout=20) as client:
        client.sendall(REQUEST)

        said = read_to_end(client)

    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert json.loads(body)["detail"] == "this port speaks https: ask it by an https:// address"
    assert b"content-length: %d" % len(body) in head


@pytest.mark.parametrize("sent", [b"", HELLO])
def test_a_handshake_that_takes_too_long_is_not_waited_for(
    certificate: Certificate, sent: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(guarded_tls, "HANDSHAKE_S", 0.3)
    with serving_tls(echo, certificate) as address, socket.create_connection(address, timeout=20) as client:
        client.sendall(sent)

        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert caplog.records == []


def test_after_the_handshake_there_is_as_much_time_as_without_tls(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded_tls, "HANDSHAKE_S", 0.3)
    with serving_tls(echo, certificate) as address, connect(address) as client:
        time.sleep(0.6)
        client.sendall(REQUEST)

        assert answered(client) == b"HTTP/1.1 200 OK"


def test_a_head_that_takes_too_long_is_not_waited_for(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded_http, "HEAD_S", 0.3)
    with serving_tls(echo, certificate) as address, connect(address) as client:
        client.sendall(b"GET / HT")

        assert read_to_end(client).startswith(b"HTTP/1.1 408 Request Timeout")


def test_handshakes_that_do_not_end_give_way_to_whoever_comes(certificate: Certificate) -> None:
    with serving_tls(echo, certificate, most=10) as address, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(address, timeout=20)) for _ in range(10)]
        for each in silent:
            each.sendall(HELLO)
        for _ in range(20):
            client = stack.enter_context(connect(address))
            client.sendall(REQUEST)
            assert answered(client) == b"HTTP/1.1 200 OK"

        for each in silent:
            with contextlib.suppress(ConnectionResetError):
                assert each.recv(1) == b""


def test_a_descriptor_that_is_kept_is_no_clients(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_tls(echo, certificate) as address, connect(address) as before:
        before.sendall(REQUEST)
        answered(before)
        monkeypatch.setattr(descriptors, "is_kept", lambda _descriptor: True)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            connect(address)
        before.sendall(REQUEST)

        assert answered(before) == b"HTTP/1.1 200 OK"


def test_a_client_that_never_takes_its_answer_is_left(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded_http, "STALLED_S", 0.3)
    is_left = threading.Event()

    async def large(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(20 * 2**20), "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        is_left.set()

    with serving_tls(large, certificate) as address, connect(address) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")

        assert is_left.wait(20)


def test_who_says_goodbye_and_does_not_read_is_left(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded_http, "STALLED_S", 0.3)
    connections: list[GuardedHttp] = []

    class Watched(GuardedHttp):
        def connection_made(self, transport: Any) -> None:
            connections.append(self)
            super().connection_made(transport)

    async def large(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(20 * 2**20)})

    monkeypatch.setattr(guarded_tls, "GuardedHttp", Watched)
    with serving_tls(large, certificate) as address, connect(address) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
        client.recv(1)
        with contextlib.suppress(ssl.SSLError), contextlib.ExitStack() as stack:
            client.settimeout(0.1)
            stack.enter_context(contextlib.suppress(TimeoutError))
            client.unwrap()

        wait_until(lambda: not connections[0].connections, what="it was left", timeout_s=20)


def test_debugging_tells_why_a_handshake_failed(
    certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger=guarded_tls.__name__)
    with serving_tls(echo, certificate) as address, socket.create_connection(address, timeout=20) as client:
        client.sendall(HELLO + b"\xff" * 506)
        read_to_end(client)

    assert any("TLS failed" in record.getMessage() for record in caplog.records)
