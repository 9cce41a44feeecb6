"""A machine for development: what its first boot makes, and that it may push models to the instance, no more."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from client.launcher.machine.cloud_config import CloudConfig, render
from client.launcher.machine.console import read
from client.launcher.machine.role import Role
from testing import small_training
from testing.nspawn import HOST, machine
from testing.processes import wait_until
from tests.deploy.conftest import Listeners

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testing.nspawn import Machine
    from tests.deploy.conftest import Booted, Repository

HOME = "/home/debian"
SET_UP_WITHIN_S = 300


@pytest.fixture(scope="module")
def development(tree: Path, repository: Repository) -> Iterator[Machine]:
    """A machine that has set itself up, with a commit that trains with next to nothing."""
    commit = repository.commit(small_training.files(), message="small-training")
    with machine(tree) as made:
        made.seed(render(CloudConfig(commit, repository.url, role=Role.DEVELOPMENT)))
        made.start()
        wait_until_set_up(made)
        yield made


def wait_until_set_up(made: Machine, *, times: int = 1) -> None:
    wait_until(
        lambda: made.console.count("celeriac: ready") >= times or "celeriac: failed" in made.console,
        what="it is set up",
        timeout_s=SET_UP_WITHIN_S,
    )
    assert "celeriac: failed" not in made.console, made.console[-4000:]


def as_user(made: Machine, command: str, *, check: bool = True) -> str:
    """What a command of the login user says, good or bad."""
    line = ["runuser", "--login", "debian", "-c", f"({command}) 2>&1"]
    return made.run(*line, check=check, timeout_s=200).stdout.strip()


def test_it_tells_its_key_and_has_code_models_and_what_training_needs(
    development: Machine, repository: Repository
) -> None:
    progress = read(development.console)
    commit = repository.commit_of("small-training")

    assert progress.is_ready and progress.login == "debian"
    assert as_user(development, "cut -d ' ' -f 1,2 .ssh/celeriac_push.pub") == progress.push_key
    assert as_user(development, "git -C celeriac rev-parse HEAD") == commit
    assert as_user(development, "git -C celeriac remote get-url origin") == repository.url
    assert as_user(development, "celeriac/.venv-training/bin/python -c 'import click'") == ""
    assert as_user(development, "git -C models status --porcelain") == ""
    assert as_user(development, "find . ! -user debian") == ""
    assert as_user(development, "stat -c %a .ssh/celeriac_push") == "600"


def test_make_is_that_of_the_code_from_within_the_models(development: Machine) -> None:
    assert "  make train " in as_user(development, "cd models && make help")
    assert as_user(development, "cd models && make nonsense", check=False).count("nonsense") > 0


def test_nothing_listens_there_but_ssh(development: Machine) -> None:
    seen = Listeners(development)
    seen.look()

    beyond = {each for each in seen.seen if not each.startswith(("127.", "[::1]"))}
    assert {each.rpartition(":")[2] for each in beyond} == {"22"}


def test_a_boot_changes_nothing_and_tells_the_same(development: Machine) -> None:
    before = read(development.console)
    as_user(development, "echo mine >celeriac/README.md; git -C celeriac rev-parse HEAD >models/notes")

    development.reboot()

    wait_until_set_up(development, times=2)
    after = read(development.console)
    assert after.is_ready
    assert (after.push_key, after.host_keys) == (before.push_key, before.host_keys)
    assert as_user(development, "cat celeriac/README.md") == "mine"
    as_user(development, "git -C celeriac checkout --quiet . && rm models/notes")


def test_without_production_it_says_so(development: Machine) -> None:
    status = development.run("celeriac", "status", check=False)
    refused = development.run("celeriac", "connect", "192.0.2.1", "ssh-ed25519 AAAA", check=False)

    assert status.returncode == 1
    assert "takes no pushes" in status.stdout
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert refused.stderr.startswith("error: production answers at none of 192.0.2.1: ")


def test_what_is_trained_there_is_pushed_and_lives(development: Machine, booted: Booted) -> None:
    production = booted.machine
    key = read(development.console).push_key
    host_key = production.run("cut", "-d ", "-f1,2", "/etc/ssh/ssh_host_ed25519_key.pub").stdout.strip()
    production.run("celeriac", "push-keys", "add", f"{key} lab-development")
    # Not the port that it has everywhere else.
    at = f"Host {HOST}\n  Port {production.ssh_port}\n  HostKeyAlias {HOST}\n"
    as_user(development, f"umask 077; printf %s {shlex.quote(at)} >.ssh/config")

    said = development.run("celeriac", "connect", f"192.0.2.1 {HOST}", host_key, timeout_s=120).stdout
    assert said == f"production is ssh://celeriac-models@{HOST}/var/lib/celeriac/models.git\n"
    pushed = as_user(development, "cd models && make train MODEL=diabetes && git push production")

    assert "main -> main" in pushed
    status = development.run("celeriac", "status").stdout
    assert f"production  ssh://celeriac-models@{HOST}" in status
    ssh = f"$(git -C models config core.sshCommand) celeriac-models@{HOST}"
    for command in ("id", "sh", "git-receive-pack /opt/celeriac/code.git", "sudo -n id"):
        assert "this key may only push to" in as_user(development, f"{ssh} {command}", check=False)
    again = development.run("celeriac", "connect", HOST, host_key, timeout_s=120)
    assert again.returncode == 0
    assert as_user(development, "git -C models status --short --branch") == "## main...production/main"
    production.run("celeriac", "push-keys", "remove", "lab-development")
    assert "Permission denied" in as_user(development, f"{ssh} id", check=False)
