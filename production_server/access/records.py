"""What goes into and comes out of this package: frozen values, no rows."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import NamedTuple

from production_server.access.scopes import EVERYTHING, Scope
from production_server.jobs.records import ANONYMOUS_NAME

LONGEST_NAME = 64
"""Of a client, and of a key."""
CLIENT_RULE = f"1 to {LONGEST_NAME} letters, digits and any of . _ - @"
_CLIENT_NAME = re.compile(rf"[\w.@-]{{1,{LONGEST_NAME}}}")


def is_client_name(text: str) -> bool:
    """Whether a client may be called so: `CLIENT_RULE`."""
    return _CLIENT_NAME.fullmatch(text) is not None


class Client(NamedTuple):
    """Who asks: jobs, scans, results and idempotency keys belong to a client of this name."""

    # No dataclass: a frozen one takes three times as long to make, and each call makes one.

    name: str
    scopes: frozenset[Scope]
    key_id: str = ""
    """Of the key that proved it; empty: nobody had to."""
    key_name: str = ""
    session_id: str = ""
    """Of the session in which it asks, if a browser does."""

    @property
    def is_admin(self) -> bool:
        """Whether it may see what belongs to others."""
        return Scope.ADMIN in self.scopes

    def may(self, scope: Scope) -> bool:
        """Whether it may do that."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def acting(self, address: str, request_id: str) -> Actor:
        """Who does what a request asks for."""
        return Actor(self.name, self.key_id, address, request_id, self.session_id)


ANONYMOUS = Client(ANONYMOUS_NAME, EVERYTHING)
"""Who asks a service that needs no keys: nobody is kept from anything."""
NOBODY = Client(ANONYMOUS_NAME, frozenset())
"""Who asks for what needs nobody's leave, and so was not asked who it is."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and from where, as the audit tells it."""

    client: str
    """Empty: nobody knows who it was."""
    key_id: str = ""
    """The public part of the key that was brought; empty: none."""
    address: str = ""
    """Empty: on the machine itself."""
    request_id: str = ""
    session_id: str = ""
    """Of the session in which it acts, if a browser does."""

    def to_json(self) -> dict[str, str]:
        """As it is kept of what is done later."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """A key as it is stored, without what proves it; times are seconds since the Unix epoch, UTC."""

    id: str
    """The key's public part."""
    name: str
    client: str
    scopes: frozenset[Scope]
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    used_at: float | None
    """Roughly when it was used last: it is noted once a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What somebody wants a key for."""

    name: str
    client: str
    scopes: frozenset[Scope]
    expires_in_s: float | None = None
