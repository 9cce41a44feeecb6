"""What an address counts as, where a limit is kept by it."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

REMEMBERED = 4096
"""Addresses that are read once: each request has one."""
NETWORK_BITS = 64
"""Of IPv6: the least that one customer gets (RFC 6177), in which there are more addresses than anybody can count."""


def ip_of(text: str) -> IPv4Address | IPv6Address | None:
    """The address that a text is, as IPv4 where IPv6 only carries it (`::ffff:192.0.2.7`); None: it is none."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (isinstance(found, IPv6Address) and found.ipv4_mapped) or found


@lru_cache(REMEMBERED)
def counted_as(address: str) -> str | None:
    """What is counted together with an address; None: nothing is counted, it is this machine's own.

    What is no address counts as what it is; empty, as of a socket that has none, it is this machine.
    """
    found = ip_of(address)
    if found is None:
        return address[:NETWORK_BITS] or None
    if found.is_loopback:
        return None
    if isinstance(found, IPv4Address):
        return str(found)
    network = int(found) >> NETWORK_BITS << NETWORK_BITS
    return f"{IPv6Address(network)}/{NETWORK_BITS}"
