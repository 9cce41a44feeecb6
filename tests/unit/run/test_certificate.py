from __future__ import annotations

import hashlib
import logging
import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from production_server.errors import SettingsError
from production_server.run.certificate import Certificate, fingerprint_of, open_certificate
from production_server.run.tls_session import TlsSession
from production_server.settings import Settings
from testing.certificates import PASSPHRASE, Pair, make_pair

DAY_S = 86_400


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return make_pair(tmp_path)


def shown(certificate: Certificate) -> str:
    """The fingerprint of what a client is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server, client = TlsSession(certificate.context), TlsSession(context, is_server=False)
    while not client.has_begun:
        client.begin(server.take())
        server.begin(client.take())
    return hashlib.sha256(client._ssl.getpeercert(binary_form=True) or b"").digest().hex(":").upper()


def replace(pair: Pair, other: Pair) -> None:
    """As certbot does: a file is written beside the other one, and takes its name."""
    other.cert.rename(pair.cert)
    other.key.rename(pair.key)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_without_a_certificate_the_service_speaks_plain_http() -> None:
    assert open_certificate(Settings()) is None


def test_a_certificate_is_shown_to_clients_that_speak_http_1_1(pair: Pair) -> None:
    certificate = open_certificate(Settings(tls_cert=pair.cert, tls_key=pair.key))

    assert certificate is not None
    assert shown(certificate) == pair.fingerprint
    assert certificate.context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_the_authorities_behind_a_certificate_are_sent_along(tmp_path: Path) -> None:
    authority = make_pair(tmp_path, "authority", is_authority=True)
    middle = make_pair(tmp_path, "middle", is_authority=True, of=authority)
    pair = make_pair(tmp_path, of=middle)
    pair.cert.write_bytes(pair.cert.read_bytes() + middle.cert.read_bytes())
    trusting = ssl.create_default_context(cafile=str(authority.cert))
    trusting.check_hostname = False

    server = TlsSession(Certificate(pair.cert, pair.key).context)
    client = TlsSession(trusting, is_server=False)
    for _ in range(2):
        client.begin(server.take())
        server.begin(client.take())

    assert client.has_begun
    assert fingerprint_of(pair.cert) == f"SHA256:{pair.fingerprint}"


def settings_without(*names: str) -> Callable[[Pair], Settings]:
    return lambda pair: Settings(
        **{"tls_cert": pair.cert, "tls_key": pair.key} | dict.fromkeys(names),  # type: ignore[arg-type]
    )


def with_file(change: Callable[[Pair], object], **more: int) -> Callable[[Pair], Settings]:
    def settings(pair: Pair) -> Settings:
        change(pair)
        return Settings(tls_cert=pair.cert, tls_key=pair.key, **more)  # type: ignore[arg-type]

    return settings


def nothing(_pair: Pair) -> None:
    """Change nothing."""


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            settings_without("tls_key"),
            "TLS_KEY: expected the key of the certificate in TLS_CERT, got nothing",
        ),
        (
            settings_without("tls_cert"),
            "TLS_CERT: expected the certificate of the key in TLS_KEY, got nothing",
        ),
        (
            with_file(lambda pair: pair.cert.unlink()),
            "TLS_CERT: expected a file that can be read, got .*No such",
        ),
        (
            with_file(lambda pair: pair.key.unlink()),
            "TLS_KEY: expected a file that can be read, got .*No such",
        ),
        (with_file(lambda pair: pair.cert.write_bytes(b"")), "TLS_CERT: expected certificates in PEM"),
        (with_file(lambda pair: pair.cert.write_bytes(b"\xff\0")), "TLS_CERT: expected certificates in PEM"),
        (
            with_file(lambda pair: pair.cert.write_bytes(pair.cert.read_bytes()[:-100])),
            "TLS_CERT: expected certificates in PEM",
        ),
        (
            with_file(
                lambda pair: pair.cert.write_bytes(pair.cert.read_bytes() + pair.cert.read_bytes()[:200])
            ),
            "TLS_CERT: expected certificates in PEM",
        ),
        (
            with_file(lambda pair: pair.cert.write_bytes(pair.key.read_bytes())),
            "TLS_CERT: expected certificates in PEM",
        ),
        (with_file(lambda pair: pair.key.write_bytes(b"x")), "TLS_KEY: expected a key in PEM"),
        (
            with_file(lambda pair: pair.key.write_bytes(pair.cert.read_bytes())),
            "TLS_KEY: expected a key in PEM",
        ),
        (
            with_file(lambda pair: make_pair(pair.key.parent, "other").key.rename(pair.key)),
            "TLS_KEY: expected the key of the certificate in TLS_CERT, got that of another one",
        ),
        (
            with_file(lambda pair: replace(pair, make_pair(pair.key.parent, "x", passphrase=PASSPHRASE))),
            "TLS_KEY: expected a key without a passphrase",
        ),
        (with_file(nothing, port=443, http_port=443), "HTTP_PORT: expected another port than PORT"),
        (lambda _pair: Settings(http_port=80), "HTTP_PORT: expected 0 where there is no TLS_CERT"),
    ],
)
def test_what_cannot_be_used_is_a_fault_of_the_settings(
    pair: Pair, settings: Callable[[Pair], Settings], expected: str
) -> None:
    with pytest.raises(SettingsError, match=expected) as caught:
        open_certificate(settings(pair))

    assert len(caught.value.faults) == 1


def test_a_key_of_a_kind_that_no_client_knows_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, curve=ec.SECP256K1())

    with pytest.raises(
        SettingsError, match=r"TLS_CERT: expected a certificate that clients can use, .*NO_SHARED"
    ):
        Certificate(pair.cert, pair.key)


def test_one_file_may_hold_both(pair: Pair) -> None:
    pair.cert.write_text("subject=Zürich\n" + pair.key.read_text() + pair.cert.read_text())

    assert shown(Certificate(pair.cert, pair.cert)) == pair.fingerprint


def test_a_certificate_that_is_over_is_served_and_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pair = make_pair(tmp_path, days=-1)
    certificate = Certificate(pair.cert, pair.key)

    certificate.look()
    certificate.look()

    assert shown(certificate) == pair.fingerprint
    assert warnings(caplog) == ["TLS_CERT: clients will refuse the certificate: certificate has expired"]


def test_the_end_of_a_certificate_is_told_two_weeks_before_and_when_it_comes(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    now = [time.time()]
    certificate = Certificate(pair.cert, pair.key, clock=lambda: now[0])
    told = []

    for days in (0, 70, 77, 80, 91, 92):
        now[0] = time.time() + days * DAY_S
        caplog.clear()
        certificate.look()
        told.append(len(warnings(caplog)))

    assert told == [0, 0, 1, 0, 1, 0]


def test_another_certificate_is_taken_when_the_files_change(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    certificate = Certificate(pair.cert, pair.key)
    certificate.look()
    before = certificate.context
    other = make_pair(pair.cert.parent, "other")

    replace(pair, other)
    certificate.look()
    after = certificate.context
    certificate.look()

    assert shown(certificate) == other.fingerprint
    assert certificate.context is after is not before
    assert [other.fingerprint in record.getMessage() for record in caplog.records] == [False, True]
    assert not warnings(caplog)


def test_while_only_one_of_both_files_is_new_the_old_ones_serve_and_it_is_told_once(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = Certificate(pair.cert, pair.key)
    other = make_pair(pair.cert.parent, "other")

    other.cert.rename(pair.cert)
    for _ in range(3):
        certificate.look()

    assert shown(certificate) == pair.fingerprint
    (told,) = warnings(caplog)
    assert told.startswith("the certificate before goes on serving: ") and "TLS_KEY" in told

    other.key.rename(pair.key)
    certificate.look()

    assert shown(certificate) == other.fingerprint


@pytest.mark.parametrize("part", [0, 1, 300])
def test_a_file_that_is_written_to_bit_by_bit_is_taken_when_all_of_it_is_there(pair: Pair, part: int) -> None:
    certificate = Certificate(pair.cert, pair.key)
    other = make_pair(pair.cert.parent, "other")
    whole = other.cert.read_bytes()

    pair.cert.write_bytes(whole[:part])
    certificate.look()
    assert shown(certificate) == pair.fingerprint
    pair.cert.write_bytes(whole)
    pair.key.write_bytes(other.key.read_bytes())
    certificate.look()

    assert shown(certificate) == other.fingerprint


def test_files_that_were_away_are_taken_again(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    certificate = Certificate(pair.cert, pair.key)

    aside = pair.key.rename(pair.key.with_suffix(".aside"))
    certificate.look()
    certificate.look()
    away = shown(certificate)
    aside.rename(pair.key)
    caplog.clear()
    certificate.look()

    assert away == shown(certificate) == pair.fingerprint
    assert not warnings(caplog)


def test_a_link_that_points_elsewhere_is_followed(pair: Pair) -> None:
    """Kubernetes exchanges a folder that both files are links into."""
    folder = pair.cert.parent / "live"
    folder.symlink_to("before", target_is_directory=True)
    for name, of in (("before", pair), ("after", make_pair(pair.cert.parent, "other"))):
        (folder.parent / name).mkdir()
        of.cert.rename(folder.parent / name / "tls.crt")
        of.key.rename(folder.parent / name / "tls.key")
    certificate = Certificate(folder / "tls.crt", folder / "tls.key")
    before = shown(certificate)

    (folder.parent / "new").symlink_to("after", target_is_directory=True)
    os.replace(folder.parent / "new", folder)  # noqa: PTH105  # a link, not what it points to
    certificate.look()

    assert before == pair.fingerprint != shown(certificate)


def test_of_a_file_without_a_certificate_there_is_no_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    with pytest.raises(SettingsError, match="TLS_CERT: expected certificates in PEM"):
        fingerprint_of(tmp_path / "empty")
