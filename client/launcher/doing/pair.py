"""Launches an instance and a machine for development side by side, and lets the one push models to the other."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from client.errors import Fault, InstanceFailed, Refused
from client.launcher.cloud import Rule
from client.launcher.doing.launch import launch, prepare
from client.launcher.doing.undo import undo
from client.launcher.machine.address import SSH_PORT

if TYPE_CHECKING:
    from client.launcher.cloud import Mark
    from client.launcher.deciding.request import LaunchRequest, PairRequest
    from client.launcher.doing.instance import Instance
    from client.launcher.doing.launch import Launched, Prepared
    from client.launcher.doing.tools import Tools

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"


@dataclass(frozen=True)
class PairTools:
    """What each machine is launched with: the same cloud, clock and report, and another way in."""

    production: Tools
    development: Tools


@dataclass(frozen=True)
class Pair:
    """Both machines; the second may push models to the first."""

    production: Launched
    development: Launched


def prepare_pair(request: PairRequest, tools: PairTools) -> tuple[Prepared, Prepared]:
    """Plan both. Changes nothing.

    Raises:
        Refused: With all faults of both; or the instance that shall be there is not, or takes no pushes.
    """
    name = request.production.name
    own = tools.production.patiently(tools.production.cloud.belongings).of_name(name)
    if request.is_there and not own.servers:
        raise Refused(f"there is no instance called {name} to push models to")
    found: list[Prepared] = []
    faults: list[Fault] = []
    both = ((request.production, tools.production), (request.development, tools.development))
    for wanted, of in both:
        try:
            found.append(prepare(wanted, of))
        except Refused as refusal:
            if not refusal.faults:
                raise
            faults += [replace(each, field=f"{wanted.name} {each.field}") for each in refusal.faults]
    if faults:
        names = " and ".join(wanted.name for wanted, _ in both)
        raise Refused(f"{names} cannot be launched; nothing was made", faults=tuple(faults))
    production, development = found
    if not production.plan.takes_pushes:
        raise Refused(f"{name} takes no pushes of models: it was launched without --models-repository")
    return production, development


def launch_pair(request: PairRequest, tools: PairTools) -> Pair:
    """Boot both at once, wait for both, and let the one push to the other.

    What this run has made of both is deleted again if either fails, or it is interrupted, unless the request keeps it.

    Raises:
        As `launch`. Unavailable: There is no way in by SSH.
    """
    prepare_pair(request, tools)
    made: list[Mark] = []

    def launched(wanted: LaunchRequest, of: Tools, *, goes_on: bool = False) -> Launched:
        end = launch(wanted, of, goes_on=goes_on)
        made.append(end.mark)
        return end

    try:
        # The cloud boots it, and it sets itself up, while the other one is made and waited for.
        launched(replace(request.development, waits=False), tools.development)
        production = launched(request.production, tools.production)
        development = launched(request.development, tools.development, goes_on=True)
        connect(production, development, tools)
    except BaseException:
        if not request.development.keeps:
            for mark in made:
                undo(mark, tools.development)
        raise
    return Pair(production, development)


def connect(production: Launched, development: Launched, tools: PairTools) -> None:
    """Let a machine for development push models to an instance, and nothing else; again changes nothing.

    Raises:
        InstanceFailed: Its console shows no key.
        Unavailable: There is no way in by SSH, or one does not reach the other.
    """
    one, other = production.instance, development.instance
    tools.development.report.stage(f"letting {other.name} push models to {one.name}")
    if not other.push_key:
        raise InstanceFailed(f"the console of {other.name} shows no key that could push models")
    _let_in(production, other, tools.production)
    _run(one, tools.production, "sudo", "celeriac", "push-keys", "add", f"{other.push_key} {other.name}")
    host_key = " ".join(_run(one, tools.production, "cat", HOST_KEY).split()[:2])
    addresses = " ".join(_addresses(one, tools.production))
    _run(other, tools.development, "sudo", "celeriac", "connect", addresses, host_key)


def _let_in(production: Launched, development: Instance, tools: Tools) -> None:
    """Open the port of SSH to a machine, from each of the addresses that its packets may carry."""
    sources = [str(ipaddress.ip_network(each)) for each in _addresses(development, tools)]
    if production.prepared.plan.security_group is not None:
        tools.report.note(
            f"security group {production.prepared.plan.security_group.name} is not changed: port {SSH_PORT} must be "
            f"open to {' or '.join(sources)}"
        )
        return
    for source in sources:
        tools.patiently(
            partial(tools.cloud.open_port, production.instance.security_group_id, Rule(SSH_PORT, source))
        )


def _addresses(instance: Instance, tools: Tools) -> list[str]:
    """Its own first: to a machine in the same network that is the short way."""
    server = tools.patiently(partial(tools.cloud.server, instance.server_id))
    own = server.addresses if server is not None else ()
    return list(dict.fromkeys((*own, instance.address)))


def _run(instance: Instance, tools: Tools, *command: str) -> str:
    return tools.patiently(
        partial(
            tools.surroundings.execute,
            *command,
            address=instance.address,
            login=instance.login,
            host_keys=instance.host_keys,
        )
    )
