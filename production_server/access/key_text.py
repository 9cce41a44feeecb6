"""What a key looks like: `cel_`, 30 random characters of base62, and a CRC32 of all that in six more.

Whoever looks for leaked keys knows one by its form, and a typing error is told before anything is looked up. GitHub's
tokens are made alike (github.blog, "Behind GitHub's new authentication token formats", 2021).
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib

PREFIX = "cel_"
RANDOM_CHARACTERS = 30
"""179 bits; eight of the characters are the key's public part, which leaves 131."""
ID_CHARACTERS = len(PREFIX) + 8
FORM_OF_ID = re.compile(rf"{PREFIX}[0-9A-Za-z]{{8}}", re.ASCII)
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_CHECKSUM_CHARACTERS = 6
"""62^6 > 2^32."""
_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM_CHARACTERS + _CHECKSUM_CHARACTERS}}}", re.ASCII)


def new_key() -> str:
    """A key that nobody has."""
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(RANDOM_CHARACTERS))
    return body + _checksum(body)


def id_of(key: str) -> str:
    """The public part of a key: it tells keys apart, and opens nothing."""
    return key[:ID_CHARACTERS]


def digest_of(key: str) -> bytes:
    """What is stored of a key, its SHA-256: nobody can try 131 random bits, so it needs no slow hash."""
    return hashlib.sha256(key.encode()).digest()


def fault_of(key: str) -> str | None:
    """What is wrong with a key's form, to be said behind "the key"; None: nothing."""
    if not _FORM.fullmatch(key):
        length = len(PREFIX) + RANDOM_CHARACTERS + _CHECKSUM_CHARACTERS
        return f"is none of this service's: expected {PREFIX} and {length - len(PREFIX)} letters and digits"
    body = key[:-_CHECKSUM_CHARACTERS]
    return None if key == body + _checksum(body) else "has a typing error: its checksum is wrong"


def _checksum(body: str) -> str:
    rest, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_CHARACTERS):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
