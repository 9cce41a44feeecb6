"""Carries out a plan in a cloud, and undoes what it made when that fails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from client.errors import InputError, InstanceFailed, Refused, Unavailable
from client.launcher import console
from client.launcher import plan as steps
from client.launcher.advice import advice_for
from client.launcher.clock import TimeIsUp
from client.launcher.cloud import ServerRequest
from client.launcher.plan import SERVICE_PORT, THIS_MACHINE, rules_for
from client.launcher.report import minutes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.launcher.cloud import Mark, Server
    from client.launcher.console import BootProgress
    from client.launcher.plan import Plan, Step
    from client.launcher.tools import Tools

SERVER_POLL_S = 1.0
SERVICE_POLL_S = 2.0
LOG_LINES = 25
OVERTAKEN = "overtaken"


@dataclass(frozen=True)
class Instance:
    """What has come of a plan so far; the empty string is not known yet."""

    name: str
    server_id: str = ""
    address: str = ""
    floating_address_id: str = ""
    security_group_id: str = ""
    login: str = ""
    host_keys: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Where the service answers."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{SERVICE_PORT}"


class Applying:
    """One run of a plan. `instance` is what has come of it, at any time."""

    def __init__(self, plan: Plan, tools: Tools, *, mark: Mark, host: str) -> None:
        self._plan = plan
        self._tools = tools
        self._mark = mark
        self._host = host
        self.instance = _existing(plan)

    def run(self) -> Instance:
        """Carry out every step.

        Raises:
            Refused: The cloud said no; or, with the code `OVERTAKEN`, another run has made the same instance meanwhile.
            Unavailable: The cloud does not answer.
            InstanceFailed: The instance was made and does not come up.
        """
        for step in self._plan.steps:
            self._carry_out(step)
        return self.instance

    def _carry_out(self, step: Step) -> None:  # noqa: C901 # one line for each kind of step
        cloud = self._tools.cloud
        match step:
            case steps.TakeFloatingAddress(network):
                self._say(str(step))
                taken = cloud.create_floating_address(network.id, mark=self._mark)
                self._learn(floating_address_id=taken.id, address=taken.address)
            case steps.MakeSecurityGroup(name, sources):
                rules = sorted(rule for source in self._resolved(sources) for rule in rules_for(source))
                group = cloud.create_security_group(name, rules, mark=self._mark)
                self._learn(security_group_id=group.id)
            case steps.OpenPorts(group, sources):
                for rule in sorted(rule for source in self._resolved(sources) for rule in rules_for(source)):
                    cloud.open_port(group.id, rule)
            case steps.MakeServer():
                self._make_server(step)
            case steps.StartServer(server):
                self._say(str(step))
                cloud.start_server(server.id)
            case steps.JoinSecurityGroup(server):
                cloud.add_security_group(server.id, self.instance.security_group_id)
            case steps.AwaitServer():
                self._await_server()
            case steps.AttachFloatingAddress():
                cloud.attach(self.instance.floating_address_id, self.instance.server_id)
            case steps.PushCode(commit):
                self._push(commit)
            case steps.AwaitService():
                self._await_service()

    def _resolved(self, sources: Sequence[str]) -> list[str]:
        own = [self._own_address()] if THIS_MACHINE in sources else []
        resolved = own + [source for source in sources if source != THIS_MACHINE]
        self._say(f"let {', '.join(resolved)} in")
        return resolved

    def _own_address(self) -> str:
        # The cloud's API may be elsewhere than its instances: the way to the floating address is the better witness.
        towards = self.instance.address or self._host
        own = self._tools.surroundings.own_address(towards)
        if own is None:
            raise InputError(f"{towards} is this machine itself: name who may come in with --allow-from")
        self._tools.report.note(f"ports 22 and 5100 are open to {own}, this machine")
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
        # Clouds do not mind two servers of one name: of two runs at once, the older server stays.
        twins = self._tools.cloud.belongings().of_name(step.name).servers
        oldest = min(twins, key=lambda each: (each.created, each.id), default=server)
        if oldest.id != server.id:
            raise Refused(f"another run has made {step.name} meanwhile", code=OVERTAKEN)

    def _await_server(self) -> None:
        while True:
            server = self._looked_at()
            if server.status == "ACTIVE":
                break
            self._say(f"the cloud boots the server: {server.task or server.status.lower()}")
            self._pause(SERVER_POLL_S, waiting_for="the cloud boots the server")
        if not self.instance.address:
            if not server.addresses:
                raise InstanceFailed(f"server {server.name} has no address", advice=("another --network",))
            self._learn(address=server.addresses[0])

    def _push(self, commit: str) -> None:
        while not self._is_ready():
            progress = self._boot()
            if progress.host_keys and progress.login:
                self._learn(login=progress.login, host_keys=progress.host_keys)
                try:
                    self._tools.surroundings.push(
                        commit,
                        address=self.instance.address,
                        login=progress.login,
                        host_keys=progress.host_keys,
                    )
                except Unavailable as failure:
                    # sshd, or git, is not there yet.
                    if not failure.is_passing:
                        raise
                else:
                    return
            self._pause(SERVICE_POLL_S, waiting_for="the instance takes the code")

    def _await_service(self) -> None:
        while not self._is_ready():
            self._boot()
            self._pause(SERVICE_POLL_S, waiting_for="the service is ready")
        progress = console.read(self._tools.cloud.console(self.instance.server_id))
        self._learn(
            login=progress.login or self.instance.login,
            host_keys=progress.host_keys or self.instance.host_keys,
        )

    def _is_ready(self) -> bool:
        return self._tools.surroundings.is_ready(self.instance.url)

    def _boot(self) -> BootProgress:
        """Look at the server and at its console; what goes wrong there is raised."""
        self._looked_at()
        log = self._tools.cloud.console(self.instance.server_id)
        progress = console.read(log)
        self._say(progress.stage)
        if progress.failure is not None:
            raise InstanceFailed(
                f"the first boot of {self._plan.name} failed: {progress.failure}",
                log=_end_of(log),
                advice=advice_for(progress.failure),
            )
        return progress

    def _looked_at(self) -> Server:
        server = self._tools.cloud.server(self.instance.server_id)
        if server is None:
            raise InstanceFailed(f"server {self._plan.name} is gone: somebody deleted it")
        if server.status == "ERROR":
            fault = server.fault or "it does not say why"
            raise InstanceFailed(
                f"the cloud could not boot {self._plan.name}: {fault}", advice=advice_for(fault)
            )
        return server

    def _pause(self, seconds: float, *, waiting_for: str) -> None:
        try:
            self._tools.clock.pause(seconds)
        except TimeIsUp as error:
            log = self._tools.cloud.console(self.instance.server_id, lines=LOG_LINES)
            raise InstanceFailed(
                f"time is up after {minutes(self._tools.clock.elapsed_s)}, before {waiting_for}",
                log=_end_of(log),
                advice=advice_for("time is up"),
            ) from error

    def _say(self, text: str) -> None:
        self._tools.report.stage(text)

    def _learn(self, **facts: str | tuple[str, ...]) -> None:
        self.instance = replace(self.instance, **facts)  # type: ignore[arg-type] # each is a field's


def _existing(plan: Plan) -> Instance:
    """What a plan begins with."""
    found = plan.existing
    groups = (plan.security_group,) if plan.security_group is not None else found.security_groups
    return Instance(
        plan.name,
        server_id=found.servers[0].id if found.servers else "",
        address=found.floating_addresses[0].address if found.floating_addresses else "",
        floating_address_id=found.floating_addresses[0].id if found.floating_addresses else "",
        security_group_id=groups[0].id if groups else "",
    )


def _end_of(log: str) -> str:
    return "\n".join(log.splitlines()[-LOG_LINES:])
