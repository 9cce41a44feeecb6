"""Launches an instance: reads what the cloud has, plans, carries the plan out, and undoes it when that fails."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.errors import Fault, InputError, Refused
from client.launcher.cloud import Mark
from client.launcher.deciding.labels import COMMIT, ORIGIN
from client.launcher.deciding.plan import container_images, make_plan
from client.launcher.deciding.preflight import preflight
from client.launcher.doing.apply import OVERTAKEN, Applying
from client.launcher.doing.undo import give_way, remove_unused, undo
from client.launcher.machine import cloud_config
from client.launcher.machine.container_images import ImageSource
from client.launcher.machine.push_keys import public_key
from client.launcher.machine.repository import (
    IN_IMAGE,
    UPLOADED,
    Code,
    check_is_pushed,
    find_code,
    is_commit,
)
from client.launcher.machine.user_data import faults_of

if TYPE_CHECKING:
    from client.launcher.cloud import Account, Belongings, Image
    from client.launcher.deciding.plan import Plan
    from client.launcher.deciding.preflight import Choices
    from client.launcher.deciding.request import LaunchRequest
    from client.launcher.doing.instance import Instance
    from client.launcher.doing.tools import Tools
    from client.launcher.machine.mode import Mode


@dataclass(frozen=True)
class Prepared:
    """A plan without faults, and what it was made of. `production` is whom a machine for development pushes to."""

    plan: Plan
    account: Account
    code: Code
    mode: Mode
    user_data: str
    production: str | None = None


@dataclass(frozen=True)
class Launched:
    """An instance; it answers, if that was waited for. Or the image that was made of it.

    What this run has made of it carries `mark`.
    """

    instance: Instance
    prepared: Prepared
    is_awaited: bool
    mark: Mark
    image: Image | None = None


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
    ranges = _ranges_let_in(request, existing, inventory.account, tools=tools, faults=faults)
    tools.report.stage("looking at the code")
    code = _code(request, choices, faults)
    images = container_images(request, choices)
    user_data = _user_data(request, choices, code, images=images, faults=faults) if code is not None else ""
    if faults or code is None:
        raise Refused(f"{request.name} cannot be launched; nothing was made", faults=tuple(faults))
    plan = make_plan(request, choices, existing, ranges=ranges, code=code, user_data=user_data)
    return Prepared(plan, inventory.account, code, choices.mode, user_data, production=choices.production)


def _ranges_let_in(
    request: LaunchRequest, existing: Belongings, account: Account, *, tools: Tools, faults: list[Fault]
) -> tuple[str, ...]:
    """Who may come in, as far as that is known before there is an address; empty: this machine."""
    if request.allow_from or request.security_group is not None:
        return request.allow_from
    floating = existing.usable_address
    try:
        own = tools.surroundings.own_address(account.host if floating is None else floating.address)
    except InputError as error:
        faults.append(Fault("allow-from", "the addresses that may come in", str(error)))
        own = None
    return (own,) if own is not None and floating is not None else ()


def _code(request: LaunchRequest, choices: Choices, faults: list[Fault]) -> Code | None:
    """The code that was asked for; if none was, that of the instance or the image; else this checkout's."""
    if request.code.is_open and choices.server is not None and is_commit(choices.server.metadata.get(COMMIT)):
        return Code(choices.server.metadata[COMMIT], choices.server.metadata.get(ORIGIN, UPLOADED))
    if request.code.is_open and choices.image is not None and is_commit(choices.image.properties.get(COMMIT)):
        return Code(choices.image.properties[COMMIT], IN_IMAGE)
    try:
        code = find_code(request.code)
        if choices.server is None:
            check_is_pushed(code)
    except (InputError, Refused) as error:
        faults.append(Fault("code", "a commit that the instance can get", str(error)))
        return None
    return code


def _user_data(
    request: LaunchRequest, choices: Choices, code: Code, *, images: ImageSource, faults: list[Fault]
) -> str:
    if choices.server is not None:
        return ""
    is_baked = choices.image is not None and COMMIT in choices.image.properties
    config = cloud_config.CloudConfig(
        code.commit,
        code.repository,
        workers=request.workers,
        is_baked=is_baked,
        mode=choices.mode,
        images=images,
        domain=choices.domain,
        takes_pushes=choices.takes_pushes,
        role=choices.role,
        push_keys=_push_keys(request, choices),
    )
    user_data = cloud_config.render(config)
    faults += [Fault("user-data", "what a cloud takes", fault) for fault in faults_of(user_data)]
    return user_data


def _push_keys(request: LaunchRequest, choices: Choices) -> tuple[str, ...]:
    """Who may push models: whoever was named; else whoever may log in, as far as the cloud tells their key."""
    if request.push_keys or choices.keypair is None or not choices.takes_pushes:
        return request.push_keys
    key = public_key(choices.keypair.public_key, called=choices.keypair.name)
    return () if key is None else (key,)


def launch(request: LaunchRequest, tools: Tools, *, goes_on: bool = False) -> Launched:
    """Make an instance, or what is missing of it, and wait until it answers; or make an image of a new one.

    What this run has made is deleted again if it fails or is interrupted, unless the request keeps it. One that goes on
    with what was launched a moment ago says nothing of that.

    Raises:
        Refused: There are faults, or the cloud says no. InstanceFailed: It does not come up.
        Unavailable: The cloud does not answer.
    """
    mark = Mark(request.name, run=secrets.token_hex(8))
    try:
        return _launch_once(request, tools, mark=mark, is_told=not goes_on)
    except Refused as refusal:
        if refusal.code != OVERTAKEN or request.baked_image is not None:
            raise
    # Another run was quicker: what it makes is what we wait for.
    try:
        again = Mark(request.name, run=secrets.token_hex(8))
        return _launch_once(request, tools, mark=again, is_told=True)
    finally:
        remove_unused(mark, tools)


def _launch_once(request: LaunchRequest, tools: Tools, *, mark: Mark, is_told: bool) -> Launched:
    prepared = prepare(request, tools)
    for note in prepared.plan.notes if is_told else ():
        tools.report.note(note)
    applying = Applying(prepared.plan, tools, mark=mark, host=prepared.account.host)
    try:
        instance = applying.run()
        return Launched(instance, prepared, is_awaited=request.waits, mark=mark, image=applying.image)
    except BaseException as failure:
        if isinstance(failure, Refused) and failure.code == OVERTAKEN and request.baked_image is None:
            give_way(mark, tools)
        elif request.keeps:
            tools.report.warn(f"kept what was made: stop_instance.py {request.name} deletes it")
        else:
            undo(mark, tools, is_settled=not applying.is_creating)
        raise
