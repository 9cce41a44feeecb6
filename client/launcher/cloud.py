"""What the launcher needs of a cloud, as frozen values and one protocol. It knows no cloud's library.

Everything that the launcher makes carries a `Mark` from the moment it exists: that is how a second run finds it, how
an interrupted one is undone, and why nothing else is ever deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence


@dataclass(frozen=True)
class Mark:
    """Whose a resource is: the instance's name, and the run of the launcher that made it."""

    name: str
    run: str


@dataclass(frozen=True)
class Account:
    """Who we are in the cloud, and the host name or address of its identity service."""

    project: str
    project_id: str
    user: str
    host: str
    region: str | None


@dataclass(frozen=True)
class Image:
    """A disk image. `properties` are strings, such as `os_distro`; sizes are minima that the image asks for."""

    id: str
    name: str
    status: str
    min_disk_gb: int = 0
    min_memory_mb: int = 0
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        return self.status == "active"


@dataclass(frozen=True)
class Flavor:
    """A size of instance. A disk of 0 GB is as large as the image."""

    id: str
    name: str
    cores: int
    memory_mb: int
    disk_gb: int


@dataclass(frozen=True)
class Network:
    """A network that the project sees: external ones have floating addresses, servers are attached to the others."""

    id: str
    name: str
    is_external: bool


@dataclass(frozen=True)
class Keypair:
    """A public SSH key that the cloud can put into instances. Its name is its id; empty: the cloud does not show it."""

    id: str
    name: str
    public_key: str = ""


@dataclass(frozen=True, order=True)
class Rule:
    """One TCP port, open from one range of addresses (CIDR)."""

    port: int
    source: str


@dataclass(frozen=True)
class SecurityGroup:
    """A group of rules. `mark` is None for one that the launcher did not make."""

    id: str
    name: str
    rules: frozenset[Rule] = frozenset()
    mark: Mark | None = None


@dataclass(frozen=True)
class FloatingAddress:
    """A public address; `server_id` is None while it points nowhere."""

    id: str
    address: str
    network_id: str
    server_id: str | None = None
    mark: Mark | None = None


@dataclass(frozen=True)
class Server:
    """An instance as the cloud sees it.

    `status` is the compute service's: BUILD, ACTIVE, SHUTOFF, ERROR …; `task` what it is doing right now, such as
    `scheduling`, `networking`, `spawning`; `fault` what it says of an ERROR; `addresses` are the fixed ones.
    """

    id: str
    name: str
    status: str
    created: str
    task: str | None = None
    fault: str | None = None
    addresses: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    security_groups: tuple[str, ...] = ()
    mark: Mark | None = None


@dataclass(frozen=True)
class ServerRequest:
    """The server to make. `user_data` is the plain text; the adapter compresses and encodes it.

    `metadata` is the caller's own.
    """

    name: str
    image_id: str
    flavor_id: str
    network_id: str
    keypair: str
    security_group_id: str
    user_data: str
    metadata: Mapping[str, str]
    mark: Mark


@dataclass(frozen=True)
class Quota:
    """How much of each resource the project may still take; None is without limit."""

    instances: int | None
    cores: int | None
    memory_mb: int | None
    floating_addresses: int | None
    security_groups: int | None


@dataclass(frozen=True)
class Inventory:
    """What the project may choose from and how much of it, as read before anything is made."""

    account: Account
    images: Sequence[Image]
    flavors: Sequence[Flavor]
    networks: Sequence[Network]
    keypairs: Sequence[Keypair]
    security_groups: Sequence[SecurityGroup]
    quota: Quota


Marked = TypeVar("Marked", Server, FloatingAddress, SecurityGroup)


