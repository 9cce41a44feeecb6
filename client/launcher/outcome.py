"""What a command of the launcher prints at its end: facts for scripts and lines for people."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from client import output
from client.launcher.deciding.labels import PRODUCTION
from client.launcher.doing.report import minutes
from client.launcher.machine.push_keys import models_url
from client.launcher.machine.role import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.launcher.cloud import Belongings, Image
    from client.launcher.doing.instance import Instance
    from client.launcher.doing.launch import Launched, Prepared
    from client.launcher.doing.report import Stage
    from client.launcher.doing.tools import Tools


PRODUCTION_REMOTE = "production"
"""What git calls it, in a clone of the models."""


@dataclass(frozen=True)
class Outcome:
    """The end of a command."""

    facts: dict[str, Any]
    lines: tuple[str, ...]

    def show(self, *, as_json: bool) -> None:
        """Print it on stdout."""
        if as_json:
            output.print_json(self.facts)
        else:
            output.print_lines(self.lines)


@dataclass(frozen=True)
class WaysIn:
    """What a user types to get in, and what git runs to."""

    ssh: tuple[str, ...]
    git_ssh: str


def of_plan(prepared: Prepared) -> Outcome:
    """What would be done."""
    plan, account = prepared.plan, prepared.account
    steps = [str(step) for step in plan.steps]
    facts = {
        "name": plan.name,
        "project": account.project,
        "commit": prepared.code.commit,
        "origin": prepared.code.origin,
        "mode": prepared.mode,
        "steps": steps,
        "notes": list(plan.notes),
        "user_data": prepared.user_data,
    }
    lines = (
        f"project {account.project} at {account.host}, as {account.user}",
        f"code: commit {prepared.code.commit}, from {prepared.code.origin}",
        *(f"note: {note}" for note in plan.notes),
        *(f"{number:>3}. {step}" for number, step in enumerate(steps, 1)),
        "",
        prepared.user_data.rstrip("\n"),
    )
    return Outcome(facts, lines)


def of_plans(production: Prepared, development: Prepared) -> Outcome:
    """What would be done for both."""
    first, second = of_plan(production), of_plan(development)
    return Outcome({**first.facts, "development": second.facts}, (*first.lines, "", *second.lines))


def of_pair(production: Outcome, development: Outcome, *, is_there: bool) -> Outcome:
    """The end of both launches; of one that was there before, only how to get in is news to nobody."""
    facts = {**production.facts, "development": development.facts}
    return Outcome(facts, development.lines if is_there else (*production.lines, *development.lines))


def of_launch(launched: Launched, tools: Tools, ways: WaysIn) -> Outcome:
    """Where the service is, and how to get in, push to it, and rid of it; or how to train where none is."""
    if launched.instance.role == Role.DEVELOPMENT:
        return _of_development(launched, tools, ways)
    return _of_production(launched, tools, ways)


def _of_development(launched: Launched, tools: Tools, ways: WaysIn) -> Outcome:
    instance, seconds, ssh = launched.instance, round(tools.clock.elapsed_s, 1), shlex.join(ways.ssh)
    production = launched.prepared.production
    facts = {
        "name": instance.name,
        "role": str(instance.role),
        "address": instance.address,
        "production": production,
        "push_key": instance.push_key or None,
        "ssh": ssh,
        "server_id": instance.server_id,
        "project": launched.prepared.account.project,
        "commit": launched.prepared.code.commit,
        "is_ready": launched.is_awaited,
        "seconds": seconds,
        "stages": _stages(tools.report.stages),
    }
    push = f" && git push {PRODUCTION_REMOTE}" if production is not None else ""
    lines = (
        f"{instance.name} {'is ready' if launched.is_awaited else 'boots'}, after {minutes(seconds)}.",
        f"  ssh          {ssh}",
        f"  train there  cd models && make train MODEL=fashion_mnist{push}",
        *([f"  production   {production}"] if production is not None else []),
        f"  delete it    python client/stop_instance.py {instance.name}",
    )
    return Outcome(facts, lines)


def _of_production(launched: Launched, tools: Tools, ways: WaysIn) -> Outcome:
    instance, seconds = launched.instance, round(tools.clock.elapsed_s, 1)
    ssh, git_ssh = ways.ssh, ways.git_ssh
    points_here = _points_here(instance, tools)
    facts = {
        "name": instance.name,
        "url": instance.url,
        "address": instance.address,
        "domain": instance.domain,
        "domain_points_here": points_here,
        "certificate": instance.certificate or None,
        "ssh": shlex.join(ssh),
        "models_repository": models_url(instance.address) if instance.takes_pushes else None,
        "git_ssh_command": git_ssh,
        "first_key": shlex.join([*ssh, "sudo", "celeriac", "first-key"]),
        "server_id": instance.server_id,
        "project": launched.prepared.account.project,
        "commit": launched.prepared.code.commit,
        "mode": launched.prepared.mode,
        "is_ready": launched.is_awaited,
        "seconds": seconds,
        "stages": _stages(tools.report.stages),
    }
    lines = (
        f"{instance.name} {'is ready' if launched.is_awaited else 'boots'}, after {minutes(seconds)}.",
        f"  page         {instance.url}/",
        f"  predictions  {instance.url}/predictions",
        f"  API          {instance.url}/docs",
        *(
            [f"  name         {instance.domain} must point to {instance.address}"]
            if points_here is False
            else []
        ),
        f"  certificate  {_certificate(instance, ssh)}",
        f"  first key    {shlex.join([*ssh, 'sudo', 'celeriac', 'first-key'])}",
        f"  ssh          {shlex.join(ssh)}",
        *([f"  models       {_remote(instance, git_ssh)}"] if instance.takes_pushes else []),
        f"  delete it    python client/stop_instance.py {instance.name}",
    )
    return Outcome(facts, lines)


def _remote(instance: Instance, git_ssh: str) -> str:
    """What makes the instance a remote of the git repository in which models are kept."""
    remote = ("git", "remote", "add", PRODUCTION_REMOTE, models_url(instance.address))
    return f"{shlex.join(remote)} && {shlex.join(('git', 'config', 'core.sshCommand', git_ssh))}"


def _points_here(instance: Instance, tools: Tools) -> bool | None:
    if instance.domain is None:
        return None
    return tools.surroundings.points_to(instance.domain, instance.address)


def _certificate(instance: Instance, ssh: Sequence[str]) -> str:
    if instance.domain is None:
        return instance.certificate or shlex.join([*ssh, "sudo", "celeriac", "fingerprint"])
    if instance.has_answered:
        return f"of an authority, for {instance.domain}"
    return f"comes by itself once {instance.domain} points to {instance.address}"


def of_bake(image: Image, tools: Tools) -> Outcome:
    """Which image was made."""
    seconds = round(tools.clock.elapsed_s, 1)
    facts = {
        "image": image.name,
        "image_id": image.id,
        "seconds": seconds,
        "stages": _stages(tools.report.stages),
    }
    lines = (
        f"Image {image.name} is ready, after {minutes(seconds)}.",
        f"  launch from it  python client/start_instance.py --image {image.name}",
    )
    return Outcome(facts, lines)


def of_removal(name: str, removed: Belongings, *, left: Sequence[str]) -> Outcome:
    """What was deleted, and which machines for development are left without it."""
    deleted = {
        "servers": [server.id for server in removed.servers],
        "floating_addresses": [address.address for address in removed.floating_addresses],
        "security_groups": [group.name for group in removed.security_groups],
    }
    lines = (
        *(f"{each} is deleted." for each in removed.names),
        *(f"{each} is left, and pushes to nobody: python client/stop_instance.py {each}" for each in left),
        *(
            f"{server.metadata[PRODUCTION]} still knows its key: sudo celeriac push-keys remove {server.name}"
            for server in removed.servers
            if server.metadata.get(PRODUCTION, server.name) not in removed.names
        ),
    )
    return Outcome({"name": name, "deleted": deleted, "left": list(left)}, lines)


def _stages(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    return [asdict(stage) for stage in stages]
