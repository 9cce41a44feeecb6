from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from production_server.run.tls_session import SLICE_BYTES, TlsSession
from testing.certificates import make_pair

Sessions = tuple[TlsSession, TlsSession]


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def sessions(request: pytest.FixtureRequest, tmp_path: Path) -> Sessions:
    """A server's session and its client's, which have begun."""
    pair = make_pair(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pair.cert, pair.key)
    trusting = ssl.create_default_context(cafile=str(pair.cert))
    trusting.check_hostname = False
    trusting.maximum_version = request.param
    server, client = TlsSession(serving), TlsSession(trusting, is_server=False)
    while not (server.has_begun and client.has_begun):
        client.begin(server.take())
        server.begin(client.take())
    return server, client


@pytest.mark.parametrize("size", [1, SLICE_BYTES - 1, SLICE_BYTES, SLICE_BYTES + 1, 20 * SLICE_BYTES + 7])
def test_what_was_encrypted_is_decrypted(sessions: Sessions, size: int) -> None:
    server, client = sessions
    data = os.urandom(size)

    there = client.decrypt(server.encrypt(data))
    back = server.decrypt(client.encrypt(data))

    assert there == back == data
    assert not (server.is_over or client.is_over)


def test_what_comes_byte_by_byte_is_decrypted_when_a_record_is_whole(sessions: Sessions) -> None:
    server, client = sessions
    sent = client.encrypt(b"first") + client.encrypt(b"second")

    parts = [server.decrypt(sent[at : at + 1]) for at in range(len(sent))]

    assert [part for part in parts if part] == [b"first", b"second"]


def test_no_more_than_a_slice_is_held_by_openssl(sessions: Sessions) -> None:
    """Its buffers never shrink: they would stay as large as the largest answer of the connection."""
    server, _ = sessions
    written: list[int] = []

    class Watched:
        def write(self, data: bytes) -> int:
            written.append(len(data))
            return len(data)

    server._ssl = Watched()  # type: ignore[assignment]
    server.encrypt(bytes(10 * SLICE_BYTES + 1))

    assert written == [SLICE_BYTES] * 10 + [1]


def test_the_end_is_told_and_needs_no_answer(sessions: Sessions) -> None:
    server, client = sessions

    told = server.end()

    assert client.decrypt(server.encrypt(b"") + told) == b""
    assert client.is_over


def test_an_end_that_comes_with_data_loses_none_of_it(sessions: Sessions) -> None:
    server, client = sessions

    assert server.decrypt(client.encrypt(b"goodbye") + client.end()) == b"goodbye"
    assert server.is_over


def test_what_was_changed_on_its_way_fails(sessions: Sessions) -> None:
    server, client = sessions
    sent = bytearray(client.encrypt(b"data"))
    sent[-1] ^= 1

    with pytest.raises(ssl.SSLError):
        server.decrypt(bytes(sent))

    assert server.take()  # an alert
    assert server.end() == b""
