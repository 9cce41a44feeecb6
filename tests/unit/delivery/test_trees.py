"""What a commit holds, read from a repository of git itself."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from production_server.delivery.git import Git
from production_server.delivery.repository import make_repository
from production_server.delivery.trees import Looking, files_of, model_trees, unpack
from production_server.errors import InvalidInput, Unavailable
from production_server.settings import Settings
from testing.model_repository import environment


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return make_repository(tmp_path / "models.git", Settings(state_dir=tmp_path), {})


def written(git: Git, command: str, *arguments: str, text: str) -> str:
    """The id of what is written into the repository, without a work tree."""
    done = subprocess.run(
        ["git", f"--git-dir={git.path}", command, *arguments],
        input=text, env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def blob(git: Git, text: str) -> str:
    return written(git, "hash-object", "-w", "--stdin", text=text)


def tree(git: Git, *entries: str) -> str:
    """Of lines as `git mktree -z` takes them: any name may be in it."""
    return written(git, "mktree", "-z", "--missing", text="".join(f"{entry}\0" for entry in entries))


def bomb(git: Git) -> str:
    """A tree of ten million files, made of seven."""
    file = blob(git, "x")
    made = tree(git, *(f"100644 blob {file}\tf{number}" for number in range(10)))
    for _level in range(6):
        made = tree(git, *(f"040000 tree {made}\td{number}" for number in range(10)))
    return made


def test_folders_at_the_top_are_models_and_all_else_is_left_alone(git: Git) -> None:
    file = blob(git, "x")
    iris = tree(git, f"100644 blob {file}\tiris.onnx")
    top = tree(
        git, f"100644 blob {file}\tREADME.md", f"040000 tree {iris}\t.github", f"040000 tree {iris}\tiris"
    )

    assert model_trees(git, top) == {"iris": iris}
    (found,) = files_of(git, "iris", iris, most_bytes=1)
    assert (found.path, found.size_bytes) == ("iris.onnx", 1)


def test_a_few_objects_that_stand_for_millions_of_files_are_not_listed(git: Git, tmp_path: Path) -> None:
    endless = bomb(git)
    top = tree(git, f"040000 tree {endless}\tbomb")
    commit = written(git, "commit-tree", "-m", "A subject\n\nmore", top, text="")

    with pytest.raises(InvalidInput, match=r"^bomb: expected at most 10,000 files and folders, got more"):
        files_of(git, "bomb", model_trees(git, commit)["bomb"], most_bytes=1)

    assert git.subject(commit) == "A subject"
    assert git.is_within(commit, commit) and not git.is_within("1" * 40, commit)


def test_too_many_folders_at_the_top_are_refused(git: Git) -> None:
    file = blob(git, "x")
    model = tree(git, f"100644 blob {file}\ta.onnx")

    with pytest.raises(InvalidInput, match=r"^the top: expected at most 1,000 files and folders"):
        model_trees(git, tree(git, *(f"040000 tree {model}\tm{number}" for number in range(1_001))))


@pytest.mark.parametrize("name", ["a\nb", "a\\b", "\x1b[31m"])
def test_names_that_no_terminal_should_see_are_refused(git: Git, name: str) -> None:
    folder = tree(git, f"100644 blob {blob(git, 'x')}\t{name}")

    with pytest.raises(InvalidInput) as caught:
        files_of(git, "iris", folder, most_bytes=1)

    assert str(caught.value).isprintable()


def test_all_of_a_folder_is_bounded_as_each_file_is(git: Git) -> None:
    file = blob(git, "x" * 10)
    folder = tree(git, *(f"100644 blob {file}\t{name}" for name in "abc"))

    with pytest.raises(InvalidInput, match=r"^iris, all of it: expected at most 20 bytes .*, got 30$"):
        files_of(git, "iris", folder, most_bytes=10)
    with pytest.raises(InvalidInput, match=r"iris/a: .*iris/b: .*iris/c: "):
        files_of(git, "iris", folder, most_bytes=9)


def test_files_are_written_as_they_are(git: Git, tmp_path: Path) -> None:
    inner = tree(git, f"100755 blob {blob(git, 'y' * 3_000_000)}\tlarge")
    folder = tree(git, f"100644 blob {blob(git, '')}\tempty", f"040000 tree {inner}\tinner")
    (tmp_path / "iris").mkdir()

    unpack(git, files_of(git, "iris", folder, most_bytes=2**22), "iris", tmp_path / "iris")

    assert (tmp_path / "iris/empty").read_text() == ""
    assert (tmp_path / "iris/inner/large").read_text() == "y" * 3_000_000


def test_an_object_that_is_not_there_ends_it_with_a_sentence(git: Git, tmp_path: Path) -> None:
    (found,) = files_of(git, "iris", tree(git, f"100644 blob {blob(git, 'x')}\ta"), most_bytes=1)
    for path in git.path.glob(f"objects/{found.id[:2]}/{found.id[2:]}"):
        path.unlink()
    (tmp_path / "iris").mkdir()

    with pytest.raises(Unavailable, match=f"git has no file {found.id}"):
        unpack(git, [found], "iris", tmp_path / "iris")


def test_what_pushes_left_that_died_a_day_ago_is_swept(git: Git) -> None:
    old, new = (git.path / f"objects/tmp_objdir-incoming-{name}" for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (time.time() - 100_000,) * 2)

    git.sweep()

    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("end", ["kill -9 $$", "exit 1"])
def test_a_listing_that_git_did_not_finish_is_taken_for_none(
    git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """As if nothing had changed, or a description was not there."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").write_text(f"#!/bin/sh\nprintf '040000 tree {'1' * 40} -\\tiris\\0'\n{end}\n")
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    with pytest.raises(Unavailable, match="git ls-tree ended before it had told all"):
        model_trees(git, "main")


