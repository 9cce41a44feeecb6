"""What the launcher will do, as plain data: a plan is a list of steps, made of what is wanted and what exists. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.launcher.cloud import Belongings, Rule
from client.launcher.labels import COMMIT, MODE, ORIGIN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from client.launcher.cloud import (
        Flavor,
        Image,
        Keypair,
        Network,
        SecurityGroup,
        Server,
    )
    from client.launcher.preflight import Choices
    from client.launcher.request import LaunchRequest
    from client.launcher.source import Source

SSH_PORT, SERVICE_PORT = 22, 5100
PORTS = (SSH_PORT, SERVICE_PORT)
THIS_MACHINE = "this machine"


@dataclass(frozen=True)
class TakeFloatingAddress:
    """Take a public address."""

    network: Network

    def __str__(self) -> str:
        return f"take a floating IP from {self.network.name}"


@dataclass(frozen=True)
class MakeSecurityGroup:
    """Make a group that lets the sources reach the two ports; `THIS_MACHINE` is resolved when the address is known."""

    name: str
    sources: tuple[str, ...]

    def __str__(self) -> str:
        return f"make security group {self.name}: ports {_ports()} from {', '.join(self.sources)}"


@dataclass(frozen=True)
class OpenPorts:
    """Let more sources in through a group that exists."""

    group: SecurityGroup
    sources: tuple[str, ...]

    def __str__(self) -> str:
        return f"open ports {_ports()} of security group {self.group.name} to {', '.join(self.sources)}"


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
        return f"wait until http://…:{SERVICE_PORT}/readyz answers 200"


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
)


@dataclass(frozen=True)
class Plan:
    """The steps that make one instance answer, in order, and what of it exists already."""

    name: str
    steps: tuple[Step, ...]
    existing: Belongings
    security_group: SecurityGroup | None
    notes: tuple[str, ...] = ()


def make_plan(
    request: LaunchRequest,
    choices: Choices,
    existing: Belongings,
    *,
    sources: tuple[str, ...],
    source: Source,
    user_data: str,
) -> Plan:
    """What is left to do for the instance.

    `sources` are the ranges of addresses that may reach it; empty: this machine.
    """
    server = choices.server
    steps: tuple[Step, ...] = (
        *([TakeFloatingAddress(choices.floating_network)] if choices.floating_network is not None else []),
        *_open(request.name, choices, existing, sources or (THIS_MACHINE,)),
        *_boot(request.name, choices, source, user_data),
        AwaitServer(),
        *_join(choices, existing),
        *([AttachFloatingAddress()] if _needs_attaching(choices, existing) else []),
        *_wait(request, server, source),
    )
    notes = choices.notes + _notes(server, source)
    return Plan(request.name, steps, existing, choices.security_group, notes=notes)


def _open(name: str, choices: Choices, existing: Belongings, sources: tuple[str, ...]) -> list[Step]:
    if choices.security_group is not None:
        return []
    if not existing.security_groups:
        return [MakeSecurityGroup(f"celeriac-{name}", sources)]
    group = existing.security_groups[0]
    missing = tuple(source for source in sources if not rules_for(source) <= group.rules)
    return [OpenPorts(group, missing)] if missing else []


def rules_for(source: str) -> frozenset[Rule]:
    """What lets one range of addresses in."""
    return frozenset(Rule(port, source) for port in PORTS)


def _boot(name: str, choices: Choices, source: Source, user_data: str) -> list[Step]:
    if choices.server is None:
        return [_make_server(name, choices, source, user_data)]
    return [StartServer(choices.server)] if choices.server.status == "SHUTOFF" else []


def _make_server(name: str, choices: Choices, source: Source, user_data: str) -> MakeServer:
    chosen = (choices.image, choices.flavor, choices.network, choices.keypair)
    image, flavor, network, keypair = chosen
    if image is None or flavor is None or network is None or keypair is None:
        raise ValueError("a plan is made of a preflight without faults")
    metadata = {COMMIT: source.commit, ORIGIN: source.origin[:255], MODE: str(choices.mode)}
    return MakeServer(name, image, flavor, network, keypair, user_data=user_data, metadata=metadata)


def _join(choices: Choices, existing: Belongings) -> list[Step]:
    if choices.server is None:
        return []
    group = choices.security_group
    groups = existing.security_groups if group is None else (group,)
    is_member = any({each.id, each.name} & set(choices.server.security_groups) for each in groups)
    return [] if is_member else [JoinSecurityGroup(choices.server)]


def _needs_attaching(choices: Choices, existing: Belongings) -> bool:
    address = existing.usable_address
    return choices.floating_network is not None or (address is not None and address.server_id is None)


def _wait(request: LaunchRequest, server: Server | None, source: Source) -> list[Step]:
    if not request.waits:
        return []
    return (
        [PushCode(source.commit), AwaitService()]
        if source.is_uploaded and _runs(server, source)
        else [AwaitService()]
    )


def _runs(server: Server | None, source: Source) -> bool:
    """Whether the server is, or will be, of this commit."""
    return server is None or server.metadata.get(COMMIT) == source.commit


def _notes(server: Server | None, source: Source) -> tuple[str, ...]:
    if server is None:
        return ()
    notes = [f"{server.name} exists ({server.id}): the launcher adds what is missing of it"]
    if not _runs(server, source):
        commit = server.metadata.get(COMMIT, "unknown")
        notes.append(
            f"it was launched with commit {commit[:12]}, not {source.commit[:12]}; "
            f"to upgrade it: sudo celeriac deploy {source.commit}"
        )
    return tuple(notes)


def _ports() -> str:
    return " and ".join(map(str, PORTS))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
