"""What a plan has made so far."""

from __future__ import annotations

from dataclasses import dataclass

from client.launcher.machine.address import service_url
from client.launcher.machine.role import Role


@dataclass(frozen=True)
class Instance:
    """What has come of a plan so far; the empty string is not known yet."""

    name: str
    server_id: str = ""
    address: str = ""
    floating_address_id: str = ""
    security_group_id: str = ""
    login: str = ""
    host_keys: tuple[str, ...] = ()
    certificate: str = ""
    """The SHA-256 of the service's, as its console told it."""
    domain: str | None = None
    takes_pushes: bool = False
    """Whether it has a repository for models."""
    role: Role = Role.PRODUCTION
    push_key: str = ""
    """Of a machine for development: the public key by which it pushes models, as its console told it."""
    has_answered: bool = False
    """Whether the service has said at its URL that it is ready."""

    @property
    def url(self) -> str:
        """Where the service answers."""
        return service_url(self.address, self.domain)
