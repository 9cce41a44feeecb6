"""The certificate that the web server shows, and its key: read at the start, and again when their files change."""

from __future__ import annotations

import hashlib
import logging
import math
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from production_server.errors import Fault, SettingsError
from production_server.run.tls_session import TlsSession
from production_server.settings import Settings

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5
"""How often the files are looked at."""
WARNED_S = (14 * 86_400.0, 0.0)
"""So long before its end a certificate is warned of: whatever renews certificates does so earlier."""
_PEM = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What was found in the files."""

    context: ssl.SSLContext
    shown: str
    fault: str = ""
    """Why clients will refuse it, whomever they trust."""
    ends_at: float = math.inf


class Certificate:
    """TLS_CERT and TLS_KEY as they are in force: the event loop reads `context`, one thread calls `look`."""

    def __init__(self, cert: Path, key: Path, *, clock: Callable[[], float] = time.time) -> None:
        """Read both files.

        Raises:
            SettingsError: they are not a certificate and its key.
        """
        self._files = (cert, key)
        self._clock = clock
        self._state = self._state_of_files()
        self._loaded = _load(cert, key)
        self._told: _Loaded | None = None
        self._unwarned: tuple[float, ...] = ()

    @property
    def context(self) -> ssl.SSLContext:
        """What new connections begin with; those that there are keep what they began with."""
        return self._loaded.context

    def look(self) -> bool:
        """Read the files again if they have changed; if they cannot be used, what was there before goes on serving.

        Tells the log of it, at the first look as well. Says, as a step of a `Loop`, that there is nothing more to do.
        """
        state = self._state_of_files()
        if state != self._state:
            self._state = state
            try:
                # A context of its own: one that has taken a new certificate, and not its key, is of no use.
                self._loaded = _load(*self._files)
            except SettingsError as exc:
                log.warning("the certificate before goes on serving: %s", exc)
        if self._loaded is not self._told:
            self._tell(self._loaded)
        self._warn_of_end()
        return False

    def _tell(self, loaded: _Loaded) -> None:
        log.info("the certificate is %s", loaded.shown)
        if loaded.fault:
            log.warning("TLS_CERT: clients will refuse the certificate: %s", loaded.fault)
        self._told = loaded
        self._unwarned = WARNED_S

    def _warn_of_end(self) -> None:
        left_s = self._loaded.ends_at - self._clock()
        if any(left_s <= before_s for before_s in self._unwarned):
            log.warning("TLS_CERT: the certificate is good until %s", _time(self._loaded.ends_at))
            self._unwarned = tuple(before_s for before_s in self._unwarned if left_s > before_s)

    def _state_of_files(self) -> tuple[object, ...]:
        return tuple(_state_of(path) for path in self._files)


def open_certificate(settings: Settings) -> Certificate | None:
    """What TLS_CERT and TLS_KEY name; None: the service speaks plain HTTP.

    Raises:
        SettingsError: there is one without the other, they are not a certificate and its key, or HTTP_PORT is of no
            use beside them.
    """
    cert, key = settings.tls_cert, settings.tls_key
    if cert is not None and key is None:
        raise _fault("TLS_KEY", "the key of the certificate in TLS_CERT", "nothing")
    if cert is None and key is not None:
        raise _fault("TLS_CERT", "the certificate of the key in TLS_KEY", "nothing")
    if settings.http_port and cert is None:
        raise _fault(
            "HTTP_PORT", "0 where there is no TLS_CERT: it only sends clients to https", settings.http_port
        )
    if settings.http_port == settings.port:
        raise _fault("HTTP_PORT", "another port than PORT, which speaks https", settings.http_port)
    return None if cert is None or key is None else Certificate(cert, key)


def fingerprint_of(cert: Path) -> str:
    """The SHA-256 of the first certificate in a file, as clients show and pin it.

    Raises:
        SettingsError: there is none in it.
    """
    return _fingerprint(_first_in(cert, _text_of("TLS_CERT", cert)))


def _load(cert: Path, key: Path) -> _Loaded:
    text = _text_of("TLS_CERT", cert)
    _text_of("TLS_KEY", key)
    der = _first_in(cert, text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, _refuse_passphrase)
    except (OSError, _Encrypted) as exc:
        raise _unusable(cert, key, exc) from exc
    try:
        return _seen_by_a_client(context, der)
    except ssl.SSLError as exc:
        # Of a kind of key that clients do not know: DSA, or a curve of its own.
        got = f"{str(cert)!r} ({exc.reason})"
        raise _fault(
            "TLS_CERT", "a certificate that clients can use, of RSA or a curve such as P-256", got
        ) from exc


def _first_in(cert: Path, text: str) -> bytes:
    """The server's own certificate, as DER. All of the file is looked at: the authorities' follow it.

    Raises:
        SettingsError: the file holds none, or something that is none.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
        return ssl.PEM_cert_to_DER_cert(_PEM.findall(text)[0])
    except (ssl.SSLError, ValueError, IndexError) as exc:
        raise _fault("TLS_CERT", "certificates in PEM, the server's own first", f"{str(cert)!r}") from exc


def _seen_by_a_client(context: ssl.SSLContext, der: bytes) -> _Loaded:
    """Shake hands with a client that trusts exactly this certificate: only it can read one, and says what is wrong.

    Raises:
        ssl.SSLError: no client could.
    """
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusting.load_verify_locations(cadata=der)
    server, client = TlsSession(context), TlsSession(trusting, is_server=False)
    shown = _fingerprint(der)
    try:
        while not client.has_begun:
            client.begin(server.take())
            server.begin(client.take())
    except ssl.SSLCertVerificationError as exc:
        return _Loaded(context, shown, fault=exc.verify_message)
    seen = client.peer_certificate()
    ends_at = float(ssl.cert_time_to_seconds(str(seen["notAfter"])))
    return _Loaded(context, f"{shown}, good until {_time(ends_at)}", ends_at=ends_at)


class _Encrypted(Exception):
    """Raised when OpenSSL asks for a key's passphrase; left to itself it would ask the terminal."""


def _refuse_passphrase() -> str:
    raise _Encrypted


def _unusable(cert: Path, key: Path, exc: Exception) -> SettingsError:
    if isinstance(exc, _Encrypted):
        return _fault("TLS_KEY", "a key without a passphrase", f"{str(key)!r}, which has one")
    reason = getattr(exc, "reason", None)
    if reason == "KEY_VALUES_MISMATCH":
        return _fault(
            "TLS_KEY", "the key of the certificate in TLS_CERT", f"that of another one in {str(key)!r}"
        )
    if reason is None:
        return _fault("TLS_KEY", "a key in PEM", repr(str(key)))
    return _fault("TLS_CERT, TLS_KEY", "what OpenSSL takes", f"{str(cert)!r}, {str(key)!r} ({reason})")


def _text_of(variable: str, path: Path) -> str:
    try:
        # Comments may be in any encoding.
        return path.read_text("ascii", "ignore")
    except OSError as exc:
        raise _fault(variable, "a file that can be read", f"{str(path)!r} ({exc.strerror})") from exc


def _state_of(path: Path) -> tuple[int, ...] | None:
    """What changes with a file, and when a link points to another one."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _fault(variable: str, expected: str, got: object) -> SettingsError:
    return SettingsError((Fault(variable, expected, str(got)),))


def _fingerprint(der: bytes) -> str:
    return "SHA256:" + hashlib.sha256(der).digest().hex(":").upper()


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
