"""A real OpenStack for the tests: that of the test rig.

It takes minutes to install and a minute to start, so one that answers is used as it is and left running. What a test
does happens in a project of its own (`openstack_project`), beside whatever else the cloud is used for.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urlsplit

from testing.rig import STATE, make_once, run_script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openstack.connection import Connection

CLOUD, ADMIN = "rig", "rig-admin"


@dataclass(frozen=True)
class OpenStack:
    """A cloud that answers. `config` is a clouds.yaml with the clouds `rig` and `rig-admin`."""

    config: Path

    def auth(self, cloud: str = CLOUD) -> dict[str, str]:
        """The credentials of one of its clouds."""
        return dict(region_of(self.config, cloud).config["auth"])

    @contextlib.contextmanager
    def admin(self) -> Iterator[Connection]:
        """The cloud, as its administrator."""
        from openstack.connection import Connection

        connection = Connection(config=region_of(self.config, ADMIN))
        try:
            yield connection
        finally:
            connection.session.close()


@contextlib.contextmanager
def running_openstack(rig: Path, *, has_guests: bool = False) -> Iterator[OpenStack]:
    """The rig's OpenStack, for any number of processes at once.

    One that runs is used and left; else the first process starts it, and the last one stops it. It `has_guests` if
    instances are machines; an OpenStack of the other kind that runs is stopped first.
    """
    base, kind = STATE / "openstack", "libvirt" if has_guests else "fake"
    is_ours = STATE / "openstack-of-tests"
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "openstack-users.lock").open("a") as users:
        with _alone():
            if not _answers(base) or (base / ".virt").read_text().strip() != kind:
                run_script(rig / "openstack-down.sh")
                run_script(rig / "openstack-up.sh", OS_VIRT=kind, **(_guests(rig) if has_guests else {}))
                is_ours.touch()
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield OpenStack(base / "clouds.yaml")
        finally:
            with _alone():
                if _is_last(users) and is_ours.exists():
                    run_script(rig / "openstack-down.sh")
                    is_ours.unlink()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """While no other process starts or stops it."""
    with (STATE / "openstack.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_last(users: TextIO) -> bool:
    """Whether nobody else uses it."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def region_of(config: Path, cloud: str) -> Any:
    """A cloud of a clouds.yaml, whatever the environment says, for openstacksdk."""
    from openstack.config import OpenStackConfig

    return OpenStackConfig(config_files=[str(config)], load_envvars=False).get_one(cloud)


def _answers(base: Path) -> bool:
    config = base / "clouds.yaml"
    if not config.is_file():
        return False
    address = urlsplit(region_of(config, CLOUD).config["auth"]["auth_url"])
    try:
        socket.create_connection((address.hostname or "", address.port or 80), timeout=5).close()
    except OSError:
        return False
    return True


def debian_13(rig: Path) -> Path:
    """An image of Debian 13, made once in a minute."""
    image = STATE / "vm" / "debian-trixie.qcow2"
    work = str(STATE / "vm" / "build-trixie")
    make_once(image, rig / "vm-image.sh", str(image), SUITE="trixie", WORK=work)
    return image


def _guests(rig: Path) -> dict[str, str]:
    """What instances boot from, made once in a minute, and on which processor."""
    image = STATE / "vm" / "debian-cloudimg.qcow2"
    make_once(image, rig / "vm-image.sh")
    # The rig's own choice is a processor of 2006, on which numpy does not run.
    return {"OS_IMAGE_FILE": str(image), "OS_LIBVIRT_CPU_MODE": "custom", "OS_LIBVIRT_CPU_MODEL": "Nehalem"}
