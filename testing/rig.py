"""The test rig: a folder of scripts, named by the variable TEST_RIG, that make machines and clouds. It needs root."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testing.processes import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

STATE = Path(os.environ.get("RIG_STATE", "/var/tmp/rig"))  # the rig's own default
LIMIT_S = 1200  # the first time, packages are installed


def must_have_rig(script: str = "vm-image.sh", *, what: str = "machines and clouds are made") -> Path:
    """The rig's folder, with a script in it. Without a rig the test is skipped; with one that is of no use it fails."""
    named = os.environ.get("TEST_RIG")
    if not named:
        pytest.skip(f"{what} by scripts in a folder that TEST_RIG names, and it names none")
    if os.getuid() != 0 or not (Path(named) / script).is_file():
        pytest.fail(f"{what} as root, with {script} in the folder that TEST_RIG names, {named}")
    return Path(named)


def run_script(script: Path, *arguments: str, **env: str) -> None:
    """Run one of the rig's scripts to its end.

    Raises:
        ServiceError: It failed.
    """
    _run(["bash", str(script), *arguments], env)


def make_once(made: Path, script: Path, *arguments: str, **env: str) -> None:
    """Run one of the rig's scripts to its end, unless `made` is there by the time that it could begin.

    Raises:
        ServiceError: It failed.
    """
    _run(["bash", str(script), *arguments], env, unless=made)


def install(*packages: str) -> None:
    """Install packages of the distribution.

    Raises:
        ServiceError: That failed.
    """
    quiet = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=600"]
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    _run([*quiet, "update"], env)
    _run([*quiet, "install", "-y", "--no-install-recommends", *packages], env)


def _run(command: list[str], env: Mapping[str, str], *, unless: Path | None = None) -> None:
    """One at a time, whichever process of the tests it is: two that install packages disturb each other."""
    # What measures the tests has no business in there.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if unless is not None and unless.exists():
            return
        done = subprocess.run(
            command,
            env={**kept, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    if done.returncode:
        raise ServiceError(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
