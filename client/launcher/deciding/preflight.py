"""Chooses what an instance is made of and looks for whatever would stop it, before anything is made. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from client.errors import Fault
from client.launcher.deciding.labels import DOMAIN, PRODUCTION, TAKES_PUSHES, mode_of, role_of
from client.launcher.deciding.request import NONE
from client.launcher.machine.mode import NEEDS, Mode, Needs
from client.launcher.machine.role import DEVELOPMENT_NEEDS, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.launcher.cloud import (
        Belongings,
        Flavor,
        Image,
        Inventory,
        Keypair,
        Network,
        SecurityGroup,
        Server,
    )
    from client.launcher.deciding.request import LaunchRequest

LISTED = 12
USABLE_STATUSES = frozenset({"BUILD", "ACTIVE", "SHUTOFF", "REBOOT", "HARD_REBOOT"})


class Named(Protocol):
    """What has an id and a name."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


@dataclass(frozen=True)
class Choices:
    """What the instance is made of; None is what exists or is not wanted. `notes` tell what was taken unasked."""

    server: Server | None
    mode: Mode = Mode.SYSTEMD
    role: Role = Role.PRODUCTION
    production: str | None = None
    domain: str | None = None
    takes_pushes: bool = False
    image: Image | None = None
    flavor: Flavor | None = None
    network: Network | None = None
    keypair: Keypair | None = None
    security_group: SecurityGroup | None = None
    floating_network: Network | None = None
    notes: tuple[str, ...] = ()


