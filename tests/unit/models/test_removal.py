"""Deleting a version is one step: before it all of it is there, after it nothing, and its number stays taken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from production_server.models.removal import hidden, is_removed
from production_server.models.store import Store
from production_server.models.store_folders import next_version
from testing.small_models import write_table_model

KILLED = """
import os, signal, sys
from pathlib import Path
from production_server.models.removal import hidden

with hidden(Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The newer one of two versions."""
    write_table_model(tmp_path)
    return write_table_model(tmp_path, version="2")


def numbers(store: Path) -> list[str]:
    return [version.key[1] for version in Store([store]).versions()]


def test_a_version_that_is_deleted_leaves_an_empty_hidden_folder(folder: Path, tmp_path: Path) -> None:
    with hidden(folder):
        inside = numbers(tmp_path)

    assert (inside, numbers(tmp_path)) == (["1"], ["1"])
    assert [path.name for path in folder.parent.rglob("*2*")] == [".removed-2"]
    assert is_removed(folder)
    assert next_version(folder.parent) == "3"


def test_what_goes_wrong_brings_it_back_whole(folder: Path, tmp_path: Path) -> None:
    before = sorted(folder.rglob("*"))

    with pytest.raises(ValueError, match="no"), hidden(folder):
        raise ValueError("no")

    assert sorted(folder.rglob("*")) == before
    assert not is_removed(folder)


def test_whoever_is_killed_in_the_middle_leaves_nothing_that_counts_and_the_next_one_ends_it(
    folder: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, folder],
        env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
        check=False,
    )

    assert done.returncode == -signal.SIGKILL
    assert (numbers(tmp_path), is_removed(folder), next_version(folder.parent)) == (["1"], True, "3")
    with hidden(folder):
        pass
    assert list((folder.parent / ".removed-2").iterdir()) == []


def test_files_that_an_earlier_deletion_left_are_removed_by_the_next_one(folder: Path) -> None:
    left = folder.parent / ".removed-9"
    (left / "plots").mkdir(parents=True)
    (left / "plots" / "roc.svg").write_bytes(b"x")

    with hidden(folder):
        pass

    assert list(left.iterdir()) == []
    assert next_version(folder.parent) == "10"
