"""A real OpenStack for the tests: that of a test rig, whose folder of scripts the variable TEST_RIG names.

It takes minutes to install and a minute to start, so one that answers is used as it is and left running. What a test
does happens in a project of its own (`openstack_project`), beside whatever else the cloud is used for.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.services.processes import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openstack.connection import Connection

VARIABLE = "TEST_RIG"
CLOUD, ADMIN = "rig", "rig-admin"
START_LIMIT_S = 1200  # the first time it installs packages


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


def find_rig() -> tuple[Path | None, str]:
    """The folder of the rig's scripts, or why there is none."""
    folder = Path(os.environ.get(VARIABLE, ""))
    if not os.environ.get(VARIABLE) or not (folder / "openstack-up.sh").is_file():
        return None, f"{VARIABLE} does not name a folder that has openstack-up.sh"
    if os.getuid() != 0:
        return None, "the rig's OpenStack needs root"
    return folder, ""


def must_have_rig() -> Path:
    """The rig's folder; where it is missing the test is skipped, and on CI it fails."""
    folder, reason = find_rig()
    if folder is not None:
        return folder
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def running_openstack(rig: Path, *, has_guests: bool = False) -> Iterator[OpenStack]:
    """The rig's OpenStack. One that runs is used and left; else it is started, and stopped in the end.

    It `has_guests` if instances are machines; an OpenStack of the other kind that runs is stopped first.
    """
    state = Path(os.environ.get("RIG_STATE", "/var/tmp/rig"))  # the rig's own default
    base, kind = state / "openstack", "libvirt" if has_guests else "fake"
    was_running = _answers(base) and (base / ".virt").read_text().strip() == kind
    if not was_running:
        _run(rig / "openstack-down.sh")
        _run(rig / "openstack-up.sh", OS_VIRT=kind, **(_guests(rig, state) if has_guests else {}))
    try:
        yield OpenStack(base / "clouds.yaml")
    finally:
        if not was_running:
            _run(rig / "openstack-down.sh")


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


def _guests(rig: Path, state: Path) -> dict[str, str]:
    """What instances boot from, made once in a minute, and on which processor."""
    image = state / "vm" / "debian-cloudimg.qcow2"
    if not image.exists():
        _run(rig / "vm-image.sh")
    # The rig's own choice is a processor of 2006, on which numpy does not run.
    return {"OS_IMAGE_FILE": str(image), "OS_LIBVIRT_CPU_MODE": "custom", "OS_LIBVIRT_CPU_MODEL": "Nehalem"}


def _run(script: Path, **env: str) -> None:
    done = subprocess.run(
        [str(script)],
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_LIMIT_S,
        check=False,
    )
    if done.returncode:
        raise ServiceError(f"{script.name} failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
