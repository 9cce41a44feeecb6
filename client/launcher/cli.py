"""The launcher's command lines: start_instance.py (launch, list, render) and stop_instance.py."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from client import exits, output
from client.errors import InputError, Refused
from client.launcher import options, outcome, wanted
from client.launcher.deciding.request import checked_name
from client.launcher.doing.clock import Clock
from client.launcher.doing.launch import launch, prepare
from client.launcher.doing.pair import PairTools, launch_pair, prepare_pair
from client.launcher.doing.removal import TIMEOUT_S, remove
from client.launcher.doing.report import live_report
from client.launcher.doing.tools import Tools
from client.launcher.listing import listed, pushing_to
from client.launcher.machine import cloud_config
from client.launcher.machine.mode import Mode
from client.launcher.machine.repository import find_code, uncommitted
from client.launcher.machine.ssh import known_hosts_file
from client.launcher.machine.surroundings import Outside
from client.launcher.outcome import WaysIn
from client.launcher.settings_file import settings_file
from client.options import setting, version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from client.launcher.cloud import Belongings, Cloud
    from client.launcher.deciding.request import LaunchRequest, PairRequest
    from client.launcher.doing.launch import Launched
    from client.launcher.outcome import Outcome

START, STOP = "start_instance.py", "stop_instance.py"

EPILOG = """\
\b
Exit codes
  0    all went well
  2    wrong usage: an option, a file, or no credentials
  3    the cloud refused, or something would stop the launch
  4    the cloud does not answer, or did not finish in time
  5    the instance did not come up
  130  interrupted, or not confirmed

What a run that ends with 3, 4, 5 or 130 has made is deleted again, unless --keep.
"""


class DefaultCommand(click.Group):
    """A group whose first command is meant when none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)


def connect(name: str | None) -> Cloud:
    """The project that the credentials open."""
    # The libraries of the cloud take a second to load: --help and render do without.
    from client.launcher.openstack.cloud import connect as connect_openstack

    return connect_openstack(name)


@contextlib.contextmanager
def _at_work(cloud: Cloud, outside: Outside, *, timeout_s: float, is_quiet: bool) -> Iterator[Tools]:
    clock = Clock(timeout_s)
    with live_report(lambda: clock.elapsed_s, is_quiet=is_quiet) as report:
        yield Tools(cloud, outside, clock, report)


@click.group(cls=DefaultCommand, epilog=EPILOG)
def start() -> None:
    """Boot a cloud instance that configures itself and answers predictions."""


@start.command("launch", epilog=EPILOG)
@version
@options.name
@settings_file
@options.cloud
@options.resources
@options.code
@options.ssh
@options.running
@options.as_json
@options.quiet
def launch_command(name: str | None, **given: Any) -> None:
    """Boot an instance that configures itself, and wait until it answers predictions.

    NAME is what it is called; `celeriac`, if not given. A second run with the same name adds what is missing of the
    instance and waits for it. Other commands: `list` shows what runs, `render` prints the cloud-config without a cloud.

    \b
    Examples
      start_instance.py --cloud mycloud --flavor m1.small --keypair laptop
      start_instance.py lab --upload --allow-from 192.0.2.0/24
      start_instance.py lab --domain celeriac.example.org
      start_instance.py lab --models-repository --push-key ~/.ssh/id_ed25519.pub
      start_instance.py lab --with-development --development-flavor m1.large
      start_instance.py lab-development --role development --production lab
      start_instance.py lab --dry-run
      start_instance.py --bake celeriac-image
      start_instance.py lab --mode docker --image-prefix registry.example:5000/lab/
      start_instance.py lab --image celeriac-image
    """
    request = wanted.launch_request(name, given)
    pair = wanted.pair_request(request, given)
    outside = _outside(request.name, given)
    cloud = connect(given["cloud"])
    with _at_work(cloud, outside, timeout_s=given["timeout"], is_quiet=given["quiet"]) as tools:
        if (changed := uncommitted()) and not request.code.repository:
            tools.report.note(
                f"{changed} files of this checkout have changes that are not committed: they stay here"
            )
        # Found out now, a folder that cannot be written to costs nothing.
        if not given["dry_run"]:
            outside.known_hosts.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        end = (
            _launched(request, tools, outside, given) if pair is None else _launched_pair(pair, tools, given)
        )
    end.show(as_json=given["json"])


def _outside(name: str, given: Mapping[str, Any]) -> Outside:
    return Outside(name, login=given["login"], identity=given["identity"])


def _launched(request: LaunchRequest, tools: Tools, outside: Outside, given: Mapping[str, Any]) -> Outcome:
    if given["dry_run"]:
        return outcome.of_plan(prepare(request, tools))
    launched = launch(request, tools)
    if launched.image is not None:
        return outcome.of_bake(launched.image, tools)
    return outcome.of_launch(launched, tools, _ways_in(launched, tools, outside))


def _launched_pair(request: PairRequest, tools: Tools, given: Mapping[str, Any]) -> Outcome:
    outside = [_outside(each.name, given) for each in (request.production, request.development)]
    pair_tools = PairTools(*(replace(tools, surroundings=each) for each in outside))
    if given["dry_run"]:
        return outcome.of_plans(*prepare_pair(request, pair_tools))
    pair = launch_pair(request, pair_tools)
    ends = [
        outcome.of_launch(launched, tools, _ways_in(launched, tools, each))
        for launched, each in zip((pair.production, pair.development), outside, strict=True)
    ]
    return outcome.of_pair(*ends, is_there=request.is_there)


