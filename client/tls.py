"""Whom the client talks to: the one server whose certificate is pinned, and who else can read what it says."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import ssl
from urllib.parse import urlsplit

from client.errors import InputError

EXAMPLE = "SHA256:9F:60:… (64 hexadecimal digits), as the server's `fingerprint` prints it"


class WrongCertificate(OSError):
    """Raised within a handshake, before anything is sent, when another certificate than the pinned one is shown."""


def read_fingerprint(text: str) -> bytes:
    """The SHA-256 that a fingerprint stands for; the colons, and what it begins with, may be missing.

    Raises:
        InputError: it is none.
    """
    digits = re.sub("^sha256:", "", text.strip(), flags=re.IGNORECASE).replace(":", "")
    if not re.fullmatch("[0-9a-fA-F]{64}", digits):
        raise InputError(f"--fingerprint: expected {EXAMPLE}, got {text!r}")
    return bytes.fromhex(digits)


def pinned_context(pin: bytes) -> ssl.SSLContext:
    """A context for connections to whoever has the key of the certificate with this SHA-256, and to nobody else.

    Each connection is judged at the end of its own handshake, so none can be another one than was looked at. Names,
    dates and authorities do not count: the certificate is known.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    class PinnedSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  # as the base class has it
            super().do_handshake(block)
            _check(self.getpeercert(binary_form=True), pin)

    class PinnedObject(ssl.SSLObject):
        """What a connection is that goes through a proxy with TLS of its own."""

        def do_handshake(self) -> None:
            super().do_handshake()
            _check(self.getpeercert(binary_form=True), pin)

    context.sslsocket_class = PinnedSocket
    context.sslobject_class = PinnedObject
    return context


def is_in_the_clear(url: str) -> bool:
    """Whether others than this machine and the server can read what is sent to `url`."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False  # It is no URL, as will be said.
    if parts.scheme != "http" or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def _check(der: bytes | None, pin: bytes) -> None:
    shown = hashlib.sha256(der or b"").digest()
    if not hmac.compare_digest(shown, pin):
        raise WrongCertificate(f"it shows {_fingerprint(shown)}, and {_fingerprint(pin)} is expected")


def _fingerprint(digest: bytes) -> str:
    return "SHA256:" + digest.hex(":").upper()
