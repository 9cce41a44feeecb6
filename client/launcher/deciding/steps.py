"""The steps of a plan, as plain data: each says what it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.launcher.machine.address import PORTS, SERVICE_PORT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from client.launcher.cloud import Flavor, Image, Keypair, Network, SecurityGroup, Server

THIS_MACHINE = "this machine"


@dataclass(frozen=True)
class TakeFloatingAddress:
    """Take a public address."""

    network: Network

    def __str__(self) -> str:
        return f"take a floating IP from {self.network.name}"


@dataclass(frozen=True)
class MakeSecurityGroup:
    """Make a group that lets ranges of addresses reach both ports; `THIS_MACHINE` is resolved once it is known."""

    name: str
    ranges: tuple[str, ...]

    def __str__(self) -> str:
        return f"make security group {self.name}: ports {_ports()} from {', '.join(self.ranges)}"


@dataclass(frozen=True)
class OpenPorts:
    """Let more ranges in through a group that exists."""

    group: SecurityGroup
    ranges: tuple[str, ...]

    def __str__(self) -> str:
        return f"open ports {_ports()} of security group {self.group.name} to {', '.join(self.ranges)}"


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
    """Wait until the service itself says that it is ready."""

    def __str__(self) -> str:
        return f"wait until https://…:{SERVICE_PORT}/readyz answers 200"


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
    | Seal
    | MakeImage
    | DeleteInstance
)


def _ports() -> str:
    return " and ".join(map(str, PORTS))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
