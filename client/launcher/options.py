"""The launcher's options: from a flag, from launch.yaml, or from the environment, in that order."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from client.launcher.machine.mode import Mode
from client.launcher.machine.role import Role
from client.launcher.settings_file import FileArgument, FileOption
from client.options import setting

if TYPE_CHECKING:
    from collections.abc import Callable


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
        "--role",
        env="ROLE",
        type=click.Choice([str(role) for role in Role]),
        default=str(Role.PRODUCTION),
        show_default=True,
        help="What it is for: production serves; development trains models, and may push them to --production.",
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
        "--production",
        env="PRODUCTION",
        metavar="NAME",
        help="With --role development: the instance that it pushes models to.",
    ),
    option(
        "--with-development",
        env="WITH_DEVELOPMENT",
        is_flag=True,
        help="Boot a machine for development as well, NAME-development, which may push models to this one.",
    ),
    option(
        "--development-flavor",
        env="DEVELOPMENT_FLAVOR",
        metavar="FLAVOR",
        help="With --with-development: its size: 3 GB of memory, 10 GB of disk or more.  [default: that of --flavor]",
    ),
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
