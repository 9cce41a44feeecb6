"""Addresses of instances: which one counts, its ports, and what its service's URL is. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SSH_PORT, SERVICE_PORT = 22, 5100
PORTS = (SSH_PORT, SERVICE_PORT)


def preferred(addresses: Sequence[str]) -> str | None:
    """Of a server's own addresses the first of IPv4, on which the service listens; None if there is none at all."""
    return next((each for each in addresses if ":" not in each), addresses[0] if addresses else None)


def service_url(address: str) -> str:
    """Where the service of an instance answers, with a certificate of the instance's own."""
    host = f"[{address}]" if ":" in address else address
    return f"https://{host}:{SERVICE_PORT}"
