"""What the launcher will do: a plan is a list of steps, made of what is wanted and what exists. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.launcher.cloud import Belongings, Rule
from client.launcher.deciding.labels import (
    COMMIT,
    DOMAIN,
    IMAGE_PREFIX,
    MODE,
    ORIGIN,
    PRODUCTION,
    ROLE,
    TAKES_PUSHES,
)
from client.launcher.deciding.steps import (
    THIS_MACHINE,
    AttachFloatingAddress,
    AwaitServer,
    AwaitService,
    AwaitSetUp,
    DeleteInstance,
    JoinSecurityGroup,
    MakeImage,
    MakeSecurityGroup,
    MakeServer,
    OpenPorts,
    PushCode,
    Seal,
    StartServer,
    TakeFloatingAddress,
)
from client.launcher.machine.address import Ports, ports_of
from client.launcher.machine.container_images import ImageSource
from client.launcher.machine.role import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from client.launcher.cloud import SecurityGroup, Server
    from client.launcher.deciding.preflight import Choices
    from client.launcher.deciding.request import LaunchRequest
    from client.launcher.deciding.steps import Step
    from client.launcher.machine.repository import Code


EVERYBODY = ("0.0.0.0/0",)
NO_PORTS = Ports(())


@dataclass(frozen=True)
class Plan:
    """The steps that make one instance answer, in order, and what of it exists already.

    `domain` is the name in the DNS that it has, `takes_pushes` whether it has a repository for models,
    `role` what it is for.
    """

    name: str
    steps: tuple[Step, ...]
    existing: Belongings
    security_group: SecurityGroup | None
    domain: str | None = None
    takes_pushes: bool = False
    role: Role = Role.PRODUCTION
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
    steps: tuple[Step, ...] = (
        *([TakeFloatingAddress(choices.floating_network)] if choices.floating_network is not None else []),
        *_open(request.name, choices, existing, ranges or (THIS_MACHINE,)),
        *_boot(request.name, choices, code, user_data),
        AwaitServer(),
        *_join(choices, existing),
        *([AttachFloatingAddress()] if _needs_attaching(choices, existing) else []),
        *_wait(request, choices, code),
        *_bake(request, choices, code),
    )
    notes = (*choices.notes, *_notes_on_group(choices), *_notes(request, choices, code))
    return Plan(
        request.name,
        steps,
        existing,
        choices.security_group,
        domain=choices.domain,
        takes_pushes=choices.takes_pushes,
        role=choices.role,
        notes=notes,
    )


def _open(name: str, choices: Choices, existing: Belongings, ranges: tuple[str, ...]) -> list[Step]:
    if choices.security_group is not None:
        return []
    ports = ports_of(choices.domain, choices.role)
    if not existing.security_groups:
        return [MakeSecurityGroup(f"celeriac-{name}", ranges, ports)]
    group = existing.security_groups[0]
    missing = tuple(each for each in ranges if not rules_for([each], ports.restricted) <= group.rules)
    closed = Ports(
        restricted=ports.restricted if missing else (),
        public=() if rules_for(EVERYBODY, ports.public) <= group.rules else ports.public,
    )
    return [OpenPorts(group, missing, closed)] if closed != NO_PORTS else []


def rules_for(ranges: Iterable[str], ports: Sequence[int]) -> frozenset[Rule]:
    """What lets ranges of addresses reach ports."""
    return frozenset(Rule(port, addresses) for addresses in ranges for port in ports)


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
    metadata |= {DOMAIN: choices.domain} if choices.domain is not None else {}
    metadata |= {TAKES_PUSHES: "yes"} if choices.takes_pushes else {}
    metadata |= {ROLE: str(choices.role)} if choices.role == Role.DEVELOPMENT else {}
    metadata |= {PRODUCTION: choices.production} if choices.production is not None else {}
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


def _wait(request: LaunchRequest, choices: Choices, code: Code) -> list[Step]:
    if not request.waits:
        return []
    waiting = AwaitSetUp() if choices.role == Role.DEVELOPMENT else AwaitService(choices.domain)
    is_pushed = code.is_uploaded and _runs(choices.server, code)
    return [PushCode(code.commit), waiting] if is_pushed else [waiting]


def _bake(request: LaunchRequest, choices: Choices, code: Code) -> list[Step]:
    if request.baked_image is None:
        return []
    prefix = container_images(request, choices).prefix
    properties = {COMMIT: code.commit, MODE: str(choices.mode)}
    properties |= {IMAGE_PREFIX: prefix} if prefix is not None else {}
    made: list[Step] = [Seal(), MakeImage(request.baked_image, properties)]
    return made if request.keeps else [*made, DeleteInstance()]


def container_images(request: LaunchRequest, choices: Choices) -> ImageSource:
    """Where container images are from: a baked image has those of one registry, by their names there."""
    if request.images.prefix is not None or choices.image is None:
        return request.images
    return ImageSource(choices.image.properties.get(IMAGE_PREFIX))


def _runs(server: Server | None, code: Code) -> bool:
    """Whether the server is, or will be, of this commit."""
    return server is None or server.metadata.get(COMMIT) == code.commit


def _notes_on_group(choices: Choices) -> tuple[str, ...]:
    """What is not open in a group that is not the instance's own, as far as its rules tell."""
    group, public = choices.security_group, ports_of(choices.domain, choices.role).public
    if group is None or rules_for(EVERYBODY, public) <= group.rules:
        return ()
    without = f"without port {public[0]} open to everybody {choices.domain} gets no certificate"
    return (f"security group {group.name} is not changed: {without}",)


def _notes(request: LaunchRequest, choices: Choices, code: Code) -> tuple[str, ...]:
    server = choices.server
    if server is None:
        return ()
    notes = [f"{server.name} exists ({server.id}): the launcher adds what is missing of it"]
    if request.domain not in {None, choices.domain}:
        notes.append(
            f"it was launched with {choices.domain or 'no name'}, not {request.domain}; "
            "to change that: docs/launch.md#a-name"
        )
    if request.takes_pushes and not choices.takes_pushes:
        notes.append("it was launched without a repository for models, and gets none")
    elif request.push_keys:
        notes.append("who may push is said there, once it was launched: sudo celeriac push-keys add")
    if not _runs(server, code):
        commit = server.metadata.get(COMMIT, "unknown")
        notes.append(
            f"it was launched with commit {commit[:12]}, not {code.commit[:12]}; "
            f"to upgrade it: sudo celeriac deploy {code.commit}"
        )
    return tuple(notes)
