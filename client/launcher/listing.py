"""What runs: the instances that carry the launcher's marks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.launcher.deciding.labels import COMMIT, DOMAIN, PRODUCTION, role_of
from client.launcher.machine.address import preferred, service_url
from client.launcher.machine.role import Role

if TYPE_CHECKING:
    from client.launcher.cloud import Belongings, Server


@dataclass(frozen=True)
class Listed:
    """One instance, or what is left of one: then it has no server."""

    name: str
    status: str
    role: str | None
    url: str | None
    commit: str | None
    created: str | None
    server_id: str | None
    floating_addresses: tuple[str, ...]
    security_groups: tuple[str, ...]


def listed(belongings: Belongings) -> list[Listed]:
    """A line for each name."""
    return [_listed(name, belongings.of_name(name)) for name in belongings.names]


def _listed(name: str, own: Belongings) -> Listed:
    server = own.servers[0] if own.servers else None
    floating = tuple(each.address for each in own.floating_addresses)
    address = preferred(floating or (server.addresses if server is not None else ()))
    return Listed(
        name=name,
        status=server.status if server is not None else "no server",
        role=str(role_of(server.metadata)) if server is not None else None,
        url=_url(server, address),
        commit=server.metadata.get(COMMIT) if server is not None else None,
        created=server.created if server is not None else None,
        server_id=server.id if server is not None else None,
        floating_addresses=floating,
        security_groups=tuple(each.name for each in own.security_groups),
    )


def _url(server: Server | None, address: str | None) -> str | None:
    if server is None or address is None or role_of(server.metadata) == Role.DEVELOPMENT:
        return None
    return service_url(address, server.metadata.get(DOMAIN))


def pushing_to(production: str, belongings: Belongings) -> list[str]:
    """The names of the machines for development that push models to an instance."""
    return [
        server.mark.name
        for server in belongings.servers
        if server.mark is not None and server.metadata.get(PRODUCTION) == production
    ]
