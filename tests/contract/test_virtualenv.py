"""tools/virtualenv sets an environment up once, and again when its requirements change."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def path_without_uv() -> str:
    folders = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if shutil.which("uv", path=folder) is None)


@pytest.mark.parametrize("with_uv", [True, False])
def test_an_environment_is_made_once_and_again_when_its_requirements_change(
    tmp_path: Path, with_uv: bool
) -> None:
    if with_uv and shutil.which("uv") is None:
        pytest.skip("uv is not installed")
    environment, requirements = tmp_path / "environment", tmp_path / "requirements.txt"
    requirements.write_text("# nothing\n")
    command = [str(ROOT / "tools" / "virtualenv"), str(environment), str(requirements)]
    variables = os.environ | ({} if with_uv else {"PATH": path_without_uv()})

    def set_up() -> str:
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stderr

    assert "Setting up" in set_up()
    assert subprocess.run([environment / "bin" / "python", "-c", ""], check=True).returncode == 0
    assert set_up() == ""
    requirements.write_text("# still nothing, but different\n")
    assert "Setting up" in set_up()
