"""The web's door: what is asked of every request before anything else. Who is it, may it, is it not too much?

Calls on the event loop and Flask's requests ask the same door, each in one place: `interactive.front` and `flask_door`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from production_server.web.edge.headers import Headers
from production_server.web.edge.sites import Sites

OPEN_TO_ALL = frozenset(
    {"health.livez", "health.readyz", "protocols.live", "protocols.ready", "pages.static"}
)
"""Operations that need nobody's leave: probes have no keys, and a page that says no needs its styles."""


class Asking(NamedTuple):
    """A request as the door sees it: not what it brings, but who brings it, and what for."""

    # No dataclass: a frozen one takes three times as long to make, and each call makes one.

    operation: str
    """What is asked for: Flask's endpoint (`jobs.submit`; `none` at a path that is none), `calls.v1` or `calls.v2`."""
    method: str
    path: str
    headers: Headers
    peer: str
    """The address at the other end of the connection: a proxy's, if there is one."""


def asking_of(operation: str, scope: Mapping[str, Any], headers: Headers) -> Asking:
    """What an ASGI scope and its headers ask."""
    peer = scope.get("client")
    return Asking(operation, scope["method"], scope["path"], headers, peer[0] if peer else "")


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: jobs and idempotency keys belong to a client of this name."""

    name: str


class Door(Protocol):
    """Lets clients in, or does not. Called by the event loop and by many threads at once."""

    def admit(self, asking: Asking, /) -> Client:
        """Who it is. Never blocks: a call on the event loop would make all others wait.

        Raises:
            CeleriacError: this request is refused; it is answered as any error is.
        """


ANONYMOUS = Client("anonymous")


class OpenDoor:
    """A door that lets everybody in, and knows nobody."""

    def admit(self, _asking: Asking, /) -> Client:
        return ANONYMOUS


@dataclass(frozen=True, slots=True)
class Entrance:
    """What every request passes, in both halves: whether a browser may send it at all, then who it is."""

    sites: Sites
    door: Door

    def enter(self, asking: Asking) -> Client:
        """Who it is. Never blocks. Is asked again, by Flask, about a request whose body is long.

        Raises:
            CeleriacError: this request is refused.
        """
        self.sites.check(asking.method, asking.headers)
        return ANONYMOUS if asking.operation in OPEN_TO_ALL else self.door.admit(asking)
