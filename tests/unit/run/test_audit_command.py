"""`keys` and `audit` on the command line: what is done on the machine itself leaves lines, too."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from production_server.run.audit_command import show_audit
from production_server.run.key_commands import key_commands
from production_server.settings import Settings, read_settings


@pytest.fixture
def settings(tmp_path: Path, migrated_sqlite: Path) -> Settings:
    (tmp_path / "celeriac.sqlite3").write_bytes(migrated_sqlite.read_bytes())
    return read_settings({"STATE_DIR": str(tmp_path)})


@pytest.fixture
def made(settings: Settings) -> str:
    """A key's id; the key was rotated, which made another one, and revoked."""
    made = json.loads(keys(settings, "create", "anna", "--json").output)["id"]
    keys(settings, "rotate", made)
    keys(settings, "revoke", made)
    return str(made)


def keys(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(key_commands, arguments, obj=settings, catch_exceptions=False)


def audit(settings: Settings, *arguments: str) -> list[str]:
    done = CliRunner().invoke(show_audit, arguments, obj=settings, catch_exceptions=False)
    assert done.exit_code == 0
    return done.output.splitlines()


def test_what_is_typed_is_told_as_the_system_s_user_did_it(
    settings: Settings, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "somebody-else")
    keys(settings, "create", "bert")

    lines = [json.loads(line) for line in audit(settings, "--json")]

    me = pwd.getpwuid(os.getuid()).pw_name
    assert [line["act"] for line in lines] == ["key.created", "key.revoked", "key.rotated", "key.created"]
    assert {(line["client"], line["key"], line["address"], line["request_id"]) for line in lines} == {
        (f"{me} on the command line", "", "", "")
    }
    assert lines[-1]["object"] == made
    assert lines[-1]["at"].endswith("+00:00")


def test_a_line_is_read_as_a_sentence(settings: Settings, made: str) -> None:
    newest = audit(settings)[0]

    assert f" key.revoked {made} by " in newest
    assert ' before {"name": "anna", "client": "anna", "scopes": ["predict", "read"]' in newest


def test_lines_are_chosen_by_who_and_what_and_when(settings: Settings, made: str) -> None:
    assert len(audit(settings, "--act", "key.rotated")) == 1
    assert audit(settings, "--client", "nobody") == []
    assert (
        len(audit(settings, "--since", "2020-01-01")),
        audit(settings, "--since", "2999-01-01T10:00"),
    ) == (3, [])


def test_an_act_that_there_is_not_is_refused(settings: Settings) -> None:
    assert CliRunner().invoke(show_audit, ["--act", "key.eaten"], obj=settings).exit_code == 2
