"""How an instance is reached, and how it must prove itself; with programs in the place of ssh."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from client.errors import InputError, Unavailable
from client.launcher.machine.ssh import SecureShell, known_hosts_file

KEYS = ("ssh-ed25519 AAAA", "ssh-rsa BBBB")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return folder


def install(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(stat.S_IRWXU)


def shell(**more: Path) -> SecureShell:
    return SecureShell("203.0.113.7", "debian", known_hosts_file("lab"), **more)


def test_a_user_gets_the_command_to_type(programs: Path) -> None:
    command = shell(identity=Path("/keys/lab")).command()

    known_hosts = f"UserKnownHostsFile={known_hosts_file('lab')}"
    identity = ["-i", "/keys/lab", "-o", "IdentitiesOnly=yes"]
    assert command == ["ssh", *identity, "-o", known_hosts, "debian@203.0.113.7"]


def test_host_keys_are_kept_for_one_instance_and_replaced_by_new_ones(programs: Path) -> None:
    shell().trust(["ssh-ed25519 OLD"])
    shell().trust(KEYS)

    assert known_hosts_file("lab").read_text() == "203.0.113.7 ssh-ed25519 AAAA\n203.0.113.7 ssh-rsa BBBB\n"


def test_an_unknown_host_is_never_talked_to(programs: Path) -> None:
    install(programs, "ssh", 'echo "$@"')

    said = shell().run("sudo", "celeriac", "seal", timeout_s=10)

    assert "StrictHostKeyChecking=yes" in said
    assert "BatchMode=yes" in said
    assert f"UserKnownHostsFile={known_hosts_file('lab')}" in said
    assert said.endswith("-- debian@203.0.113.7 sudo celeriac seal\n")


def test_arguments_reach_the_instance_as_they_are(programs: Path) -> None:
    install(programs, "ssh", 'for last in "$@"; do :; done; eval "printf \'%s,\' $last"')

    assert shell().run("echo", "a b", "$HOME", timeout_s=10) == "echo,a b,$HOME,"


@pytest.mark.parametrize(("code", "is_passing"), [(255, True), (1, False)])
def test_the_way_in_may_be_tried_again_the_command_not(programs: Path, code: int, is_passing: bool) -> None:
    install(programs, "ssh", f"echo first >&2; echo 'it did not work' >&2; exit {code}")

    with pytest.raises(Unavailable, match=r"^it did not work$") as failure:
        shell().run("true", timeout_s=10)

    assert failure.value.is_passing is is_passing


@pytest.mark.parametrize(
    ("stderr", "says", "is_passing"),
    [
        (
            "debian@203.0.113.7: Permission denied (publickey).\nfatal: Could not read\n\nand the repository exists.",
            "ssh: debian@203.0.113.7: Permission denied (publickey).",
            False,
        ),
        ("Host key verification failed.\nfatal: Could not read", "ssh: Host key verification failed.", False),
        (
            "ssh: connect to host 203.0.113.7 port 22: Connection refused\nfatal: Could not read",
            "ssh: connect to host 203.0.113.7 port 22: Connection refused",
            True,
        ),
    ],
)
def test_why_there_is_no_way_in_is_told_in_sshs_own_words(
    programs: Path, stderr: str, says: str, is_passing: bool
) -> None:
    install(programs, "ssh", f"printf '%s\\n' '{stderr}' >&2; exit 255")

    with pytest.raises(Unavailable) as failure:
        shell().run("true", timeout_s=10)

    assert (str(failure.value), failure.value.is_passing) == (says, is_passing)


def test_a_home_with_spaces_and_percent_signs_is_quoted_for_ssh(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "my %i state"))

    shown = subprocess.run(["ssh", "-G", *shell().command()[1:]], capture_output=True, text=True, check=True)

    assert f"userknownhostsfile {known_hosts_file('lab')}\n" in shown.stdout


def test_without_a_home_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", _no_home)

    with pytest.raises(InputError, match="set XDG_STATE_HOME"):
        known_hosts_file("lab")


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_a_command_that_takes_too_long_is_ended(programs: Path) -> None:
    install(programs, "ssh", "exec sleep 60")

    with pytest.raises(Unavailable, match="ssh took more than"):
        shell().run("true", timeout_s=0.2)


def test_without_ssh_it_says_so(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(programs))

    with pytest.raises(InputError, match="ssh is not installed"):
        shell().run("true", timeout_s=10)


def test_a_commit_is_pushed_by_git_over_the_same_way(programs: Path, tmp_path: Path) -> None:
    """git runs ssh, and ssh runs git's other half here."""
    receiver = tmp_path / "receiver"
    subprocess.run(["git", "init", "--quiet", "--bare", str(receiver)], check=True)
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "init", "--quiet", str(checkout)], check=True)
    author = ["-c", "user.name=A", "-c", "user.email=a@b.example"]
    subprocess.run(
        ["git", "-C", str(checkout), *author, "commit", "--quiet", "--allow-empty", "-m", "one"], check=True
    )
    commit = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    asked = tmp_path / "asked"
    install(programs, "ssh", f'echo "$@" > {asked}\nexec git-receive-pack {receiver}')

    for _ in range(2):
        shell().push(commit, checkout=checkout, timeout_s=30)

    refs = subprocess.run(
        ["git", "-C", str(receiver), "show-ref"], capture_output=True, text=True, check=True
    )
    assert refs.stdout.strip() == f"{commit} refs/heads/upload-{commit}"
    assert "debian@203.0.113.7 git-receive-pack '/opt/celeriac/code.git'" in asked.read_text()
