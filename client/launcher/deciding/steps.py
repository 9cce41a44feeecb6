"""The steps of a plan, as plain data: each says what it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.launcher.machine.address import SERVICE_PORT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from client.launcher.cloud import Flavor, Image, Keypair, Network, SecurityGroup, Server
    from client.launcher.machine.address import Ports

THIS_MACHINE = "this machine"


@dataclass(frozen=True)
class TakeFloatingAddress:
    """Take a public address."""

    network: Network

    def __str__(self) -> str:
        return f"take a floating IP from {self.network.name}"


@dataclass(frozen=True)
class MakeSecurityGroup:
    """Make a group that lets ranges of addresses in; `THIS_MACHINE` is resolved once it is known."""

    name: str
    ranges: tuple[str, ...]
    ports: Ports

    def __str__(self) -> str:
        everybody = [f"{_named(self.ports.public)} from everywhere"] if self.ports.public else []
        restricted = f"{_named(self.ports.restricted)} from {', '.join(self.ranges)}"
        return f"make security group {self.name}: {'; '.join([restricted, *everybody])}"


@dataclass(frozen=True)
class OpenPorts:
    """Let more ranges, or everybody, in through a group that exists; `ports` are those that are not open yet."""

    group: SecurityGroup
    ranges: tuple[str, ...]
    ports: Ports

    def __str__(self) -> str:
        opened = [(self.ports.restricted, ", ".join(self.ranges)), (self.ports.public, "everybody")]
        texts = [f"{_named(ports)} to {who}" for ports, who in opened if ports]
        return f"open in security group {self.group.name}: {'; '.join(texts)}"


@dataclass(frozen=True)
class MakeServer:
    """Boot the instance."""

    name: str
    image: Image
    flavor: Flavor
    network: Network
    keypair: Keypair
    user_data: str
    metadata: Mapping[str, str]

    def __str__(self) -> str:
        size = f"{self.flavor.name} ({_count(self.flavor.cores, 'core')}, {self.flavor.memory_mb} MB)"
        return (
            f"boot server {self.name}: image {self.image.name}, flavor {size}, network {self.network.name}, "
            f"keypair {self.keypair.name}, {len(self.user_data.encode())} bytes of user-data"
        )


@dataclass(frozen=True)
class StartServer:
    """Power on the instance that is off."""

    server: Server

    def __str__(self) -> str:
        return f"start server {self.server.name}, which is off"


@dataclass(frozen=True)
class JoinSecurityGroup:
    """Put the instance into its group."""

    server: Server

    def __str__(self) -> str:
        return f"put server {self.server.name} into its security group"


@dataclass(frozen=True)
class AwaitServer:
    """Wait until the cloud has booted the instance."""

    def __str__(self) -> str:
        return "wait until the cloud has booted it"


@dataclass(frozen=True)
class AttachFloatingAddress:
    """Point the public address at the instance."""

    def __str__(self) -> str:
        return "point the floating IP at it"


@dataclass(frozen=True)
class PushCode:
    """Push the commit over SSH, as soon as the instance takes it."""

    commit: str

    def __str__(self) -> str:
        return f"push commit {self.commit[:12]} over SSH"


@dataclass(frozen=True)
class AwaitService:
    """Wait until the service itself says that it is ready.

    One that has a name answers only once that points to it: until then its console tells.
    """

    domain: str | None = None

    def __str__(self) -> str:
        if self.domain is None:
            return f"wait until https://…:{SERVICE_PORT}/readyz answers 200"
        return f"wait until its console, or https://{self.domain}/readyz, says that it is ready"


@dataclass(frozen=True)
class AwaitSetUp:
    """Wait until a machine on which nothing serves has set itself up: its console tells."""

    def __str__(self) -> str:
        return "wait until its console says that it is ready"


@dataclass(frozen=True)
class Seal:
    """Remove from the instance what must not be in an image, and shut it down."""

    def __str__(self) -> str:
        return "remove identity, keys, secrets and data"


@dataclass(frozen=True)
class MakeImage:
    """Make an image of the instance; `properties` tell later launches what is in it."""

    name: str
    properties: Mapping[str, str]

    def __str__(self) -> str:
        return f"make image {self.name}"


@dataclass(frozen=True)
class DeleteInstance:
    """Delete what this run has made of the instance."""

    def __str__(self) -> str:
        return "delete the instance"


Step = (
    TakeFloatingAddress
    | MakeSecurityGroup
    | OpenPorts
    | MakeServer
    | StartServer
    | JoinSecurityGroup
    | AwaitServer
    | AttachFloatingAddress
    | PushCode
    | AwaitService
    | AwaitSetUp
    | Seal
    | MakeImage
    | DeleteInstance
)


def _named(ports: Sequence[int]) -> str:
    return f"port{'s' if len(ports) > 1 else ''} {' and '.join(map(str, ports))}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
