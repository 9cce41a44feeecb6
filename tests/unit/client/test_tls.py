"""Whom the client talks to, and whom it tells its key."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from client.errors import InputError
from client.tls import WrongCertificate, is_in_the_clear, pinned_context, read_fingerprint
from testing.api_server import ApiServer, api_server
from testing.certificates import Pair, make_pair
from testing.processes import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.client.conftest import Run

KEY = "cel_0123456789"


@pytest.fixture
def authority(tmp_path: Path) -> Pair:
    return make_pair(tmp_path, "authority", is_authority=True)


@pytest.fixture
def pair(tmp_path: Path, authority: Pair) -> Pair:
    """No authority's, nor signed by itself."""
    return make_pair(tmp_path, of=authority)


@pytest.fixture
def server(pair: Pair) -> Iterator[ApiServer]:
    with api_server(tls=(str(pair.cert), str(pair.key))) as memory:
        yield memory


def test_a_server_that_nobody_vouches_for_gets_nothing(run: Run, server: ApiServer) -> None:
    outcome = run("models", "--key", KEY)

    assert outcome.code == 4
    assert "has a certificate that is not trusted here" in outcome.stderr
    assert server.requests == []


def test_an_authority_of_ones_own_is_named_by_the_usual_variable(
    run: Run, authority: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))

    assert run("models").code == 0


@pytest.mark.parametrize("form", ["SHA256:{}", "{}", "sha256:{}", " SHA256:{}\n"])
@pytest.mark.parametrize("change", [str, str.lower, lambda text: text.replace(":", "")])
def test_a_pinned_certificate_is_trusted_whoever_signed_it(
    run: Run, pair: Pair, form: str, change: object
) -> None:
    assert callable(change)
    outcome = run("models", "--key", KEY, "--fingerprint", form.format(change(pair.fingerprint)))

    assert (outcome.code, outcome.stderr) == (0, "")


@pytest.mark.parametrize("kind", ["over", "another host's", "an authority's"])
def test_neither_dates_nor_names_count_where_the_certificate_is_known(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    pair = make_pair(
        tmp_path,
        "known",
        days=-1 if kind == "over" else 9,
        host="elsewhere.example" if kind == "another host's" else "localhost",
        is_authority=kind == "an authority's",
    )
    monkeypatch.setenv("CELERIAC_FINGERPRINT", pair.fingerprint)
    with api_server(tls=(str(pair.cert), str(pair.key))) as memory:
        url = memory.url.replace("127.0.0.1", "localhost")

        assert run("models", "--url", url).code == 0


def test_another_certificate_is_told_from_the_pinned_one_before_anything_is_sent(
    run: Run, server: ApiServer, pair: Pair, authority: Pair
) -> None:
    outcome = run("models", "--key", KEY, "--fingerprint", f"SHA256:{authority.fingerprint}")

    assert outcome.code == 4
    (error,) = outcome.errors
    assert error.startswith(f"error: {server.url} is not the server whose certificate is pinned: ")
    assert error.endswith(
        f": it shows SHA256:{pair.fingerprint}, and SHA256:{authority.fingerprint} is expected"
    )
    assert server.requests == []


def test_what_the_pinned_certificate_has_signed_is_another_one(
    run: Run, server: ApiServer, authority: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))

    assert run("models", "--fingerprint", authority.fingerprint).code == 4
    assert server.requests == []


@pytest.mark.parametrize(
    "text", ["", "SHA256:", "SHA256:AB", "MD5:" + "ab" * 32, "ab" * 31, "ab" * 33, "zz" * 32, "q" * 43 + "="]
)
def test_what_is_no_fingerprint_is_refused(run: Run, server: ApiServer, text: str) -> None:
    outcome = run("models", "--fingerprint", text)

    assert outcome.code == 2
    assert outcome.stderr.startswith("error: --fingerprint: expected SHA256:")
    assert server.requests == []


def test_where_there_is_no_certificate_none_is_pinned(run: Run, server: ApiServer, pair: Pair) -> None:
    url = server.url.replace("https:", "http:")

    outcome = run("models", "--url", url, "--key", KEY, "--fingerprint", pair.fingerprint)

    assert outcome.code == 2
    assert "--fingerprint: expected an https:// address" in outcome.stderr
    assert server.requests == []


def test_a_session_within_a_session_is_judged_as_well(pair: Pair, authority: Pair) -> None:
    """As it is where a proxy has TLS of its own."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pair.cert, pair.key)

    def shake_hands(fingerprint: str) -> None:
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = serving.wrap_bio(to_server, to_client, server_side=True)
        client = pinned_context(read_fingerprint(fingerprint)).wrap_bio(to_client, to_server)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        with pytest.raises(ssl.SSLWantReadError):
            server.do_handshake()
        client.do_handshake()

    shake_hands(pair.fingerprint)
    with pytest.raises(WrongCertificate):
        shake_hands(authority.fingerprint)


def test_no_digits_are_no_fingerprint() -> None:
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        read_fingerprint("")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://celeriac.lan:5100", True),
        ("HTTP://celeriac.lan", True),
        ("http://192.0.2.7", True),
        ("http://[2001:db8::1]:5100", True),
        ("http://127.0.0.1.evil.example", True),
        ("http://localhost.evil.example", True),
        ("https://celeriac.lan", False),
        ("http://127.0.0.1:5100", False),
        ("http://127.9.9.9", False),
        ("http://[::1]:5100", False),
        ("http://localhost:5100", False),
        ("http://celeriac.localhost", False),
        ("http://[half", False),
    ],
)
def test_it_is_known_who_else_can_read_what_is_sent(url: str, expected: bool) -> None:
    assert is_in_the_clear(url) is expected


@pytest.mark.parametrize(
    ("arguments", "is_told"), [(["--key", KEY], True), (["--key", KEY, "--quiet"], False), ([], False)]
)
def test_a_key_that_others_can_read_is_told_of(run: Run, arguments: list[str], is_told: bool) -> None:
    (port,) = free_ports(1)
    # An address of this machine that does not look like one: nothing listens.
    outcome = run("models", "--url", f"http://0.0.0.0:{port}", *arguments)

    assert ("the key goes to" in outcome.stderr) is is_told
    assert KEY not in outcome.stderr