@dataclass(frozen=True)
class Belongings:
    """Everything that carries the marks of some instance."""

    servers: tuple[Server, ...] = ()
    floating_addresses: tuple[FloatingAddress, ...] = ()
    security_groups: tuple[SecurityGroup, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.servers or self.floating_addresses or self.security_groups)

    @property
    def names(self) -> list[str]:
        """The names of the instances, in alphabetical order."""
        found: tuple[Server | FloatingAddress | SecurityGroup, ...]
        found = (*self.servers, *self.floating_addresses, *self.security_groups)
        return sorted({each.mark.name for each in found if each.mark is not None})

    @property
    def usable_address(self) -> FloatingAddress | None:
        """Of one instance: the floating address that points at its server; else one that points nowhere."""
        own = {server.id for server in self.servers}
        pointing = (each for each in self.floating_addresses if each.server_id in own)
        free = (each for each in self.floating_addresses if each.server_id is None)
        return next(pointing, None) or next(free, None)

    def of_name(self, name: str) -> Belongings:
        """Those of one instance."""
        return self.of_names([name])

    def of_names(self, names: Collection[str]) -> Belongings:
        """Those of some instances."""
        return self._where(lambda mark: mark.name in names)

    def of_run(self, run: str) -> Belongings:
        """Those that one run of the launcher made."""
        return self._where(lambda mark: mark.run == run)

    def _where(self, is_wanted: Callable[[Mark], bool]) -> Belongings:
        def of(found: tuple[Marked, ...]) -> tuple[Marked, ...]:
            return tuple(each for each in found if each.mark is not None and is_wanted(each.mark))

        return Belongings(of(self.servers), of(self.floating_addresses), of(self.security_groups))


class Cloud(Protocol):
    """A project in a cloud. Every call blocks; none waits for a change to take effect, unless it says so.

    Every call may raise:
        InputError: The credentials are not there or make no sense.
        Refused: The cloud said no; `unauthorized`, `forbidden`, `quota_exceeded`, `not_found`, `conflict` or `invalid`.
        Unavailable: The cloud does not answer, or answered that it cannot.
    """

    def inventory(self) -> Inventory:
        """Read what there is to choose from: one call for each kind of resource."""
        ...

    def belongings(self) -> Belongings:
        """Everything in the project that carries a mark, oldest first, without servers that are being deleted."""
        ...

    def create_security_group(self, name: str, rules: Sequence[Rule], *, mark: Mark) -> SecurityGroup:
        """Make a group that lets in what the rules say, from nowhere else, and everything out."""
        ...

    def open_port(self, group_id: str, rule: Rule) -> None:
        """Add a rule to a group; one that is there already is left."""
        ...

    def create_floating_address(self, network_id: str, *, mark: Mark) -> FloatingAddress:
        """Take an address from an external network."""
        ...

    def create_server(self, request: ServerRequest) -> Server:
        """Ask for a server with a config drive."""
        ...

    def attach(self, floating_address_id: str, server_id: str) -> None:
        """Point a floating address at a server that has a port.

        Raises:
            Refused: With code `conflict` while another one points at it.
        """
        ...

    def add_security_group(self, server_id: str, group_id: str) -> None:
        """Put every port of a server into a group, beside those that it is in."""
        ...

    def server(self, server_id: str) -> Server | None:
        """The server as it stands; None when it is gone."""
        ...

    def console(self, server_id: str, *, lines: int | None = None) -> str:
        """The end of what the server wrote to its serial console, or all of it; empty while there is none."""
        ...

    def start_server(self, server_id: str) -> None:
        """Power a server on that is off."""
        ...

    def stop_server(self, server_id: str) -> None:
        """Ask a server to shut down."""
        ...

    def delete_server(self, server_id: str) -> None:
        """Delete a server; one that is gone is fine. Its floating address stays."""
        ...

    def delete_floating_address(self, floating_address_id: str) -> None:
        """Give an address back; one that is gone is fine."""
        ...

    def delete_security_group(self, group_id: str) -> None:
        """Delete a group; one that is gone is fine.

        Raises:
            Refused: With code `conflict` while a server still uses it.
        """
        ...

    def create_image(self, server_id: str, name: str, *, properties: Mapping[str, str]) -> Image:
        """Make an image of a server that is off; it is not active at once."""
        ...

    def image(self, image_id: str) -> Image | None:
        """The image as it stands; None when it is gone."""
        ...

    def delete_image(self, image_id: str) -> None:
        """Delete an image; one that is gone is fine."""
        ...