class Findings:
    """The faults and the notes that a preflight comes upon; it goes on after a fault, to find the others."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.notes: list[str] = []

    def fault(self, field: str, *, expected: str, got: str) -> None:
        """Something would stop the launch."""
        self.faults.append(Fault(field, expected, got))

    def take(self, option: str, asked: str | None, candidates: Sequence[N]) -> N | None:
        """The one candidate of that name or id; if none was asked for, the only one that there is."""
        if asked is None:
            return self._take_only(option, candidates)
        found = [each for each in candidates if each.id == asked] or [
            each for each in candidates if each.name == asked
        ]
        if len(found) == 1:
            return found[0]
        if found:
            self.fault(
                option, expected=f"an id, since {len(found)} have this name: {_ids(found)}", got=repr(asked)
            )
        else:
            self.fault(option, expected=_one_of(candidates), got=repr(asked))
        return None

    def _take_only(self, option: str, candidates: Sequence[N]) -> N | None:
        if len(candidates) == 1:
            self.notes.append(f"{option} {candidates[0].name}: the only one")
            return candidates[0]
        self.fault(option, expected=_one_of(candidates), got="nothing")
        return None


def preflight(
    request: LaunchRequest, inventory: Inventory, existing: Belongings
) -> tuple[Choices, tuple[Fault, ...]]:
    """Choose what is missing of an instance, and find all faults that would stop it."""
    findings = Findings()
    server = _existing_server(request, existing, findings)
    image = flavor = network = keypair = None
    if not existing.servers:
        image = _image(request, inventory, findings)
    mode = _mode(request, server, image, findings)
    role = _role(request, server, image, findings)
    if not existing.servers:
        needs = DEVELOPMENT_NEEDS if role == Role.DEVELOPMENT else NEEDS[mode]
        flavor = _flavor(request, inventory, image, needs=needs, findings=findings)
        network = _network(request, inventory, findings)
        keypair = findings.take("keypair", request.keypair, inventory.keypairs)
    choices = Choices(
        server=server,
        mode=mode,
        role=role,
        production=request.production if server is None else server.metadata.get(PRODUCTION),
        domain=_domain(request, server, mode, findings),
        takes_pushes=_takes_pushes(request, server, mode, findings),
        image=image,
        flavor=flavor,
        network=network,
        keypair=keypair,
        security_group=_security_group(request, inventory, findings),
        floating_network=_floating_network(request, inventory, existing, findings),
        notes=tuple(findings.notes),
    )
    _check_quota(choices, inventory, existing, findings)
    _check_bake(request, inventory, existing, findings)
    return choices, tuple(findings.faults)


def _existing_server(request: LaunchRequest, existing: Belongings, findings: Findings) -> Server | None:
    if len(existing.servers) > 1:
        found = f"{len(existing.servers)}: {_ids(existing.servers)}"
        findings.fault("name", expected=f"one instance called {request.name}", got=found)
    server = existing.servers[0] if existing.servers else None
    if server is not None and server.status not in USABLE_STATUSES:
        findings.fault(
            "name",
            expected="an instance that can go on; stop_instance.py removes this one",
            got=f"one in {server.status}" + (f": {server.fault}" if server.fault else ""),
        )
    return server


def _image(request: LaunchRequest, inventory: Inventory, findings: Findings) -> Image | None:
    active = [each for each in inventory.images if each.is_active]
    image = findings.take("image", request.image, inventory.images if request.image else active)
    if image is not None and not image.is_active:
        findings.fault("image", expected=f"{image.name} to be active", got=image.status)
    return image


def _mode(request: LaunchRequest, server: Server | None, image: Image | None, findings: Findings) -> Mode:
    """That of the instance or of the baked image, which cannot be changed; else the one that was asked for."""
    given, expected = None, ""
    if server is not None:
        given = mode_of(server.metadata) or Mode.SYSTEMD
        expected = f"{given}, as {server.name} was launched; stop_instance.py {server.name} removes it"
    elif image is not None:
        given = mode_of(image.properties)
        expected = f"{given}, for which image {image.name} was baked; or another image"
    asked = request.mode or given or Mode.SYSTEMD
    if given is not None and asked != given:
        findings.fault("mode", expected=expected, got=asked)
    if asked == Mode.DOCKER and image is not None and _is_debian_12(image):
        findings.fault(
            "image", expected="Debian 13 or Ubuntu 24.04 for containers", got=f"{image.name}, Debian 12"
        )
    return asked


def _role(request: LaunchRequest, server: Server | None, image: Image | None, findings: Findings) -> Role:
    """That of the server, which cannot be changed; else the one that was asked for."""
    if server is not None and role_of(server.metadata) != request.role:
        given = role_of(server.metadata)
        expected = f"{given}, as {server.name} was launched; stop_instance.py {server.name} removes it"
        findings.fault("role", expected=expected, got=request.role)
    if request.role == Role.DEVELOPMENT and image is not None and mode_of(image.properties) is not None:
        findings.fault("image", expected="one that was not baked: it has what serves in it", got=image.name)
    return request.role


def _domain(request: LaunchRequest, server: Server | None, mode: Mode, findings: Findings) -> str | None:
    """That of the instance, which has its name, or none, for good; else the one that was asked for."""
    if server is not None:
        return server.metadata.get(DOMAIN)
    if request.domain is not None and mode == Mode.DOCKER:
        findings.fault("domain", expected=f"mode {Mode.SYSTEMD} for an instance with a name", got=mode)
    return request.domain


def _takes_pushes(request: LaunchRequest, server: Server | None, mode: Mode, findings: Findings) -> bool:
    """As the instance was launched; else as it was asked for."""
    if server is not None:
        return TAKES_PUSHES in server.metadata
    if request.takes_pushes and mode == Mode.DOCKER:
        findings.fault(
            "models-repository", expected=f"mode {Mode.SYSTEMD} for an instance that takes pushes", got=mode
        )
    return request.takes_pushes


def _is_debian_12(image: Image) -> bool:
    release = image.properties.get("os_version", "").partition(".")[0]
    return image.properties.get("os_distro", "").lower() == "debian" and release == "12"


def _flavor(
    request: LaunchRequest, inventory: Inventory, image: Image | None, *, needs: Needs, findings: Findings
) -> Flavor | None:
    memory_mb = max(needs.memory_mb, image.min_memory_mb if image else 0)
    disk_gb = max(needs.disk_gb, image.min_disk_gb if image else 0)

    def is_large_enough(flavor: Flavor) -> bool:
        # A disk of 0 GB is as large as the image: what that is cannot be known from here.
        return flavor.memory_mb >= memory_mb and (flavor.disk_gb == 0 or flavor.disk_gb >= disk_gb)

    fitting = [each for each in inventory.flavors if is_large_enough(each)]
    flavor = findings.take("flavor", request.flavor, inventory.flavors if request.flavor else fitting)
    if flavor is not None and not is_large_enough(flavor):
        findings.fault(
            "flavor",
            expected=f"at least {memory_mb} MB of memory and {disk_gb} GB of disk: {_names(fitting)}",
            got=f"{flavor.name} with {flavor.memory_mb} MB and {flavor.disk_gb} GB",
        )
    return flavor


def _network(request: LaunchRequest, inventory: Inventory, findings: Findings) -> Network | None:
    own = [each for each in inventory.networks if not each.is_external]
    return findings.take("network", request.network, inventory.networks if request.network else own)


def _security_group(request: LaunchRequest, inventory: Inventory, findings: Findings) -> SecurityGroup | None:
    if request.security_group is None:
        return None
    return findings.take("security-group", request.security_group, inventory.security_groups)


def _floating_network(
    request: LaunchRequest, inventory: Inventory, existing: Belongings, findings: Findings
) -> Network | None:
    external = [each for each in inventory.networks if each.is_external]
    if existing.usable_address is not None or request.floating_network == NONE:
        return None
    if not external and request.floating_network is None:
        findings.notes.append("no floating IP: the project sees no external network")
        return None
    return findings.take("floating-network", request.floating_network, external)


def _check_quota(choices: Choices, inventory: Inventory, existing: Belongings, findings: Findings) -> None:
    quota = inventory.quota
    needs_group = choices.security_group is None and not existing.security_groups
    needs: list[tuple[str, int, int | None]] = [
        ("floating IPs", int(choices.floating_network is not None), quota.floating_addresses),
        ("security groups", int(needs_group), quota.security_groups),
    ]
    if choices.server is None:
        needs.append(("instances", 1, quota.instances))
        if choices.flavor is not None:
            needs.append(("cores", choices.flavor.cores, quota.cores))
            needs.append(("MB of memory", choices.flavor.memory_mb, quota.memory_mb))
    for what, needed, left in needs:
        if left is not None and needed > left:
            findings.fault("quota", expected=f"{needed} {what} to be left", got=str(left))


def _check_bake(
    request: LaunchRequest, inventory: Inventory, existing: Belongings, findings: Findings
) -> None:
    """Baking destroys what the instance holds: it must be a new one."""
    if request.baked_image is None:
        return
    if any(image.name == request.baked_image for image in inventory.images):
        taken = f"there is an image called {request.baked_image!r} already"
        findings.fault("bake", expected="another name", got=taken)
    if not existing.is_empty:
        taken = f"there is something called {request.name} already"
        findings.fault("name", expected="another name for what is baked", got=taken)


def _names(candidates: Sequence[Named]) -> str:
    names = sorted({each.name for each in candidates})
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return (", ".join(names[:LISTED]) or "there is none") + more


def _ids(found: Sequence[Named]) -> str:
    return ", ".join(each.id for each in found)


def _one_of(candidates: Sequence[Named]) -> str:
    return f"one of {_names(candidates)}" if candidates else "one that exists; there is none"