def _ways_in(launched: Launched, tools: Tools, outside: Outside) -> WaysIn:
    """How a user gets in; the host keys are kept for that."""
    instance = launched.instance
    shell = outside.shell(instance.address, login=instance.login)
    try:
        shell.trust(instance.host_keys)
    except OSError as error:
        tools.report.warn(
            f"the host keys could not be kept ({error.strerror}): ssh will not know the instance"
        )
    return WaysIn(tuple(shell.command()), shell.git_command())


@start.command("list", epilog=EPILOG)
@options.cloud
@options.as_json
@options.quiet
def list_command(**given: Any) -> None:
    """Show the instances that the launcher has made in this project, and what is left of some.

    \b
    Examples
      start_instance.py list
      start_instance.py list --json
    """
    found = listed(connect(given["cloud"]).belongings())
    if given["json"]:
        output.print_json({"instances": [asdict(each) for each in found]})
    elif not found:
        output.print_note("The launcher has made nothing in this project.")
    else:
        columns = ("NAME", "ROLE", "STATUS", "URL", "COMMIT", "CREATED")
        rows = (
            (each.name, each.role, each.status, each.url, (each.commit or "")[:12], each.created)
            for each in found
        )
        output.print_table(columns, ([cell or "" for cell in row] for row in rows))


@start.command("render", epilog=EPILOG)
@settings_file
@options.code
@options.option("--baked", env="BAKED", is_flag=True, help="For an image that was made with --bake.")
def render_command(**given: Any) -> None:
    """Print the cloud-config (user-data) of an instance; asks no cloud.

    \b
    Examples
      start_instance.py render --upload
      start_instance.py render --mode docker
      start_instance.py render --repository https://git.example/celeriac --commit v1.0 > user-data.yaml
    """
    code = find_code(wanted.code_request(given))
    config = cloud_config.CloudConfig(
        code.commit,
        code.repository,
        workers=given["workers"],
        is_baked=given["baked"],
        mode=Mode(given["mode"] or Mode.SYSTEMD),
        images=wanted.image_source(given),
        domain=wanted.domain(given),
        role=wanted.role(given),
        takes_pushes=wanted.takes_pushes(given),
        push_keys=wanted.push_keys(given),
    )
    click.echo(cloud_config.render(config), nl=False)


@click.command(epilog=EPILOG)
@version
@click.argument("name", envvar="CELERIAC_NAME")
@options.cloud
@setting(
    "--with-development",
    env="WITH_DEVELOPMENT",
    is_flag=True,
    help="Delete the machines for development that push to it as well, with all that was not pushed.",
)
@setting("--yes", env="YES", is_flag=True, help="Do not ask.")
@options.as_json
@options.quiet
def stop(name: str, **given: Any) -> None:
    """Delete an instance, its floating IP and its security group, and nothing else.

    Its jobs and results are lost with it, or on one for development what was not pushed.

    \b
    Examples
      stop_instance.py lab
      stop_instance.py lab --with-development
      stop_instance.py lab --yes --json
    """
    outside = Outside(checked_name(name))
    cloud = connect(given["cloud"])
    belongings = cloud.belongings()
    pushing = pushing_to(name, belongings)
    own = belongings.of_names([name, *pushing] if given["with_development"] else [name])
    if belongings.of_name(name).is_empty:
        others = ", ".join(belongings.names) or "none"
        raise Refused(f"the launcher has made no instance called {name} in this project; there is: {others}")
    if not given["yes"] and not _is_confirmed(own):
        output.print_note("Nothing was deleted.")
        raise click.exceptions.Exit(exits.INTERRUPTED)
    with _at_work(cloud, outside, timeout_s=TIMEOUT_S, is_quiet=given["quiet"]) as tools:
        remove(own, tools)
    for each in own.names:
        with contextlib.suppress(OSError):
            known_hosts_file(each).unlink(missing_ok=True)
    outcome.of_removal(name, own, left=[each for each in pushing if each not in own.names]).show(
        as_json=given["json"]
    )


def _is_confirmed(own: Belongings) -> bool:
    what = [f"server {server.name}" for server in own.servers]
    what += [f"floating IP {address.address}" for address in own.floating_addresses]
    what += [f"security group {group.name}" for group in own.security_groups]
    try:
        return click.confirm(f"Delete {', '.join(what)}, with all that is on {_count(own)}?", err=True)
    except click.Abort as error:
        raise InputError("there is nobody to ask: give --yes") from error


def _count(own: Belongings) -> str:
    return "it" if len(own.servers) <= 1 else "them"


def main_start(arguments: Sequence[str] | None = None) -> int:
    """Run start_instance.py and answer its exit code."""
    return _main(start, arguments, name=START)


def main_stop(arguments: Sequence[str] | None = None) -> int:
    """Run stop_instance.py and answer its exit code."""
    return _main(stop, arguments, name=STOP)


def _main(command: click.Command, arguments: Sequence[str] | None, *, name: str) -> int:
    # Asked to end, or left alone by its terminal, the launcher undoes what it made, as after Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    return exits.run(command, arguments, name=name)
