"""Carries out a plan in a cloud, step by step. Undoing what was made is for its caller."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from client.errors import InputError, InstanceFailed, Refused, Unavailable
from client.launcher.cloud import ServerRequest
from client.launcher.deciding import steps
from client.launcher.deciding.plan import EVERYBODY, rules_for
from client.launcher.deciding.steps import THIS_MACHINE
from client.launcher.doing import bake
from client.launcher.doing.clock import TimeIsUp
from client.launcher.doing.instance import Instance
from client.launcher.doing.undo import remove_unused, undo
from client.launcher.doing.watch import Watch
from client.launcher.machine.address import preferred
from client.launcher.machine.role import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.launcher.cloud import Image, Mark, Rule
    from client.launcher.deciding.plan import Plan
    from client.launcher.deciding.steps import Step
    from client.launcher.doing.tools import Tools
    from client.launcher.machine.address import Ports

OVERTAKEN = "overtaken"


class Applying:
    """One run of a plan. `instance` is what has come of it, at any time, `image` what was made of that.

    `is_creating` is true while the cloud is asked to make something: interrupted then, it may appear later.
    """

    def __init__(self, plan: Plan, tools: Tools, *, mark: Mark, host: str) -> None:
        self._plan = plan
        self._tools = tools
        self._mark = mark
        self._host = host
        self.instance = _existing(plan)
        self.image: Image | None = None
        self.is_creating = False
        self._has_made_server = False

    def run(self) -> Instance:
        """Carry out every step.

        Raises:
            Refused: The cloud said no; or, with the code `OVERTAKEN`, another run has made the same instance meanwhile.
            Unavailable: The cloud does not answer.
            InstanceFailed: The instance was made and does not come up.
        """
        for step in self._plan.steps:
            self.is_creating = isinstance(
                step, steps.TakeFloatingAddress | steps.MakeSecurityGroup | steps.MakeServer
            )
            try:
                self._carry_out(step)
            except TimeIsUp as error:
                raise Unavailable(f"the cloud did not answer until time was up: {step}") from error
        return self.instance

    def _carry_out(self, step: Step) -> None:  # noqa: C901, PLR0912 # one case for each step
        cloud = self._tools.cloud
        match step:
            case steps.TakeFloatingAddress(network):
                self._say(str(step))
                taken = cloud.create_floating_address(network.id, mark=self._mark)
                self._learn(floating_address_id=taken.id, address=taken.address)
            case steps.MakeSecurityGroup(name, ranges, ports):
                group = cloud.create_security_group(name, self._rules(ranges, ports), mark=self._mark)
                self._learn(security_group_id=group.id)
            case steps.OpenPorts(group, ranges, ports):
                for rule in self._rules(ranges, ports):
                    cloud.open_port(group.id, rule)
            case steps.MakeServer():
                self._make_server(step)
            case steps.StartServer(server):
                self._start(server.id, what=str(step))
            case steps.JoinSecurityGroup(server):
                cloud.add_security_group(server.id, self.instance.security_group_id)
            case steps.AwaitServer():
                self._await_server()
            case steps.AttachFloatingAddress():
                self._attach()
            case steps.PushCode(commit):
                self._push(commit)
            case steps.AwaitService() | steps.AwaitSetUp():
                self._await_service()
            case steps.Seal():
                bake.seal(self.instance, self._tools)
            case steps.MakeImage():
                self.image = bake.make_image(self.instance, step, self._tools)
            case steps.DeleteInstance():
                undo(self._mark, self._tools)

    def _rules(self, ranges: Sequence[str], ports: Ports) -> list[Rule]:
        restricted = rules_for(self._resolved(ranges, ports), ports.restricted)
        return sorted(restricted | rules_for(EVERYBODY, ports.public))

    def _resolved(self, ranges: Sequence[str], ports: Ports) -> list[str]:
        own = [self._own_address(ports)] if THIS_MACHINE in ranges else []
        resolved = own + [each for each in ranges if each != THIS_MACHINE]
        self._say(f"let {', '.join(resolved) or 'everybody'} in")
        return resolved

    def _own_address(self, ports: Ports) -> str:
        # The cloud's API may be elsewhere than its instances: the way to the floating address is the better witness.
        towards = self.instance.address or self._host
        own = self._tools.surroundings.own_address(towards)
        if own is None:
            raise InputError(f"{towards} is this machine itself: name who may come in with --allow-from")
        opened = " and ".join(map(str, ports.restricted))
        self._tools.report.note(f"ports {opened} are open to {own}, this machine")
        return own

    def _make_server(self, step: steps.MakeServer) -> None:
        self._say(f"asking for server {step.name}")
        server = self._tools.cloud.create_server(
            ServerRequest(
                name=step.name,
                image_id=step.image.id,
                flavor_id=step.flavor.id,
                network_id=step.network.id,
                keypair=step.keypair.name,
                security_group_id=self.instance.security_group_id,
                user_data=step.user_data,
                metadata=step.metadata,
                mark=self._mark,
            )
        )
        self._learn(server_id=server.id)
        self._has_made_server = True
        self._check_is_oldest()

    def _check_is_oldest(self) -> None:
        """Clouds do not mind two servers of one name: of two runs at once, the older server stays."""
        twins = self._tools.patiently(self._tools.cloud.belongings).of_name(self._plan.name).servers
        oldest = min(twins, key=lambda each: (each.created, each.id), default=None)
        if oldest is not None and oldest.id != self.instance.server_id:
            raise Refused(f"another run has made {self._plan.name} meanwhile", code=OVERTAKEN)

    def _start(self, server_id: str, *, what: str) -> None:
        self._say(what)
        try:
            self._tools.cloud.start_server(server_id)
        except Refused as refusal:
            # Somebody else has started it.
            if refusal.code != "conflict":
                raise

    def _await_server(self) -> None:
        server = self._watch().until_active()
        if self._has_made_server:
            # A second time: another run's server may be older and have come later, by the clocks of the cloud.
            self._check_is_oldest()
        if not self.instance.address:
            address = preferred(server.addresses)
            if address is None:
                raise InstanceFailed(f"server {server.name} has no address", advice=("another --network",))
            self._learn(address=address)

    def _attach(self) -> None:
        """Of two runs at once, each may have an address for the server: the first to point at it stays."""
        try:
            self._tools.cloud.attach(self.instance.floating_address_id, self.instance.server_id)
        except Refused as refusal:
            if refusal.code not in {"conflict", "not_found"}:
                raise
            own = self._tools.patiently(self._tools.cloud.belongings).of_name(self._plan.name)
            address = own.usable_address
            if address is None or address.server_id != self.instance.server_id:
                raise
            self._learn(floating_address_id=address.id, address=address.address)
            remove_unused(self._mark, self._tools)

    def _push(self, commit: str) -> None:
        self._watch().until_pushed(commit, address=self.instance.address, is_ready=self._is_ready)

    def _await_service(self) -> None:
        # A name may not lead there yet; and on a machine for development nothing answers.
        is_silent = self.instance.domain is not None or self.instance.role == Role.DEVELOPMENT
        progress = self._watch().until_ready(self._is_ready, console_counts=is_silent)
        self._learn(
            login=progress.login or "",
            host_keys=progress.host_keys,
            certificate=progress.certificate or "",
            push_key=progress.push_key or "",
            has_answered=not is_silent or self._is_ready(),
        )

    def _is_ready(self) -> bool:
        instance, around = self.instance, self._tools.surroundings
        if instance.role == Role.DEVELOPMENT:
            return False
        if instance.domain is None:
            return around.is_ready(instance.url)
        return around.is_ready_as(instance.domain, instance.address)

    def _watch(self) -> Watch:
        return Watch(self._plan.name, self.instance.server_id, self._tools)

    def _say(self, text: str) -> None:
        self._tools.report.stage(text)

    def _learn(self, **facts: str | bool | tuple[str, ...]) -> None:
        self.instance = replace(self.instance, **facts)  # type: ignore[arg-type] # each is a field's


def _existing(plan: Plan) -> Instance:
    """What a plan begins with."""
    found = plan.existing
    groups = (plan.security_group,) if plan.security_group is not None else found.security_groups
    address = found.usable_address
    return Instance(
        plan.name,
        domain=plan.domain,
        takes_pushes=plan.takes_pushes,
        role=plan.role,
        server_id=found.servers[0].id if found.servers else "",
        address=address.address if address is not None else "",
        floating_address_id=address.id if address is not None else "",
        security_group_id=groups[0].id if groups else "",
    )
