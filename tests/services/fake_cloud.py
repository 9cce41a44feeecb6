"""A cloud in memory, for the tests of the launcher. It passes the contract that the real adapter passes.

Nothing in it takes time: a server comes up, goes down and disappears by being looked at (`server()`), so a test says
after how many looks. A test may also put code before and after every call, and let calls fail.
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Concatenate, Literal, ParamSpec, TypeVar

from client.errors import Refused
from client.launcher.cloud import (
    Account,
    Belongings,
    Flavor,
    FloatingAddress,
    Image,
    Inventory,
    Keypair,
    Mark,
    Network,
    Quota,
    Rule,
    SecurityGroup,
    Server,
    ServerRequest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

P = ParamSpec("P")
R = TypeVar("R")
Moment = Literal["before", "after"]

ACCOUNT = Account("demo", "project-1", "alice", "cloud.example", "RegionOne")
IMAGES = (Image("image-1", "debian-12", "active", properties={"os_distro": "debian"}),)
FLAVORS = (
    Flavor("flavor-1", "m1.tiny", 1, 512, 1),
    Flavor("flavor-2", "m1.small", 1, 1024, 10),
    Flavor("flavor-3", "m1.medium", 2, 2048, 20),
    Flavor("flavor-4", "m1.large", 2, 4096, 40),
)
NETWORKS = (
    Network("network-1", "private", is_external=False),
    Network("network-2", "public", is_external=True),
)
KEYPAIRS = (Keypair("laptop", "laptop"),)
QUOTA = Quota(instances=10, cores=20, memory_mb=51200, floating_addresses=10, security_groups=10)
POOL = tuple(f"203.0.113.{last}" for last in range(10, 30))
USER_DATA_LIMIT_BYTES = 49149  # 65,535 bytes after base64
BOOT_TASKS = ("scheduling", "networking", "spawning")


@dataclass(frozen=True)
class Call:
    """One call as hooks see it: the `number`-th of its operation, before or after its effect."""

    operation: str
    moment: Moment
    number: int


@dataclass
class _Failure:
    operation: str
    moment: Moment
    error: BaseException
    numbers: range

    def strikes(self, call: Call) -> bool:
        is_meant = (self.operation, self.moment) == (call.operation, call.moment)
        return is_meant and call.number in self.numbers


@dataclass
class _Guest:
    """A server and what will become of it: the states that it passes, one with each look."""

    server: Server
    request: ServerRequest
    flavor: Flavor
    script: tuple[str, ...]
    coming: list[dict[str, object]] = field(default_factory=list)
    looks_until_gone: int | None = None
    lines_written: int = 0
    group_ids: list[str] = field(default_factory=list)

    def grow_older(self) -> None:
        """Be looked at once more."""
        if self.looks_until_gone is not None:
            self.looks_until_gone -= 1
        elif self.coming:
            self.server = replace(self.server, **self.coming.pop(0))  # type: ignore[arg-type]


def call(method: Callable[Concatenate[FakeCloud, P], R]) -> Callable[Concatenate[FakeCloud, P], R]:
    """Wrap an operation into hooks and ordered failures; its effect is atomic."""

    @functools.wraps(method)
    def wrapper(self: FakeCloud, /, *args: P.args, **kwargs: P.kwargs) -> R:
        number = self.enter(method.__name__)
        self.pass_by(Call(method.__name__, "before", number))
        with self.lock:
            result = method(self, *args, **kwargs)
        self.pass_by(Call(method.__name__, "after", number))
        return result

    return wrapper


class FakeCloud:
    """One project. What there is to choose from, and the limits, are attributes that a test may change at any time.

    `quota` is what the project may have in all, `pool` the floating addresses that are free. A server is ACTIVE after
    `ready_after` looks, one that is deleted disappears after `gone_after`, a stopped one is off and an image is active
    after `settled_after`. `script` is what every server writes to its console once it is active, `lines_per_look` of it
    with each look at the console. `calls` are the operations as they came.
    """

    def __init__(
        self,
        *,
        quota: Quota = QUOTA,
        pool: Sequence[str] = POOL,
        ready_after: int = 3,
        gone_after: int = 1,
        settled_after: int = 1,
        script: Sequence[str] = ("Linux version 6.1", "cloud-init: finished", "login:"),
        lines_per_look: int = 1,
    ) -> None:
        self.account, self.images, self.flavors = ACCOUNT, list(IMAGES), list(FLAVORS)
        self.networks, self.keypairs = list(NETWORKS), list(KEYPAIRS)
        self.quota, self.pool, self.script = quota, list(pool), tuple(script)
        self.ready_after, self.gone_after, self.settled_after = ready_after, gone_after, settled_after
        self.lines_per_look = lines_per_look
        self.hooks: list[Callable[[Call], None]] = []
        self.calls: list[str] = []
        self.lock = threading.RLock()
        self._guests: dict[str, _Guest] = {}
        self._addresses: dict[str, FloatingAddress] = {}
        self._groups = {"group-0": SecurityGroup("group-0", "default")}
        self._failures: list[_Failure] = []
        self._boot_fault: str | None = None
        self._numbers, self._counts = itertools.count(1), Counter[str]()
        self._image_looks: dict[str, int] = {}

    # What tests order, and what they see.

    def fail(
        self,
        operation: str,
        *,
        with_: BaseException,
        on_call: int = 1,
        times: int = 1,
        moment: Moment = "before",
    ) -> None:
        """Let the next calls of an operation fail, from the `on_call`-th from now; `after` loses only the answer."""
        first = self._counts[operation] + on_call
        self._failures.append(_Failure(operation, moment, with_, range(first, first + times)))

    def error_on_boot(self, fault: str | None) -> None:
        """Let servers that are made from now on end in ERROR."""
        self._boot_fault = fault

    def write_console(self, server_id: str, *lines: str) -> None:
        """Let a server write more to its console than its script says."""
        self._guests[server_id].script += lines

    def request_of(self, server_id: str) -> ServerRequest:
        """How a server was asked for."""
        return self._guests[server_id].request

    def add_foreign_server(self, name: str, *, group_ids: Sequence[str] = ()) -> Server:
        """A server that somebody else made in the project."""
        request = ServerRequest(name, "image-1", "flavor-1", "network-1", "laptop", "", "", {}, Mark("", ""))
        guest = self._boot(request, mark=None, group_ids=list(group_ids))
        return guest.server

    def enter(self, operation: str) -> int:
        with self.lock:
            self.calls.append(operation)
            self._counts[operation] += 1
            return self._counts[operation]

    def pass_by(self, call: Call) -> None:
        for hook in tuple(self.hooks):
            hook(call)
        for failure in self._failures:
            if failure.strikes(call):
                raise failure.error

    # The protocol.

    @call
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

    @call
    def belongings(self) -> Belongings:
        guests = [guest for guest in self._guests.values() if guest.looks_until_gone is None]
        return Belongings(
            servers=tuple(self._shown(guest) for guest in guests if guest.server.mark),
            floating_addresses=tuple(each for each in self._addresses.values() if each.mark),
            security_groups=tuple(each for each in self._groups.values() if each.mark),
        )

    @call
    def create_security_group(self, name: str, rules: Sequence[Rule], *, mark: Mark) -> SecurityGroup:
        _charge("security groups", self._left().security_groups, 1)
        group = SecurityGroup(self._new_id("group"), name, frozenset(map(_checked, rules)), mark)
        self._groups[group.id] = group
        return group

    @call
    def open_port(self, group_id: str, rule: Rule) -> None:
        group = _found(self._groups, group_id, "security group")
        self._groups[group_id] = replace(group, rules=group.rules | {_checked(rule)})

    @call
    def create_floating_address(self, network_id: str, *, mark: Mark) -> FloatingAddress:
        network = _found({each.id: each for each in self.networks}, network_id, "network")
        if not network.is_external:
            raise Refused(f"{network.name} is not an external network", code="invalid")
        _charge("floating addresses", self._left().floating_addresses, 1)
        if not self.pool:
            raise Refused(f"no more addresses in network {network.name}", code="conflict")
        address = FloatingAddress(self._new_id("address"), self.pool.pop(0), network_id, None, mark)
        self._addresses[address.id] = address
        return address

    @call
    def create_server(self, request: ServerRequest) -> Server:
        self._check(request)
        flavor = next(each for each in self.flavors if each.id == request.flavor_id)
        left = self._left()
        _charge("instances", left.instances, 1)
        _charge("cores", left.cores, flavor.cores)
        _charge("memory", left.memory_mb, flavor.memory_mb)
        return self._boot(request, mark=request.mark, group_ids=[request.security_group_id]).server

    @call
    def attach(self, floating_address_id: str, server_id: str) -> None:
        address = _found(self._addresses, floating_address_id, "floating address")
        if not _found(self._guests, server_id, "server").server.addresses:
            raise Refused(f"server {server_id} has no port yet", code="conflict")
        self._addresses[address.id] = replace(address, server_id=server_id)

    @call
    def add_security_group(self, server_id: str, group_id: str) -> None:
        group, guest = _found(self._groups, group_id, "security group"), self._guest(server_id)
        if group.id not in guest.group_ids:
            guest.group_ids.append(group.id)

    @call
    def server(self, server_id: str) -> Server | None:
        if server_id not in self._guests:
            return None
        self._look_at(server_id)
        return self._shown(self._guests[server_id]) if server_id in self._guests else None

    @call
    def console(self, server_id: str, *, lines: int | None = None) -> str:
        guest = self._guests.get(server_id)
        if guest is None or guest.server.status not in {"ACTIVE", "SHUTOFF"}:
            return ""
        guest.lines_written = min(len(guest.script), guest.lines_written + self.lines_per_look)
        written = guest.script[: guest.lines_written]
        shown = written if lines is None else written[-lines:]
        return "".join(f"{line}\n" for line in shown)

    @call
    def start_server(self, server_id: str) -> None:
        self._switch(server_id, needs="SHUTOFF", task="powering-on", then="ACTIVE")

    @call
    def stop_server(self, server_id: str) -> None:
        self._switch(server_id, needs="ACTIVE", task="powering-off", then="SHUTOFF")

    @call
    def delete_server(self, server_id: str) -> None:
        guest = self._guests.get(server_id)
        if guest is not None and guest.looks_until_gone is None:
            guest.looks_until_gone = self.gone_after
            guest.server = replace(guest.server, task="deleting")

    @call
    def delete_floating_address(self, floating_address_id: str) -> None:
        address = self._addresses.pop(floating_address_id, None)
        if address is not None:
            self.pool.append(address.address)

    @call
    def delete_security_group(self, group_id: str) -> None:
        users = [server_id for server_id, guest in self._guests.items() if group_id in guest.group_ids]
        if not users:
            self._groups.pop(group_id, None)
            return
        for server_id in users:
            if self._guests[server_id].looks_until_gone is not None:
                self._look_at(server_id)
        raise Refused(f"security group {group_id} is in use", code="conflict")

    @call
    def create_image(self, server_id: str, name: str, *, properties: Mapping[str, str]) -> Image:
        server = self._guest(server_id).server
        if server.status != "SHUTOFF":
            raise Refused(f"server {server_id} is {server.status}", code="conflict")
        image = Image(self._new_id("image"), name, "queued", properties=dict(properties))
        self.images.append(image)
        self._image_looks[image.id] = self.settled_after
        return image

    @call
    def image(self, image_id: str) -> Image | None:
        looks = self._image_looks.get(image_id, 0)
        self._image_looks[image_id] = looks - 1
        for index, image in enumerate(self.images):
            if image.id == image_id:
                self.images[index] = replace(image, status="active") if looks <= 0 else image
                return self.images[index]
        return None

    @call
    def delete_image(self, image_id: str) -> None:
        self.images = [image for image in self.images if image.id != image_id]

    # How it works inside.

    def _new_id(self, kind: str) -> str:
        return f"{kind}-{next(self._numbers) + 100}"

    def _guest(self, server_id: str) -> _Guest:
        return _found(self._guests, server_id, "server")

    def _shown(self, guest: _Guest) -> Server:
        names = tuple(self._groups[each].name for each in guest.group_ids)
        return replace(guest.server, security_groups=names)

    def _look_at(self, server_id: str) -> None:
        guest = self._guests[server_id]
        guest.grow_older()
        if guest.looks_until_gone is not None and guest.looks_until_gone < 0:
            del self._guests[server_id]
            for address in self._addresses.values():
                if address.server_id == server_id:
                    self._addresses[address.id] = replace(address, server_id=None)

    def _boot(self, request: ServerRequest, *, mark: Mark | None, group_ids: list[str]) -> _Guest:
        number = next(self._numbers)
        server = Server(
            id=f"server-{number + 100}",
            name=request.name,
            status="BUILD",
            created=f"2026-01-02T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z",
            task="scheduling",
            metadata=dict(request.metadata),
            mark=mark,
        )
        flavor = next(each for each in self.flavors if each.id == request.flavor_id)
        guest = _Guest(server, request, flavor, self.script, self._future(number), group_ids=group_ids)
        self._guests[server.id] = guest
        return guest

    def _future(self, number: int) -> list[dict[str, object]]:
        if self._boot_fault is not None:
            return [{"status": "ERROR", "task": None, "fault": self._boot_fault}]
        fixed = (str(ipaddress.ip_address("10.0.0.0") + number),)
        stages: list[dict[str, object]] = [
            {"task": BOOT_TASKS[min(look, len(BOOT_TASKS) - 1)]} for look in range(self.ready_after - 1)
        ]
        for stage in stages[2:]:
            stage["addresses"] = fixed
        return [*stages, {"status": "ACTIVE", "task": None, "addresses": fixed}]

    def _switch(self, server_id: str, *, needs: str, task: str, then: str) -> None:
        guest = self._guest(server_id)
        if guest.server.status != needs or guest.server.task:
            raise Refused(f"server {server_id} is {guest.server.status}, not {needs}", code="conflict")
        guest.server = replace(guest.server, task=task)
        guest.coming = [{"task": task} for _ in range(self.settled_after - 1)]
        guest.coming.append({"task": None, "status": then})

    def _left(self) -> Quota:
        guests = self._guests.values()
        return Quota(
            instances=_minus(self.quota.instances, len(guests)),
            cores=_minus(self.quota.cores, sum(guest.flavor.cores for guest in guests)),
            memory_mb=_minus(self.quota.memory_mb, sum(guest.flavor.memory_mb for guest in guests)),
            floating_addresses=_minus(self.quota.floating_addresses, len(self._addresses)),
            security_groups=_minus(self.quota.security_groups, len(self._groups)),
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
        if len(request.user_data.encode()) > USER_DATA_LIMIT_BYTES:
            raise Refused("the user data is too long", code="invalid")


Found = TypeVar("Found")


def _found(things: Mapping[str, Found], thing_id: str, kind: str) -> Found:
    if thing_id not in things:
        raise Refused(f"{kind} {thing_id} could not be found", code="not_found")
    return things[thing_id]


def _charge(what: str, left: int | None, wanted: int) -> None:
    if left is not None and wanted > left:
        raise Refused(f"quota exceeded for {what}: {wanted} wanted, {left} left", code="quota_exceeded")


def _minus(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(0, limit - used)


def _checked(rule: Rule) -> Rule:
    try:
        return Rule(rule.port, str(ipaddress.ip_network(rule.source)))
    except ValueError as error:
        raise Refused(f"{rule.source} is not a range of addresses", code="invalid") from error
