"""Addresses of instances: which one counts, which ports are open, and what the service's URL is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.launcher.machine.role import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

SSH_PORT, SERVICE_PORT, HTTP_PORT, HTTPS_PORT = 22, 5100, 80, 443


@dataclass(frozen=True)
class Ports:
    """The ports of an instance: those that ranges of addresses may reach, and those that everybody may."""

    restricted: tuple[int, ...]
    public: tuple[int, ...] = ()


def ports_of(domain: str | None, role: Role = Role.PRODUCTION) -> Ports:
    """What is open of an instance that has a name in the DNS, or none; of a machine for development, SSH alone.

    An authority asks at port 80, from anywhere, whether a name is the instance's.
    """
    if role == Role.DEVELOPMENT:
        return Ports((SSH_PORT,))
    if domain is None:
        return Ports((SSH_PORT, SERVICE_PORT))
    return Ports((SSH_PORT, HTTPS_PORT), (HTTP_PORT,))


def preferred(addresses: Sequence[str]) -> str | None:
    """Of a server's own addresses the first of IPv4, on which the service listens; None if there is none at all."""
    return next((each for each in addresses if ":" not in each), addresses[0] if addresses else None)


def service_url(address: str, domain: str | None = None) -> str:
    """Where the service of an instance answers: by its name; else at its address, with a certificate of its own."""
    return f"https://{domain}" if domain is not None else f"https://{host_of(address)}:{SERVICE_PORT}"


def host_of(address: str) -> str:
    """An address as it stands in a URL."""
    return f"[{address}]" if ":" in address else address
