"""The launcher's options: from a flag, from launch.yaml, or from the environment, in that order."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from client.errors import InputError
from client.launcher.deciding.request import (
    DEFAULT_NAME,
    LaunchRequest,
    checked_name,
    checked_range,
)
from client.launcher.machine.container_images import ImageSource, checked_prefix, read_authority
from client.launcher.machine.domain import checked_domain
from client.launcher.machine.mode import Mode
from client.launcher.machine.push_keys import read_push_key
from client.launcher.machine.repository import CodeRequest
from client.launcher.settings_file import FileArgument, FileOption
from client.options import setting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def _finite(_ctx: click.Context, _option: click.Parameter, value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter("it is no number of seconds")
    return value


def option(flag: str, *, env: str, **attributes: Any) -> Callable[[Any], Any]:
    """An option of the launcher; --help names its variable."""
    return setting(flag, env=env, cls=FileOption, **attributes)


def _many(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


cloud = click.option(
    "--cloud",
    cls=FileOption,
    envvar="OS_CLOUD",
    show_envvar=True,
    metavar="NAME",
    help="A cloud of clouds.yaml. Without one, OS_AUTH_URL and the other variables of an openrc file count.",
)

name = click.argument("name", cls=FileArgument, required=False, metavar="[NAME]", envvar="CELERIAC_NAME")

as_json = option("--json", env="JSON", is_flag=True, help="Print JSON on stdout at the end, for scripts.")
quiet = option("--quiet", env="QUIET", is_flag=True, help="Show no progress; errors are still shown.")

code = _many(
    option(
        "--repository",
        env="REPOSITORY",
        metavar="URL",
        help="The git repository that the instance fetches the code from.  [default: this one's origin]",
    ),
    option(
        "--commit",
        env="COMMIT",
        metavar="REVISION",
        help="What of it: a commit, branch or tag; it is pinned to its commit now.  [default: HEAD of this checkout]",
    ),
    option(
        "--upload",
        env="UPLOAD",
        is_flag=True,
        help="Push the code from this checkout's HEAD over SSH: the repository needs no public address.",
    ),
    option(
        "--workers",
        env="WORKERS",
        type=click.IntRange(1, 64),
        metavar="N",
        help="Worker processes.  [default: one for each core]",
    ),
    option(
        "--mode",
        env="MODE",
        type=click.Choice([str(mode) for mode in Mode]),
        help="How it runs there: units of systemd, or containers under Compose.  "
        "[default: systemd, or as the image was baked]",
    ),
    option(
        "--image-prefix",
        env="IMAGE_PREFIX",
        metavar="PREFIX",
        help="With --mode docker: the registry that has the images, such as registry.example:5000/lab/, instead of "
        "building them on the instance.",
    ),
    option(
        "--registry-ca",
        env="REGISTRY_CA",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="With --image-prefix: the certificate (PEM) of the authority that the instance shall trust with it.",
    ),
    option(
        "--domain",
        env="DOMAIN",
        metavar="NAME",
        help="The name in the DNS that it answers to, on port 443, with certificates that it gets by itself; not with "
        "--mode docker.",
    ),
    option(
        "--models-repository",
        env="MODELS_REPOSITORY",
        is_flag=True,
        help="It has a git repository for models: what is pushed there is held against what serves, and goes live; "
        "not with --mode docker.",
    ),
    option(
        "--push-key",
        env="PUSH_KEY",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        multiple=True,
        metavar="FILE",
        help="With --models-repository: a public SSH key that may push models, and nothing else; may be repeated.  "
        "[default: the keypair's]",
    ),
)

resources = _many(
    option(
        "--image",
        env="IMAGE",
        metavar="IMAGE",
        help="Debian 12, Debian 13 or Ubuntu 24.04 (containers: not Debian 12), or a baked image.",
    ),
    option(
        "--flavor",
        env="FLAVOR",
        metavar="FLAVOR",
        help="The size: 1 GB of memory, 6 GB of disk or more; in containers 2 GB and 10 GB.",
    ),
    option(
        "--network", env="NETWORK", metavar="NETWORK", help="The network that the instance is attached to."
    ),
    option("--keypair", env="KEYPAIR", metavar="KEYPAIR", help="The SSH key that opens the instance."),
    option(
        "--floating-network",
        env="FLOATING_NETWORK",
        metavar="NETWORK",
        help="The external network that a floating IP is taken from, or `none`.",
    ),
    option(
        "--security-group",
        env="SECURITY_GROUP",
        metavar="GROUP",
        help="A security group that exists, instead of one of the instance's own; it is not changed.",
    ),
    option(
        "--allow-from",
        env="ALLOW_FROM",
        multiple=True,
        metavar="CIDR",
        help="Who may reach ports 22 and 5100, with --domain 22 and 443; may be repeated.  "
        "[default: this machine's address towards the cloud]",
    ),
)

ssh = _many(
    option(
        "--identity",
        env="IDENTITY",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="The private key of the keypair.  [default: those that ssh finds]",
    ),
    option(
        "--login",
        env="LOGIN",
        metavar="USER",
        help="The image's login user.  [default: the one that its console names]",
    ),
)


running = _many(
    option(
        "--timeout",
        env="LAUNCH_TIMEOUT",
        type=click.FloatRange(min=0, min_open=True),
        default=1800,
        show_default=True,
        metavar="SECONDS",
        callback=_finite,
        help="When to give up.",
    ),
    option(
        "--wait/--no-wait",
        env="WAIT",
        default=True,
        show_default=True,
        help="Wait until the service answers; or leave when the cloud has booted the instance.",
    ),
    option(
        "--keep", env="KEEP", is_flag=True, help="Keep what was made when the launch fails or is interrupted."
    ),
    option(
        "--dry-run",
        env="DRY_RUN",
        is_flag=True,
        help="Print the plan and the cloud-config, and change nothing.",
    ),
    option(
        "--bake",
        env="BAKE",
        metavar="IMAGE",
        help="Make an image of the instance, then delete the instance.",
    ),
)


def launch_request(name: str | None, options: Mapping[str, Any]) -> LaunchRequest:
    """What the options ask for.

    Raises:
        InputError: They contradict each other, or a name or a range of addresses is none.
    """
    wanted: Sequence[str] = options["allow_from"]
    if not options["wait"] and (options["upload"] or options["bake"]):
        raise InputError("--no-wait does not go with --upload and --bake, which need the instance")
    if options["security_group"] and wanted:
        raise InputError("--security-group names a group that is not changed: --allow-from would do nothing")
    chosen = ("image", "flavor", "network", "keypair", "security_group", "floating_network", "workers")
    return LaunchRequest(
        name=checked_name(name or DEFAULT_NAME),
        allow_from=tuple(checked_range(each) for each in wanted),
        code=code_request(options),
        mode=Mode(options["mode"]) if options["mode"] else None,
        images=image_source(options),
        waits=options["wait"],
        baked_image=options["bake"],
        keeps=options["keep"],
        domain=domain(options),
        takes_pushes=takes_pushes(options),
        push_keys=push_keys(options),
        **{each: options[each] for each in chosen},
    )


def domain(options: Mapping[str, Any]) -> str | None:
    """The name in the DNS that the options ask for.

    Raises:
        InputError: It is none, or containers would have to answer to it.
    """
    asked: str | None = options["domain"]
    if asked is None:
        return None
    if options["mode"] == Mode.DOCKER:
        raise InputError("--domain does not go with --mode docker yet")
    return checked_domain(asked)


def takes_pushes(options: Mapping[str, Any]) -> bool:
    """Whether the options ask for a repository for models.

    Raises:
        InputError: It would have to be in containers.
    """
    asked: bool = options["models_repository"]
    if asked and options["mode"] == Mode.DOCKER:
        raise InputError(
            "--models-repository does not go with --mode docker yet: the repository's hooks run beside the service"
        )
    return asked


def push_keys(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The public keys that the options name, in lines of type, key and comment.

    Raises:
        InputError: A file has none, or there is nothing to push to.
    """
    files: Sequence[Path] = options["push_key"]
    if files and not options["models_repository"]:
        raise InputError("--push-key says who may push models: it goes with --models-repository")
    return tuple(read_push_key(file) for file in files)


def code_request(options: Mapping[str, Any]) -> CodeRequest:
    """Which code the options ask for.

    Raises:
        InputError: They contradict each other.
    """
    asked = CodeRequest(options["repository"], options["commit"], is_uploaded=options["upload"])
    if asked.is_uploaded and (asked.repository or asked.commit):
        raise InputError("--upload pushes this checkout's HEAD: it does not go with --repository or --commit")
    return asked


def image_source(options: Mapping[str, Any]) -> ImageSource:
    """Where the options say that container images are from.

    Raises:
        InputError: There will be no containers; or the registry or the certificate is none.
    """
    prefix, authority = options["image_prefix"], options["registry_ca"]
    if (prefix or authority) and options["mode"] != Mode.DOCKER:
        raise InputError("--image-prefix and --registry-ca are for containers: they go with --mode docker")
    if authority and not prefix:
        raise InputError("--registry-ca is for the registry that --image-prefix names")
    return ImageSource(
        checked_prefix(prefix) if prefix else None, read_authority(authority) if authority else None
    )
