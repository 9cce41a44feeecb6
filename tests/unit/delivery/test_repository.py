"""The repository: made once and again, and what an SSH key may do with it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from production_server.delivery.git import Git
from production_server.delivery.pushes import RefUpdate, only_main
from production_server.delivery.repository import (
    kept_environment,
    make_repository,
    open_repository,
    repository_of,
    serve,
)
from production_server.errors import Forbidden, InvalidInput, SettingsError, Unavailable
from production_server.settings import Settings, read_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"STATE_DIR": str(tmp_path / "state"), "MODELS_PUSH_BYTES": "2000000"})


def test_it_is_made_once_and_brought_to_how_it_has_to_be_again(settings: Settings) -> None:
    path = repository_of(settings)
    git = make_repository(path, settings, {"GATE_MARGIN": "0.1", "API_KEYS": "secret", "PATH": "/nowhere"})
    git.run("config", "receive.denyDeletes", "false")
    (path / "hooks/pre-receive").unlink()

    make_repository(path, settings, {"DATABASE_URL": "postgresql://a:'b@c/d", "GATE_MARGIN": ""})

    config = git.run("config", "--list").decode()
    assert "receive.maxinputsize=2000000" in config and "receive.denydeletes=true" in config
    assert git.run("symbolic-ref", "HEAD") == b"refs/heads/main\n"
    assert (path / "hooks/pre-receive").stat().st_mode & 0o777 == 0o700
    assert (path / "celeriac.env").stat().st_mode & 0o777 == 0o600
    sourced = subprocess.run(
        ["sh", "-c", f". {path}/celeriac.env; env"], env={}, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "DATABASE_URL=postgresql://a:'b@c/d" in sourced and f"STATE_DIR={settings.state_dir}" in sourced
    assert not [line for line in sourced if line.startswith(("API_KEYS", "GATE_MARGIN"))]


def test_made_again_by_hand_it_keeps_what_hooks_have_as_their_settings(settings: Settings) -> None:
    path = repository_of(settings)
    make_repository(path, settings, {"DATABASE_URL": "postgresql://a:'b@c/d", "GATE_MARGIN": "0.1"})

    make_repository(path, settings, {**kept_environment(path), "GATE_MARGIN": "0.2"})

    kept = kept_environment(path)
    assert (kept["DATABASE_URL"], kept["GATE_MARGIN"]) == ("postgresql://a:'b@c/d", "0.2")


def test_paths_are_those_of_whoever_made_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys").write_text("")
    environ = {"IMPORT_PYTHON": "bin/python", "AWS_SHARED_CREDENTIALS_FILE": "keys", "AWS_REGION": "keys"}
    told = read_settings({"STATE_DIR": str(settings.state_dir), "IMPORT_PYTHON": "bin/python"})

    make_repository(repository_of(told), told, environ)

    kept = kept_environment(repository_of(told))
    assert kept["IMPORT_PYTHON"] == str(tmp_path / "bin/python")
    assert kept["AWS_SHARED_CREDENTIALS_FILE"] == str(tmp_path / "keys")
    assert kept["AWS_REGION"] == "keys"


def test_other_files_are_left_alone(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("Dear")

    with pytest.raises(SettingsError, match=r"MODELS_REPOSITORY: .*mine \(other files are there\)"):
        make_repository(tmp_path / "mine", settings, {})
    with pytest.raises(SettingsError, match="there is none: repository init makes it"):
        open_repository(tmp_path / "mine")

    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_an_ssh_client_that_asks_for_anything_else_is_refused(settings: Settings) -> None:
    path = repository_of(settings)
    make_repository(path, settings, {})
    for asked in (
        "", "bash", f"git-shell -c \"git-receive-pack '{path}'\"", f"git-receive-pack '{path}' --help",
        f"git-receive-pack '{path}", f"git-receive-pack '{path}/'", f"git-upload-archive '{path}'",
        f"git --exec-path=/tmp receive-pack '{path}'", f"git-receive-pack '{path}' && id", "git-receive-pack ''",
    ):  # fmt: skip
        with pytest.raises(Forbidden, match="this key may only push to"):
            serve(path, {"SSH_ORIGINAL_COMMAND": asked})


def test_a_hook_reads_what_git_tells_it() -> None:
    (update,) = RefUpdate.read([f"{'0' * 40} {'1' * 40} refs/heads/main\n"])

    assert only_main([update]) == update


def test_what_is_pushed_beside_main_is_named() -> None:
    lines = [f"{'0' * 40} {'1' * 40} refs/{name}\n" for name in ("heads/main", "heads/wip", "tags/v1")]

    with pytest.raises(InvalidInput, match="got wip, refs/tags/v1"):
        only_main(RefUpdate.read(lines))


def test_a_repository_without_commits_has_no_main(settings: Settings) -> None:
    git = make_repository(repository_of(settings), settings, {})

    assert git.main() is None


def test_where_git_does_not_answer_nothing_is_taken_for_a_push_that_died(
    settings: Settings, tmp_path: Path
) -> None:
    git = Git(tmp_path / "none")

    with pytest.raises(Unavailable, match="git for-each-ref says: "):
        git.main()
    with pytest.raises(Unavailable, match="git rev-list says: "):
        git.is_within("1" * 40, "2" * 40)
