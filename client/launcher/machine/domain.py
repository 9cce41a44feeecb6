"""The name in the DNS that an instance has: what can be one. Pure."""

from __future__ import annotations

import re

from client.errors import InputError

MAX_CHARACTERS = 253

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last label is no number: else it would be an address.
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+(?=[a-z0-9-]*[a-z]){_LABEL}")


def checked_domain(domain: str) -> str:
    """A name of an instance, in lower case.

    Raises:
        InputError: Nothing can have this name, or it is more than a name.
    """
    name = domain.lower()
    # In lower case the Kelvin sign is a k.
    if domain.isascii() and len(name) <= MAX_CHARACTERS and _DOMAIN.fullmatch(name):
        return name
    raise InputError(
        "--domain takes a name such as celeriac.example.org: no scheme, no port, no wildcard, no dot at the end, other "
        f"letters than a to z as xn--…; got {domain!r}"
    )
