"""Launches an instance: reads what the cloud has, plans, carries the plan out, and undoes it when that fails."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from client.errors import ClientError, Fault, InputError, Refused
from client.launcher import cloud_config
from client.launcher.apply import OVERTAKEN, Applying
from client.launcher.clock import TimeIsUp
from client.launcher.cloud import Mark
from client.launcher.plan import COMMIT, ORIGIN, make_plan
from client.launcher.preflight import preflight
from client.launcher.removal import TIMEOUT_S, remove
from client.launcher.source import IN_IMAGE, UPLOADED, Source, check_is_pushed, find_source

if TYPE_CHECKING:
    from client.launcher.apply import Instance
    from client.launcher.cloud import Account, Belongings
    from client.launcher.plan import Plan
    from client.launcher.preflight import Choices
    from client.launcher.request import LaunchRequest
    from client.launcher.tools import Tools

SETTLING_S = 2.0


@dataclass(frozen=True)
class Prepared:
    """A plan without faults, and what it was made of."""

    plan: Plan
    account: Account
    source: Source
    user_data: str


@dataclass(frozen=True)
class Launched:
    """An instance; it answers, if that was waited for."""

    instance: Instance
    prepared: Prepared
    is_awaited: bool


def prepare(request: LaunchRequest, tools: Tools) -> Prepared:
    """Look at everything that would stop the launch, and plan it. Changes nothing.

    Raises:
        Refused: With all faults that were found.
    """
    tools.report.stage("looking at the cloud")
    inventory = tools.cloud.inventory()
    existing = tools.cloud.belongings().of_name(request.name)
    choices, found = preflight(request, inventory, existing)
    faults = list(found)
    sources = _sources(request, existing, inventory.account, tools=tools, faults=faults)
    tools.report.stage("looking at the code")
    source = _source(request, choices, faults)
    user_data = _user_data(request, choices, source, faults) if source is not None else ""
    if faults or source is None:
        raise Refused(f"{request.name} cannot be launched; nothing was made", faults=tuple(faults))
    plan = make_plan(request, choices, existing, sources=sources, source=source, user_data=user_data)
    return Prepared(plan, inventory.account, source, user_data)


def _sources(
    request: LaunchRequest, existing: Belongings, account: Account, *, tools: Tools, faults: list[Fault]
) -> tuple[str, ...]:
    """Who may come in, as far as that is known before there is an address; empty: this machine."""
    if request.allow_from or request.security_group is not None:
        return request.allow_from
    addresses = existing.floating_addresses
    try:
        own = tools.surroundings.own_address(addresses[0].address if addresses else account.host)
    except InputError as error:
        faults.append(Fault("allow-from", "the addresses that may come in", str(error)))
        own = None
    return (own,) if own is not None and addresses else ()


def _source(request: LaunchRequest, choices: Choices, faults: list[Fault]) -> Source | None:
    """The code that was asked for; if none was, that of the instance or the image; else this checkout's."""
    if request.code.is_open and choices.server is not None and COMMIT in choices.server.metadata:
        return Source(choices.server.metadata[COMMIT], choices.server.metadata.get(ORIGIN, UPLOADED))
    if request.code.is_open and choices.image is not None and COMMIT in choices.image.properties:
        return Source(choices.image.properties[COMMIT], IN_IMAGE)
    try:
        source = find_source(request.code)
        if choices.server is None:
            check_is_pushed(source)
    except (InputError, Refused) as error:
        faults.append(Fault("code", "a commit that the instance can get", str(error)))
        return None
    return source


def _user_data(request: LaunchRequest, choices: Choices, source: Source, faults: list[Fault]) -> str:
    is_baked = choices.image is not None and COMMIT in choices.image.properties
    config = cloud_config.CloudConfig(
        source.commit, source.repository, workers=request.workers, is_baked=is_baked
    )
    user_data = cloud_config.render(config)
    faults += [
        Fault("user-data", "what cloud-init takes", fault) for fault in cloud_config.faults_of(user_data)
    ]
    return user_data


def launch(request: LaunchRequest, tools: Tools, *, keeps: bool) -> Launched:
    """Make an instance, or what is missing of it, and wait until it answers.

    What this run has made is deleted again if it fails or is interrupted, unless it `keeps` it.

    Raises:
        Refused: There are faults, or the cloud says no. InstanceFailed: It does not come up.
        Unavailable: The cloud does not answer.
    """
    try:
        return _launch_once(request, tools, keeps=keeps)
    except Refused as refusal:
        if refusal.code != OVERTAKEN:
            raise
        # Another run was quicker: what it makes is what we wait for.
        return _launch_once(request, tools, keeps=keeps)


def _launch_once(request: LaunchRequest, tools: Tools, *, keeps: bool) -> Launched:
    prepared = prepare(request, tools)
    for note in prepared.plan.notes:
        tools.report.note(note)
    mark = Mark(request.name, run=secrets.token_hex(8))
    applying = Applying(prepared.plan, tools, mark=mark, host=prepared.account.host)
    try:
        return Launched(applying.run(), prepared, is_awaited=request.waits)
    except BaseException:
        if keeps:
            tools.report.note(f"kept what was made: stop_instance.py {request.name} deletes it")
        else:
            undo(mark, tools)
        raise


def undo(mark: Mark, tools: Tools) -> None:
    """Delete what one run has made; if that does not succeed, say so and leave it to the user."""
    tools.report.stage("undoing what was made")
    tools = replace(tools, clock=tools.clock.restarted(TIMEOUT_S))
    try:
        # A request that was interrupted may take effect a moment later.
        tools.clock.pause(SETTLING_S)
        while not (made := tools.cloud.belongings().of_run(mark.run)).is_empty:
            remove(made, tools)
        tools.report.note("what was made is deleted again")
    except (ClientError, KeyboardInterrupt, TimeIsUp) as error:
        why = str(error) or "interrupted again"
        tools.report.note(f"not everything was undone ({why}): stop_instance.py {mark.name} deletes the rest")
