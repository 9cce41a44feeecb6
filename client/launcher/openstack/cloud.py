"""The launcher's cloud on OpenStack: openstacksdk, and for quotas and consoles novaclient on the same session.

Which classes of theirs become which errors of ours is in `openstack_errors`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

from client.errors import Refused
from client.launcher.cloud import (
    Account,
    Belongings,
    FloatingAddress,
    Image,
    Inventory,
    Mark,
    Quota,
    Rule,
    SecurityGroup,
    Server,
    ServerRequest,
)
from client.launcher.openstack import values
from client.launcher.openstack.errors import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from openstack.connection import Connection

TAGS_SINCE = "2.52"  # the compute API that takes a new server's tags
PAGE_SIZE = 1000  # images; by itself the service gives 25 at a time
NOT_TOLD = frozenset({"forbidden", "not_found"})
UNTAGGED = NOT_TOLD | {"conflict", "invalid", "quota_exceeded"}

T = TypeVar("T")


@translated
def connect(cloud: str | None = None) -> OpenStackCloud:
    """The project of a cloud in clouds.yaml, or, for None, that of the environment. Nothing is sent yet.

    Raises:
        InputError: There is no such cloud, or its credentials are incomplete.
    """
    from client.launcher.openstack.session import open_connection

    return OpenStackCloud(open_connection(cloud))


class OpenStackCloud:
    """One project. A context manager that closes its connections; for one thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._nova_client: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._connection.session.close()

    @translated
    def inventory(self) -> Inventory:
        account = self._account()
        return Inventory(
            account=account,
            images=[values.image_from(each) for each in self._image.images(limit=PAGE_SIZE)],
            flavors=[values.flavor_from(each) for each in self._compute.flavors()],
            networks=[
                values.network_from(each)
                for each in self._network.networks()
                # Administrators see other projects' networks too.
                if each.project_id == account.project_id or each.is_shared or each.is_router_external
            ],
            keypairs=[values.keypair_from(each) for each in self._compute.keypairs()],
            security_groups=[values.security_group_from(each) for each in self._groups(account.project_id)],
            quota=self._quota(account.project_id),
        )

    @translated
    def belongings(self) -> Belongings:
        project_id = self._account().project_id
        servers = [each for each in self._compute.servers() if not values.is_going(each)]
        addresses = self._network.ips(project_id=project_id)
        groups = self._groups(project_id)
        return Belongings(
            tuple(each for each in map(values.server_from, _oldest_first(servers)) if each.mark),
            tuple(each for each in map(values.floating_address_from, _oldest_first(addresses)) if each.mark),
            tuple(each for each in map(values.security_group_from, _oldest_first(groups)) if each.mark),
        )

    @translated
    def create_security_group(self, name: str, rules: Sequence[Rule], *, mark: Mark) -> SecurityGroup:
        wanted = [values.rule_attributes("", rule) for rule in rules]
        group = self._network.create_security_group(name=name, description=values.description_of(mark))
        if wanted:
            rows = [{**attributes, "security_group_id": group.id} for attributes in wanted]
            list(self._network.create_security_group_rules(rows))
        self._tag(group, mark)
        return values.security_group_from(self._network.get_security_group(group.id))

    def open_port(self, group_id: str, rule: Rule) -> None:
        attributes = values.rule_attributes(group_id, rule)
        # In conflict means that the rule is there.
        _unless({"conflict"}, lambda: self._network.create_security_group_rule(**attributes), None)

    @translated
    def create_floating_address(self, network_id: str, *, mark: Mark) -> FloatingAddress:
        description = values.description_of(mark)
        address = self._network.create_ip(floating_network_id=network_id, description=description)
        self._tag(address, mark)
        return values.floating_address_from(address)

    @translated
    def create_server(self, request: ServerRequest) -> Server:
        made = self._compute.create_server(
            name=request.name,
            image_id=request.image_id,
            flavor_id=request.flavor_id,
            networks=[{"uuid": request.network_id}],
            key_name=request.keypair,
            security_groups=[{"name": request.security_group_id}],  # an id will do
            user_data=values.user_data_of(request),
            config_drive=True,
            metadata={**request.metadata, **values.metadata_of(request.mark)},
            **self._server_tags(request.mark),
        )
        return values.server_from(self._compute.get_server(made.id))

    @translated
    def attach(self, floating_address_id: str, server_id: str) -> None:
        port = values.port_for_address(self._ports(server_id))
        if port is None:
            raise Refused(f"server {server_id} has no IPv4 address to point to", code="conflict")
        port_id, fixed = port
        self._network.update_ip(floating_address_id, port_id=port_id, fixed_ip_address=fixed)

    @translated
    def add_security_group(self, server_id: str, group_id: str) -> None:
        for port in self._ports(server_id):
            if group_id not in port.security_group_ids:
                groups = [*port.security_group_ids, group_id]
                self._network.update_port(port, security_group_ids=groups)

    def server(self, server_id: str) -> Server | None:
        found = _unless({"not_found"}, lambda: self._compute.get_server(server_id), None)
        return None if found is None or values.is_gone(found) else values.server_from(found)

    def console(self, server_id: str, *, lines: int | None = None) -> str:
        # It has no host yet (409), it is gone (404), it is in ERROR (400).
        without = {"conflict", "not_found", "invalid"}
        read = functools.partial(self._nova.servers.get_console_output, server_id, length=lines)
        return str(_unless(without, read, "") or "")

    @translated
    def start_server(self, server_id: str) -> None:
        self._compute.start_server(server_id)

    @translated
    def stop_server(self, server_id: str) -> None:
        self._compute.stop_server(server_id)

    @translated
    def delete_server(self, server_id: str) -> None:
        self._compute.delete_server(server_id)

    @translated
    def delete_floating_address(self, floating_address_id: str) -> None:
        self._network.delete_ip(floating_address_id)

    @translated
    def delete_security_group(self, group_id: str) -> None:
        self._network.delete_security_group(group_id)

    @translated
    def create_image(self, server_id: str, name: str, *, properties: Mapping[str, str]) -> Image:
        image_id = self._nova.servers.create_image(server_id, name, dict(properties))
        return values.image_from(self._image.get_image(str(image_id)))

    def image(self, image_id: str) -> Image | None:
        found = _unless({"not_found"}, lambda: self._image.get_image(image_id), None)
        return None if found is None else values.image_from(found)

    @translated
    def delete_image(self, image_id: str) -> None:
        self._image.delete_image(image_id)

    # The services. Each is looked up in the catalogue when it is first needed, which may fail.

    @property
    def _compute(self) -> Any:
        return self._connection.compute

    @property
    def _network(self) -> Any:
        return self._connection.network

    @property
    def _image(self) -> Any:
        return self._connection.image

    @property
    def _nova(self) -> Any:
        if self._nova_client is None:
            from client.launcher.openstack.session import open_nova

            self._nova_client = open_nova(self._connection)
        return self._nova_client

    def _account(self) -> Account:
        from client.launcher.openstack.session import access_of

        access, auth_url = access_of(self._connection)
        return Account(
            project=access.project_name or "",
            project_id=access.project_id or "",
            user=access.username or "",
            host=urlsplit(auth_url).hostname or auth_url,
            region=self._connection.config.get_region_name("compute") or None,
        )

    def _quota(self, project_id: str) -> Quota:
        """What compute and network say; a cloud that does not tell is no failure."""
        limits: dict[str, Any] = _unless(NOT_TOLD, self._limits, {})
        network = _unless(NOT_TOLD, lambda: self._network.get_quota(project_id, details=True), None)
        of_network = {
            name: getattr(network, name, None) or {} for name in ("floating_ips", "security_groups")
        }
        return Quota(
            instances=values.left(limits.get("maxTotalInstances"), used=limits.get("totalInstancesUsed")),
            cores=values.left(limits.get("maxTotalCores"), used=limits.get("totalCoresUsed")),
            memory_mb=values.left(limits.get("maxTotalRAMSize"), used=limits.get("totalRAMUsed")),
            floating_addresses=values.left(**of_network["floating_ips"]),
            security_groups=values.left(**of_network["security_groups"]),
        )

    def _limits(self) -> dict[str, Any]:
        return {limit.name: limit.value for limit in self._nova.limits.get().absolute}

    def _groups(self, project_id: str) -> list[Any]:
        return list(self._network.security_groups(project_id=project_id))

    def _ports(self, server_id: str) -> list[Any]:
        ports = list(self._network.ports(device_id=server_id))
        if not ports:
            self._compute.get_server(server_id)  # which says so if there is none
            raise Refused(f"server {server_id} has no port yet", code="conflict")
        return ports

    def _server_tags(self, mark: Mark) -> dict[str, list[str]]:
        from openstack.utils import supports_microversion

        return {"tags": values.tags_of(mark)} if supports_microversion(self._compute, TAGS_SINCE) else {}

    def _tag(self, resource: Any, mark: Mark) -> None:
        """For people who filter by tags. Its mark is on the resource already: a cloud without tags is fine."""
        _unless(UNTAGGED, lambda: self._network.set_tags(resource, values.tags_of(mark)), None)


def _unless(codes: AbstractSet[str], read: Callable[[], T], otherwise: T) -> T:
    """What `read` returns, or, if the cloud refuses it with one of the codes, something else."""
    try:
        return translated(read)()
    except Refused as refusal:
        if refusal.code not in codes:
            raise
        return otherwise


def _oldest_first(resources: Any) -> list[Any]:
    return sorted(resources, key=lambda each: (each.created_at or "", each.id))
