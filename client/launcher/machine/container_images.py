"""Where an instance has its container images from: built there, or pulled from a registry."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

MAX_PREFIX_CHARACTERS = 200
MAX_AUTHORITY_BYTES = 16_384

# As the engine reads names of images: a first part with a dot or a port is a registry, anything else a folder.
_HOST = r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_PREFIX = re.compile(rf"(?=[^/]*[.:])({_HOST}(?::[0-9]{{1,5}})?)/(?:[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*/)*")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----")


@dataclass(frozen=True)
class ImageSource:
    """A registry and a folder in it, such as registry.example:5000/lab/; None: the instance builds what it runs.

    `authority` is the certificate (PEM) of whoever vouches for the registry; None: one of those that the
    distribution trusts.
    """

    prefix: str | None = None
    authority: str | None = None

    @property
    def registry(self) -> str:
        """The registry's host and port."""
        return (self.prefix or "").partition("/")[0]


def checked_prefix(prefix: str) -> str:
    """What is put before the names of images.

    Raises:
        InputError: It is no registry with a slash at the end, or more than that.
    """
    if "@" in prefix:
        raise InputError(
            "--image-prefix takes no user and no password: any process of an instance can read it"
        )
    if len(prefix) > MAX_PREFIX_CHARACTERS or not _PREFIX.fullmatch(prefix):
        raise InputError(
            "--image-prefix takes a registry, perhaps folders in it, and a slash at the end, such as "
            f"registry.example:5000/lab/; got {prefix!r}"
        )
    return prefix


def read_authority(path: Path) -> str:
    """The certificates in a file, and nothing else of it.

    Raises:
        InputError: There are none; or a private key, which must not leave this machine.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_AUTHORITY_BYTES + 1)
        text = content.decode("ascii", errors="replace")
    except OSError as error:
        raise InputError(f"--registry-ca: {path} cannot be read ({error.strerror})") from error
    if len(content) > MAX_AUTHORITY_BYTES:
        raise InputError(
            f"--registry-ca: {path} has more than {MAX_AUTHORITY_BYTES} bytes: name one certificate"
        )
    if "PRIVATE KEY" in text:
        raise InputError(f"--registry-ca: {path} has a private key: name the certificate alone")
    certificates = "".join(f"{found}\n" for found in _CERTIFICATE.findall(text)).replace("\r", "")
    if not _is_readable(certificates):
        raise InputError(f"--registry-ca: {path} has no certificate (PEM)")
    return certificates


def _is_readable(certificates: str) -> bool:
    if not certificates:
        return False
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=certificates)
    except ssl.SSLError:
        return False
    return context.cert_store_stats()["x509"] > 0
