"""A cloud in memory, for the tests of the launcher. It passes the contract that the real adapter passes.

Nothing in it takes time: a server comes up, goes down and disappears by being looked at (`server()`), so a test says
after how many looks. A test may also put code before and after every call, and let calls fail.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from client.errors import Refused
from client.launcher.cloud import (
    Belongings,
    Flavor,
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
from client.launcher.machine.user_data import faults_of
from testing import fake_cloud_contents as contents
from testing.fake_cloud_calls import Call, Calls, operation
from testing.fake_cloud_refusals import charge, checked, found, minus
from testing.fake_cloud_server import FakeServer, boot, coming_up, failing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Call", "FakeCloud"]


class FakeCloud(Calls):
    """One project. What there is to choose from, and the limits, are attributes that a test may change at any time.

    `quota` is what the project may have in all, `pool` the floating addresses that are free. A server is ACTIVE after
    `ready_after` looks, one that is deleted disappears after `gone_after`, a stopped one is off and an image is active
    after `settled_after`. `script` is what every server writes to its console once it is active, `lines_per_look` of it
    with each look at the console.
    """

    def __init__(
        self,
        *,
        quota: Quota = contents.QUOTA,
        pool: Sequence[str] = contents.POOL,
        ready_after: int = 3,
        gone_after: int = 1,
        settled_after: int = 1,
        script: Sequence[str] = ("Linux version 6.1", "cloud-init: finished", "login:"),
        lines_per_look: int = 1,
    ) -> None:
        super().__init__()
        self.account, self.images = contents.ACCOUNT, list(contents.IMAGES)
        self.flavors = list(contents.FLAVORS)
        self.networks, self.keypairs = list(contents.NETWORKS), list(contents.KEYPAIRS)
        self.quota, self.pool, self.script = quota, list(pool), tuple(script)
        self.ready_after, self.gone_after, self.settled_after = ready_after, gone_after, settled_after
        self.lines_per_look = lines_per_look
        self._servers: dict[str, FakeServer] = {}
        self._addresses: dict[str, FloatingAddress] = {}
        self._groups = {"group-0": SecurityGroup("group-0", "default")}
        self._image_looks: dict[str, int] = {}
        self._boot_fault: str | None = None
        self._numbers = itertools.count(101)

    # What tests order and see, beside what `Calls` offers.

    def error_on_boot(self, fault: str | None) -> None:
        """Let servers that are made from now on end in ERROR."""
        self._boot_fault = fault

    def set_status(self, server_id: str, status: str) -> None:
        """Let a server be in a state that the launcher does not bring it into."""
        self._servers[server_id].now = replace(self._servers[server_id].now, status=status)

    def write_console(self, server_id: str, *lines: str) -> None:
        """Let a server write more to its console than its script says."""
        self._servers[server_id].script += lines

    def request_of(self, server_id: str) -> ServerRequest:
        """How a server was asked for."""
        return self._servers[server_id].request

    def add_foreign_server(self, name: str, *, group_id: str = "") -> Server:
        """A server that somebody else made in the project."""
        image, flavor, network = self.images[0].id, self.flavors[0].id, self.networks[0].id
        request = ServerRequest(name, image, flavor, network, "", group_id, "", {}, Mark("", ""))
        return self._boot(request, mark=None)

    def add_foreign_group(self, name: str) -> SecurityGroup:
        """A security group that somebody else made in the project."""
        group = SecurityGroup(f"group-{next(self._numbers)}", name)
        self._groups[group.id] = group
        return group

    def close_port(self, group_id: str, rule: Rule) -> None:
        """Take a rule away, as somebody else may."""
        group = self._groups[group_id]
        self._groups[group_id] = replace(group, rules=group.rules - {rule})

    @property
    def leftovers(self) -> list[str]:
        """The ids of all that was made and is there still, marked or not; servers that are going do not count."""
        servers = [each.now.id for each in self._servers.values() if not each.is_going]
        return [*servers, *self._addresses, *(group_id for group_id in self._groups if group_id != "group-0")]

    # The protocol.

    @operation
    def inventory(self) -> Inventory:
        return Inventory(
            account=self.account,
            images=tuple(self.images),
            flavors=tuple(self.flavors),
            networks=tuple(self.networks),
            keypairs=tuple(self.keypairs),
            security_groups=tuple(self._groups.values()),
            quota=self._left(),
        )

    @operation
    def belongings(self) -> Belongings:
        servers = [each for each in self._servers.values() if each.now.mark and not each.is_going]
        return Belongings(
            servers=tuple(map(self._shown, servers)),
            floating_addresses=tuple(each for each in self._addresses.values() if each.mark),
            security_groups=tuple(each for each in self._groups.values() if each.mark),
        )

    @operation
    def create_security_group(self, name: str, rules: Sequence[Rule], *, mark: Mark) -> SecurityGroup:
        charge("security groups", self._left().security_groups, 1)
        group = SecurityGroup(f"group-{next(self._numbers)}", name, frozenset(map(checked, rules)), mark)
        self._groups[group.id] = group
        return group

    @operation
    def open_port(self, group_id: str, rule: Rule) -> None:
        group = found(self._groups, group_id, "security group")
        self._groups[group_id] = replace(group, rules=group.rules | {checked(rule)})

    @operation
    def create_floating_address(self, network_id: str, *, mark: Mark) -> FloatingAddress:
        network = found({each.id: each for each in self.networks}, network_id, "network")
        if not network.is_external:
            raise Refused(f"{network.name} is not an external network", code="invalid")
        charge("floating addresses", self._left().floating_addresses, 1)
        if not self.pool:
            raise Refused(f"no more addresses in network {network.name}", code="conflict")
        address = FloatingAddress(f"address-{next(self._numbers)}", self.pool.pop(0), network_id, None, mark)
        self._addresses[address.id] = address
        return address

    @operation
    def create_server(self, request: ServerRequest) -> Server:
        self._check(request)
        flavor, left = self._flavor(request), self._left()
        charge("instances", left.instances, 1)
        charge("cores", left.cores, flavor.cores)
        charge("memory", left.memory_mb, flavor.memory_mb)
        return self._boot(request, mark=request.mark)

    @operation
    def attach(self, floating_address_id: str, server_id: str) -> None:
        address = found(self._addresses, floating_address_id, "floating address")
        self._with_port(server_id)
        if server_id in {each.server_id for each in self._addresses.values() if each.id != address.id}:
            raise Refused(f"server {server_id} has a floating address", code="conflict")
        self._addresses[address.id] = replace(address, server_id=server_id)

    @operation
    def add_security_group(self, server_id: str, group_id: str) -> None:
        server, group = self._with_port(server_id), found(self._groups, group_id, "security group")
        if group.id not in server.group_ids:
            server.group_ids.append(group.id)

    @operation
    def server(self, server_id: str) -> Server | None:
        if server_id in self._servers:
            self._look_at(server_id)
        return self._shown(self._servers[server_id]) if server_id in self._servers else None

    @operation
    def console(self, server_id: str, *, lines: int | None = None) -> str:
        server = self._servers.get(server_id)
        return "" if server is None else server.console(lines, pace=self.lines_per_look)

    @operation
    def start_server(self, server_id: str) -> None:
        server = found(self._servers, server_id, "server")
        server.switch(needs="SHUTOFF", task="powering-on", then="ACTIVE", after=self.settled_after)

    @operation
    def stop_server(self, server_id: str) -> None:
        server = found(self._servers, server_id, "server")
        server.switch(needs="ACTIVE", task="powering-off", then="SHUTOFF", after=self.settled_after)

    @operation
    def delete_server(self, server_id: str) -> None:
        if server_id in self._servers:
            self._servers[server_id].delete(after=self.gone_after)

    @operation
    def delete_floating_address(self, floating_address_id: str) -> None:
        address = self._addresses.pop(floating_address_id, None)
        if address is not None:
            self.pool.append(address.address)

    @operation
    def delete_security_group(self, group_id: str) -> None:
        users = [server_id for server_id, server in self._servers.items() if group_id in server.group_ids]
        for server_id in users:
            if self._servers[server_id].is_going:  # who asks again and again shall succeed
                self._look_at(server_id)
        if users:
            raise Refused(f"security group {group_id} is in use", code="conflict")
        self._groups.pop(group_id, None)

    @operation
    def create_image(self, server_id: str, name: str, *, properties: Mapping[str, str]) -> Image:
        server = found(self._servers, server_id, "server").now
        if server.status != "SHUTOFF":
            raise Refused(f"server {server_id} is {server.status}", code="conflict")
        image = Image(f"image-{next(self._numbers)}", name, "queued", properties=dict(properties))
        self.images.append(image)
        self._image_looks[image.id] = self.settled_after
        return image

    @operation
    def image(self, image_id: str) -> Image | None:
        looks = self._image_looks.get(image_id, 0)
        self._image_looks[image_id] = looks - 1
        for index, image in enumerate(self.images):
            if image.id == image_id:
                self.images[index] = replace(image, status="active") if looks <= 0 else image
                return self.images[index]
        return None

    @operation
    def delete_image(self, image_id: str) -> None:
        self.images = [image for image in self.images if image.id != image_id]

    # How it works inside.

    def _with_port(self, server_id: str) -> FakeServer:
        server = found(self._servers, server_id, "server")
        if not server.now.addresses:
            raise Refused(f"server {server_id} has no port", code="conflict")
        return server

    def _shown(self, server: FakeServer) -> Server:
        return server.shown(lambda group_id: self._groups[group_id].name)

    def _look_at(self, server_id: str) -> None:
        server = self._servers[server_id]
        server.look()
        if server.is_gone:
            del self._servers[server_id]
            for address in tuple(self._addresses.values()):
                if address.server_id == server_id:
                    self._addresses[address.id] = replace(address, server_id=None)

    def _boot(self, request: ServerRequest, *, mark: Mark | None) -> Server:
        number = next(self._numbers)
        server = boot(request, self._flavor(request), number=number, mark=mark, script=self.script)
        fault = self._boot_fault
        server.coming = coming_up(number, looks=self.ready_after) if fault is None else failing(fault)
        self._servers[server.now.id] = server
        return server.now

    def _flavor(self, request: ServerRequest) -> Flavor:
        return next(each for each in self.flavors if each.id == request.flavor_id)

    def _left(self) -> Quota:
        flavors = [server.flavor for server in self._servers.values()]
        return Quota(
            instances=minus(self.quota.instances, len(flavors)),
            cores=minus(self.quota.cores, sum(each.cores for each in flavors)),
            memory_mb=minus(self.quota.memory_mb, sum(each.memory_mb for each in flavors)),
            floating_addresses=minus(self.quota.floating_addresses, len(self._addresses)),
            security_groups=minus(self.quota.security_groups, len(self._groups)),
        )

    def _check(self, request: ServerRequest) -> None:
        known = {
            "image": (request.image_id, {each.id for each in self.images if each.is_active}),
            "flavor": (request.flavor_id, {each.id for each in self.flavors}),
            "network": (request.network_id, {each.id for each in self.networks}),
            "keypair": (request.keypair, {each.name for each in self.keypairs}),
            "security group": (request.security_group_id, set(self._groups)),
        }
        for what, (named, existing) in known.items():
            if named not in existing:
                raise Refused(f"{what} {named} could not be found", code="invalid")
        if faults_of(request.user_data):
            raise Refused("the user data is too long", code="invalid")
