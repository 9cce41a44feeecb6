"""What a user asks of the launcher, as one frozen value."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.errors import InputError
from client.launcher.machine.container_images import ImageSource
from client.launcher.machine.repository import CodeRequest
from client.launcher.machine.role import Role

if TYPE_CHECKING:
    from client.launcher.machine.mode import Mode

DEFAULT_NAME = "celeriac"
NONE = "none"
COMMANDS = frozenset({"launch", "list", "render"})

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class LaunchRequest:
    """One instance and what it shall be made of: names or ids; what is None is taken if there is just one.

    `allow_from` are address ranges (CIDR); empty: this machine. `floating_network` may be `NONE`: no floating address.
    `waits`: until the service answers, else until the cloud has booted the instance. `mode` None: that of the instance
    or the image, if it has one. `images` count in containers only. `baked_image`: what an image is called that shall be
    made of the instance. `keeps`: what was made stays when the launch fails, and so does an instance that was baked.
    `domain`: the name in the DNS that it shall answer to, with certificates that it gets by itself. `takes_pushes`: it
    shall have a repository for models, into which `push_keys` may push (lines of type, key and comment); none: the
    keypair. `role`: what it is for; `production` is the name of the instance that one for development pushes models to.
    """

    name: str = DEFAULT_NAME
    image: str | None = None
    flavor: str | None = None
    network: str | None = None
    keypair: str | None = None
    security_group: str | None = None
    floating_network: str | None = None
    allow_from: tuple[str, ...] = ()
    workers: int | None = None
    code: CodeRequest = CodeRequest()
    mode: Mode | None = None
    images: ImageSource = ImageSource()
    waits: bool = True
    baked_image: str | None = None
    keeps: bool = False
    domain: str | None = None
    takes_pushes: bool = False
    push_keys: tuple[str, ...] = ()
    role: Role = Role.PRODUCTION
    production: str | None = None


@dataclass(frozen=True)
class PairRequest:
    """An instance, and a machine on which models are trained for it.

    `is_there`: the instance was launched before, and nothing new is made of it.
    """

    production: LaunchRequest
    development: LaunchRequest
    is_there: bool = False


def checked_name(name: str) -> str:
    """The name of an instance, which becomes its host name.

    Raises:
        InputError: It cannot be one.
    """
    if name in COMMANDS:
        raise InputError(f"{name} is a command: it goes before all options, and is no name of an instance")
    if _NAME.fullmatch(name):
        return name
    raise InputError(
        f"the name of an instance is up to 63 lower-case letters, digits and hyphens, a letter first; got {name!r}"
    )


def checked_range(addresses: str) -> str:
    """A range of addresses in its canonical form: 192.0.2.7 becomes 192.0.2.7/32.

    Raises:
        InputError: It is none.
    """
    try:
        return str(ipaddress.ip_network(addresses))
    except ValueError as error:
        raise InputError(
            f"--allow-from takes addresses and ranges such as 192.0.2.7 or 192.0.2.0/24; {error}"
        ) from error