@pytest.mark.parametrize("name", ["x" * 201, "/".join(["folder"] * 150)])
def test_a_name_that_no_file_system_takes_is_no_fault_of_the_store(git: Git, name: str) -> None:
    *folders, last = name.split("/")
    made = tree(git, f"100644 blob {blob(git, 'x')}\t{last}")
    for folder in reversed(folders):
        made = tree(git, f"040000 tree {made}\t{folder}")

    with pytest.raises(InvalidInput, match="a name of at most 200 bytes, and a path of 1,000 characters"):
        files_of(git, "iris", made, most_bytes=1)


def test_a_few_folders_in_each_other_that_hold_nothing_are_not_walked_for_hours(git: Git) -> None:
    made = tree(git)
    for _level in range(9):
        made = tree(git, *(f"040000 tree {made}\td{number}" for number in range(10)))

    with pytest.raises(InvalidInput, match=r"^bomb: expected at most 10,000 files and folders, got more"):
        files_of(git, "bomb", made, most_bytes=1)


def test_a_thousand_folders_in_each_other_take_no_memory_for_their_paths(git: Git) -> None:
    file = blob(git, "x")
    made = tree(git, *(f"100644 blob {file}\t{number}" for number in range(9_000)))
    for _level in range(10):
        made = tree(git, f"040000 tree {made}\t{'x' * 200}")

    with pytest.raises(InvalidInput, match=r"^deep: expected paths of at most 10,000,000 bytes in all"):
        files_of(git, "deep", made, most_bytes=1)


def test_all_models_of_a_push_share_what_may_be_looked_at(git: Git) -> None:
    file = blob(git, "x")
    made = tree(git, *(f"100644 blob {file}\t{name}" for name in "abc"))
    looking = Looking(entries=5)
    files_of(git, "one", made, most_bytes=9, looking=looking)

    with pytest.raises(InvalidInput, match=r"^push: expected at most 100,000 files and folders in all"):
        files_of(git, "other", made, most_bytes=9, looking=looking)


def test_looking_at_a_push_ends_after_a_while(git: Git, tmp_path: Path) -> None:
    made = tree(git, f"100644 blob {blob(git, 'x')}\ta")
    looking = Looking(seconds=1e-9)
    with looking.turn():
        pass

    with pytest.raises(Unavailable, match="push fewer models"):
        files_of(git, "one", made, most_bytes=1, looking=looking)
    with pytest.raises(Unavailable, match="push fewer models"):
        unpack(git, [], "one", tmp_path, looking=looking)
