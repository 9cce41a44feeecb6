"""What our own server does for an application in one step, where ASGI takes several: an extension of the scope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

AT_ONCE = "celeriac.at_once"
"""Its name among a scope's extensions; other servers have none, and ASGI's own way is always open."""


class AtOnce(Protocol):
    """One request and its answer. Each method does all of it, or nothing."""

    def take_body(self) -> bytes | None:
        """The whole body, if it has come and nobody has taken any of it; None: it is to be received."""

    def answer(self, head: bytes, body: bytes) -> bool:
        """Send an answer with status 200; false: it is to be sent the other way, which waits or knows better.

        `head` are header lines, with Content-Length, of nothing that a client could have made up.
        """


def at_once_of(scope: Mapping[str, Any]) -> AtOnce | None:
    """What the server of a scope can do so, if anything."""
    found: AtOnce | None = scope.get("extensions", {}).get(AT_ONCE)
    return found
