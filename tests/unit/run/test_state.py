"""The state folder is its owner's alone, whatever it was before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from production_server.run.state import make_state_dir


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def command(folder: Path, *arguments: str) -> None:
    """Run a command of the service with the umask that most people have."""
    environ = {
        "PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path),
        "STATE_DIR": str(folder), "MODEL_STORE": str(folder / "models"),
    }  # fmt: skip
    run = [sys.executable, "-m", "production_server", *arguments]
    subprocess.run(run, env=environ, check=True, capture_output=True, timeout=120, umask=0o022)


@pytest.mark.parametrize("was_there", [True, False])
def test_what_a_command_makes_in_the_state_folder_is_its_owner_s_alone(
    tmp_path: Path, was_there: bool
) -> None:
    folder = tmp_path / "state"
    if was_there:
        folder.mkdir(mode=0o755)

    command(folder, "keys", "create", "anna")

    assert mode(folder) == (0o755 if was_there else 0o700)
    made = list(folder.rglob("*"))
    assert any(path.name == "celeriac.sqlite3" for path in made)
    assert [path.name for path in made if mode(path) & 0o077] == []


def test_a_database_that_a_release_before_made_is_closed_to_others(tmp_path: Path) -> None:
    files = [tmp_path / f"celeriac.sqlite3{end}" for end in ("", "-wal", "-shm")]
    others = tmp_path / "notes"
    elsewhere = tmp_path / "elsewhere"
    for path in (*files, others, elsewhere):
        path.touch(mode=0o644)
        path.chmod(0o644)
    (tmp_path / "linked.sqlite3").symlink_to(elsewhere)

    make_state_dir(tmp_path)

    assert [mode(path) for path in (*files, others, elsewhere)] == [0o600] * 3 + [0o644] * 2
