"""Whom a request comes from: the other end of its connection, or whom proxies name that this service was told of.

uvicorn has a middleware for this, which was tried: it takes whatever the header holds for an address, and does not know
a proxy whose IPv4 address comes as IPv6 (`::ffff:10.0.0.2`, where HOST is `::`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from production_server.access.addresses import REMEMBERED, ip_of
from production_server.web.edge.headers import Headers

log = logging.getLogger(__name__)

Network = IPv4Network | IPv6Network
SCHEMES = frozenset({"http", "https"})
MOST_PROXIES = 20
"""So many stand behind each other at most: what else a header of 64 KiB holds is not looked at."""


class Proxies:
    """Proxies that are believed. Safe to share; never blocks."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)
        self._has_told = False
        self._is_known = lru_cache(REMEMBERED)(self._judge)

    def resolved(self, scope: Mapping[str, Any]) -> Mapping[str, Any]:
        """An ASGI scope with the client, and the scheme, of the request that a proxy passes on here."""
        peer = scope.get("client")
        if not self._networks or peer is None or not self._is_known(peer[0]):
            return scope
        told = {b"x-forwarded-for": b"", b"x-forwarded-proto": b""}
        for name, value in scope["headers"]:
            if name in told:
                # What comes twice is one list (RFC 9110, 5.3).
                told[name] = told[name] + b"," + value if told[name] else value
        client = self._client_of(peer, told[b"x-forwarded-for"].decode("latin-1"))
        scheme = told[b"x-forwarded-proto"].decode("latin-1").rpartition(",")[2].strip().lower()
        return {
            **scope,
            "client": client,
            "scheme": scheme if scheme in SCHEMES else scope.get("scheme", "http"),
        }

    def tell_of_unnamed(self, peer: str, headers: Headers) -> None:
        """Log once that a proxy on this machine is not believed: all that it passes on counts as this machine's own."""
        if self._has_told or headers.get("x-forwarded-for") is None or self._is_known(peer):
            return
        self._has_told = True
        log.warning(
            "a proxy at %s passes requests on, and PROXIES does not name it: no limit holds for them", peer
        )

    def _client_of(self, peer: tuple[str, int], forwarded: str) -> tuple[str, int]:
        """Each proxy adds at the right whom it has the request from: the first from there that is none itself."""
        for hop in reversed(forwarded.rsplit(",", MOST_PROXIES)):
            address = _without_port(hop.strip())
            if ip_of(address) is None:
                # Nothing, or a word of the proxy that has added it: what stands before it may be anybody's.
                break
            peer = address, 0
            if not self._is_known(address):
                break
        return peer

    def _judge(self, address: str) -> bool:
        found = ip_of(address)
        return found is not None and any(found in network for network in self._networks)


def _without_port(text: str) -> str:
    """`192.0.2.7:4711` and `[2001:db8::1]:4711`, as some proxies write them, without what is no address."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
