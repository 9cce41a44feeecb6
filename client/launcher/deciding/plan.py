"""What the launcher will do, as plain data: a plan is a list of steps, made of what is wanted and what exists. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.launcher.cloud import Belongings, Rule
from client.launcher.deciding.labels import COMMIT, MODE, ORIGIN
from client.launcher.machine.address import PORTS, SERVICE_PORT

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
    from client.launcher.deciding.preflight import Choices
    from client.launcher.deciding.request import LaunchRequest
    from client.launcher.machine.repository import Code

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
    ranges: tuple[str, ...],
    code: Code,
    user_data: str,
) -> Plan:
    """What is left to do for the instance.

    `ranges` of addresses may reach it; none: this machine.
    """
    server = choices.server
    steps: tuple[Step, ...] = (
        *([TakeFloatingAddress(choices.floating_network)] if choices.floating_network is not None else []),
        *_open(request.name, choices, existing, ranges or (THIS_MACHINE,)),
        *_boot(request.name, choices, code, user_data),
        AwaitServer(),
        *_join(choices, existing),
        *([AttachFloatingAddress()] if _needs_attaching(choices, existing) else []),
        *_wait(request, server, code),
    )
    notes = choices.notes + _notes(server, code)
    return Plan(request.name, steps, existing, choices.security_group, notes=notes)


def _open(name: str, choices: Choices, existing: Belongings, ranges: tuple[str, ...]) -> list[Step]:
    if choices.security_group is not None:
        return []
    if not existing.security_groups:
        return [MakeSecurityGroup(f"celeriac-{name}", ranges)]
    group = existing.security_groups[0]
    missing = tuple(each for each in ranges if not rules_for(each) <= group.rules)
    return [OpenPorts(group, missing)] if missing else []


def rules_for(addresses: str) -> frozenset[Rule]:
    """What lets one range of addresses in."""
    return frozenset(Rule(port, addresses) for port in PORTS)


def _boot(name: str, choices: Choices, code: Code, user_data: str) -> list[Step]:
    if choices.server is None:
        return [_make_server(name, choices, code, user_data)]
    return [StartServer(choices.server)] if choices.server.status == "SHUTOFF" else []


def _make_server(name: str, choices: Choices, code: Code, user_data: str) -> MakeServer:
    chosen = (choices.image, choices.flavor, choices.network, choices.keypair)
    image, flavor, network, keypair = chosen
    if image is None or flavor is None or network is None or keypair is None:
        raise ValueError("a plan is made of a preflight without faults")
    metadata = {COMMIT: code.commit, ORIGIN: code.origin[:255], MODE: str(choices.mode)}
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


def _wait(request: LaunchRequest, server: Server | None, code: Code) -> list[Step]:
    if not request.waits:
        return []
    return (
        [PushCode(code.commit), AwaitService()]
        if code.is_uploaded and _runs(server, code)
        else [AwaitService()]
    )


def _runs(server: Server | None, code: Code) -> bool:
    """Whether the server is, or will be, of this commit."""
    return server is None or server.metadata.get(COMMIT) == code.commit


def _notes(server: Server | None, code: Code) -> tuple[str, ...]:
    if server is None:
        return ()
    notes = [f"{server.name} exists ({server.id}): the launcher adds what is missing of it"]
    if not _runs(server, code):
        commit = server.metadata.get(COMMIT, "unknown")
        notes.append(
            f"it was launched with commit {commit[:12]}, not {code.commit[:12]}; "
            f"to upgrade it: sudo celeriac deploy {code.commit}"
        )
    return tuple(notes)


def _ports() -> str:
    return " and ".join(map(str, PORTS))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
