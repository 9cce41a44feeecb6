"""What OpenStack's services answer, as the launcher's values; and how a mark is written on each kind of resource.

A server carries its mark as metadata. Floating addresses and security groups have none: theirs is the description,
which the very request that makes them sets. (Tags take a second one.)
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from client.errors import Refused
from client.launcher.cloud import (
    Flavor,
    FloatingAddress,
    Image,
    Keypair,
    Mark,
    Network,
    Rule,
    SecurityGroup,
    Server,
    ServerRequest,
)
from client.launcher.machine.user_data import encode, faults_of

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME_KEY, RUN_KEY = "celeriac-name", "celeriac-run"
TAG_LIMIT = 60  # characters
_WORD = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
_DESCRIPTION = re.compile(rf"{NAME_KEY}=({_WORD}) {RUN_KEY}=({_WORD})", re.ASCII)
_ANYWHERE = {"IPv4": "0.0.0.0/0", "IPv6": "::/0"}
# Properties that the library took out of the others and gave names of their own.
_NAMED_PROPERTIES = ("architecture", "os_admin_user", "os_distro", "os_type", "os_version")


def description_of(mark: Mark) -> str:
    """The mark as the description of a resource."""
    description = f"{NAME_KEY}={mark.name} {RUN_KEY}={mark.run}"
    if not _DESCRIPTION.fullmatch(description):
        raise ValueError(f"neither name nor run may have other than letters, digits, dots and dashes: {mark}")
    return description


def metadata_of(mark: Mark) -> dict[str, str]:
    """The mark as a server's metadata."""
    description_of(mark)
    return {NAME_KEY: mark.name, RUN_KEY: mark.run}


def tags_of(mark: Mark) -> list[str]:
    """What people may filter by. Nobody reads them back."""
    tags = ("celeriac", f"{NAME_KEY}={mark.name}")
    return [tag for tag in tags if len(tag) <= TAG_LIMIT]


def mark_in_description(description: str | None) -> Mark | None:
    """The mark, if the description is one and nothing else."""
    match = _DESCRIPTION.fullmatch(description or "")
    return Mark(match[1], match[2]) if match else None


def mark_in_metadata(metadata: Mapping[str, str]) -> Mark | None:
    """The mark, if all of it is there."""
    name, run = metadata.get(NAME_KEY, ""), metadata.get(RUN_KEY, "")
    return mark_in_description(f"{NAME_KEY}={name} {RUN_KEY}={run}")


def image_from(image: Any) -> Image:
    """From the image service's."""
    named = {name: getattr(image, name, None) for name in _NAMED_PROPERTIES}
    properties = {**named, **(image.properties or {})}
    return Image(
        id=image.id,
        name=image.name or "",
        status=image.status,
        min_disk_gb=image.min_disk or 0,
        min_memory_mb=image.min_ram or 0,
        properties={name: value for name, value in properties.items() if isinstance(value, str)},
    )


def flavor_from(flavor: Any) -> Flavor:
    """From the compute service's."""
    return Flavor(flavor.id, flavor.name, flavor.vcpus, flavor.ram, flavor.disk)


def network_from(network: Any) -> Network:
    """From the network service's."""
    return Network(network.id, network.name or "", is_external=bool(network.is_router_external))


def keypair_from(keypair: Any) -> Keypair:
    """From the compute service's."""
    return Keypair(keypair.name, keypair.name, keypair.public_key or "")


def security_group_from(group: Any) -> SecurityGroup:
    """From the network service's, with its rules."""
    rules = (_rule_from(rule) for rule in group.security_group_rules or ())
    mark = mark_in_description(group.description)
    return SecurityGroup(group.id, group.name or "", frozenset(rule for rule in rules if rule), mark)


def floating_address_from(address: Any) -> FloatingAddress:
    """From the network service's."""
    port = address.port_details or {}
    is_server = str(port.get("device_owner", "")).startswith("compute:")
    return FloatingAddress(
        id=address.id,
        address=address.floating_ip_address,
        network_id=address.floating_network_id,
        server_id=port.get("device_id") if address.port_id and is_server else None,
        mark=mark_in_description(address.description),
    )


def server_from(server: Any) -> Server:
    """From the compute service's, details included. What the project did not say of a server is not in its metadata."""
    metadata = dict(server.metadata or {})
    fault = server.fault or {}
    return Server(
        id=server.id,
        name=server.name,
        status=server.status,
        created=server.created_at or "",
        task=server.task_state,
        fault=fault.get("message"),
        addresses=_fixed_addresses(server.addresses or {}),
        metadata={name: value for name, value in metadata.items() if name not in {NAME_KEY, RUN_KEY}},
        security_groups=tuple(group["name"] for group in server.security_groups or ()),
        mark=mark_in_metadata(metadata),
    )


def is_gone(server: Any) -> bool:
    """Whether a server is deleted; some clouds keep such a one for a while."""
    return server.status in {"DELETED", "SOFT_DELETED"}


def is_going(server: Any) -> bool:
    """Whether a server is deleted, or about to be."""
    return server.task_state == "deleting" or is_gone(server)


def rule_attributes(group_id: str, rule: Rule) -> dict[str, Any]:
    """A rule as the network service makes it."""
    try:
        source = ipaddress.ip_network(rule.source)
    except ValueError as error:
        raise Refused(f"{rule.source} is not a range of addresses", code="invalid") from error
    return {
        "security_group_id": group_id,
        "direction": "ingress",
        "protocol": "tcp",
        "ether_type": f"IPv{source.version}",
        "port_range_min": rule.port,
        "port_range_max": rule.port,
        "remote_ip_prefix": str(source),
    }


def user_data_of(request: ServerRequest) -> str:
    """The user data as the compute service takes it."""
    if faults := faults_of(request.user_data):
        raise Refused(f"the user data cannot be taken: {faults[0]}", code="invalid")
    return encode(request.user_data)


def left(limit: Any = None, *, used: Any = 0, reserved: Any = 0) -> int | None:
    """How much a quota leaves; None where there is no limit."""
    if limit is None or int(limit) < 0:
        return None
    return max(0, int(limit) - int(used or 0) - int(reserved or 0))


def port_for_address(ports: list[Any]) -> tuple[str, str] | None:
    """The port, and its address, that a floating address can point to."""
    for port in ports:
        for fixed in port.fixed_ips or ():
            if ipaddress.ip_address(fixed["ip_address"]).version == 4:
                return port.id, fixed["ip_address"]
    return None


def _rule_from(rule: Mapping[str, Any]) -> Rule | None:
    first, last = rule.get("port_range_min"), rule.get("port_range_max")
    is_tcp = rule.get("direction") == "ingress" and str(rule.get("protocol")) in {"tcp", "6"}
    is_of_group = rule.get("remote_group_id") or rule.get("remote_address_group_id")
    if not is_tcp or is_of_group or first is None or first != last:
        return None
    source = rule.get("remote_ip_prefix") or _ANYWHERE[rule["ethertype"]]
    return Rule(int(first), str(ipaddress.ip_network(source, strict=False)))


def _fixed_addresses(addresses: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        each["addr"]
        for of_network in addresses.values()
        for each in of_network
        if each.get("OS-EXT-IPS:type", "fixed") == "fixed"
    )
