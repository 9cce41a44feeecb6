"""The test rig: a folder of scripts, named by the variable TEST_RIG, that make machines and clouds. It needs root."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.services.processes import ServiceError

STATE = Path(os.environ.get("RIG_STATE", "/var/tmp/rig"))  # the rig's own default
LIMIT_S = 1200  # the first time, packages are installed


def must_have_rig(script: str = "vm-image.sh", *, what: str = "machines and clouds are made") -> Path:
    """The rig's folder, with a script in it; where it is missing the test is skipped, and on CI it fails."""
    folder = Path(os.environ.get("TEST_RIG") or "/nonexistent")
    if os.getuid() == 0 and (folder / script).is_file():
        return folder
    reason = f"{what} as root, with the scripts in the folder that TEST_RIG names"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def run_script(script: Path, *arguments: str, **env: str) -> None:
    """Run one of the rig's scripts to its end.

    Raises:
        ServiceError: It failed.
    """
    # What measures the tests has no business in there.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        ["bash", str(script), *arguments],
        env={**kept, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode:
        raise ServiceError(f"{script.name} failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
