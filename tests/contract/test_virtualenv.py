"""tools/virtualenv sets an environment up once, and again when its requirements change; and says what it does."""

from __future__ import annotations

import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from tests.wheels import write_wheel

ROOT = Path(__file__).parents[2]


def set_up(environment: Path, requirements: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "tools" / "virtualenv"), str(environment), str(requirements)]
    return subprocess.run(
        command,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text("# nothing\n")
    return path


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_an_environment_is_made_once_and_again_when_its_requirements_change(
    tmp_path: Path, requirements: Path, installer: str
) -> None:
    if installer == "uv" and shutil.which("uv") is None:
        pytest.skip("uv is not installed")
    environment = tmp_path / "environment"

    assert "Setting up" in set_up(environment, requirements, INSTALLER=installer).stderr
    assert subprocess.run([environment / "bin" / "python", "-c", ""], check=True).returncode == 0
    assert set_up(environment, requirements, INSTALLER=installer).stderr == ""
    requirements.write_text("# still nothing, but different\n")
    assert "Setting up" in set_up(environment, requirements, INSTALLER=installer).stderr


def test_pip_says_how_far_it_is(tmp_path: Path, requirements: Path) -> None:
    digest = sha256(write_wheel(tmp_path, "given", "1.0").read_bytes()).hexdigest()
    requirements.write_text(f"--no-index\n--find-links {tmp_path}\ngiven==1.0 --hash=sha256:{digest}\n")

    done = set_up(tmp_path / "environment", requirements, INSTALLER="pip")

    assert done.returncode == 0, done.stderr
    assert "Unpacking 1 packages" in done.stderr
    assert "Set up" in done.stderr.splitlines()[-1]


def test_a_set_that_pip_cannot_install_is_a_failure_and_no_environment(
    tmp_path: Path, requirements: Path
) -> None:
    requirements.write_text("--no-index\nnowhere==1.0 --hash=sha256:00\n")
    environment = tmp_path / "environment"

    first, second = (set_up(environment, requirements, INSTALLER="pip") for _ in range(2))

    assert first.returncode == second.returncode == 1
    assert "nowhere==1.0" in second.stderr
    assert "could not be set up" in second.stderr.splitlines()[-1]


def test_a_python_that_is_not_there_is_said_to_be_missing(tmp_path: Path, requirements: Path) -> None:
    done = set_up(tmp_path / "environment", requirements, INSTALLER="pip", PYTHON="python-of-nobody")

    assert done.returncode == 1
    assert "Python is missing: there is no python-of-nobody on PATH." in done.stderr
    assert "not found" not in done.stderr


def test_a_python_that_is_too_old_is_named(tmp_path: Path, requirements: Path) -> None:
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" != --version ] || { echo Python 3.9.2; exit; }\nexit 1\n')
    old.chmod(0o755)

    done = set_up(tmp_path / "environment", requirements, INSTALLER="pip", PYTHON=str(old))

    assert done.returncode == 1
    assert "Python 3.11, 3.12 or 3.13 is needed" in done.stderr and "is Python 3.9.2" in done.stderr
