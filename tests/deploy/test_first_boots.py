"""First boots that fail, and that of a machine which was imaged: each on a machine of its own."""

from __future__ import annotations

import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest

from client.launcher.machine.cloud_config import CloudConfig, render
from client.launcher.machine.console import read
from client.launcher.machine.mode import Mode
from client.launcher.machine.ssh import CODE
from testing.nspawn import SUITE, machine
from testing.processes import wait_until
from tests.deploy.conftest import (
    PATIENT,
    PROGRAM,
    Remote,
    job,
    password,
    predicted,
    submit,
    wait_until_ready,
)

if TYPE_CHECKING:
    from pathlib import Path

    from testing.nspawn import Machine
    from tests.deploy.conftest import Repository

MISSING_COMMIT = "f" * 40


def units(instance: Machine) -> str:
    """What of the service is enabled or running."""
    links = instance.ask("find", "/etc/systemd/system", "-type", "l", "-name", "celeriac*")
    return links + instance.ask(
        "systemctl", "list-units", "--no-legend", "--state=active", "celeriac*.service"
    )


def says(instance: Machine, text: str) -> bool:
    return text in instance.console


def test_a_first_boot_that_fails_says_so_and_leaves_nothing_running(
    tree: Path, repository: Repository
) -> None:
    with machine(tree) as failing:
        failing.seed(render(CloudConfig(MISSING_COMMIT, repository.url)))
        status = failing.start().cloud_init_status()

        assert status["status"] == "error"
        progress = read(failing.console)
        assert not progress.is_ready
        assert progress.failure == f"code: {repository.url} has no commit {MISSING_COMMIT}"
        assert units(failing) == ""


def test_packages_that_cannot_be_installed_fail_the_first_boot(tree: Path, repository: Repository) -> None:
    with machine(tree) as failing:
        failing.seed(render(CloudConfig(repository.head, repository.url)))
        nowhere = (f'Acquire::{kind}::Proxy "http://127.0.0.1:9";\n' for kind in ("http", "https"))
        settings = ('Acquire::Retries "0";\n', *nowhere)
        (failing.disk / "etc/apt/apt.conf.d/99-nowhere").write_text("".join(settings))
        status = failing.start().cloud_init_status()

        assert status["status"] == "error"
        assert (read(failing.console).failure or "").startswith("packages: apt-get ended with 100: ")
        assert units(failing) == ""


@pytest.mark.skipif(SUITE != "bookworm", reason="about the distribution that has no Compose")
def test_containers_are_refused_at_once_where_there_is_no_compose(tree: Path, repository: Repository) -> None:
    with machine(tree) as failing:
        failing.seed(render(CloudConfig(repository.head, repository.url, mode=Mode.DOCKER)))
        failing.start().cloud_init_status()

        assert (read(failing.console).failure or "").startswith("packages: debian 12 has no engine 25")
        assert units(failing) == ""
        assert "docker.io" not in failing.ask("dpkg", "--get-selections")


def test_a_first_boot_that_is_cut_off_goes_on_at_the_next(tree: Path, repository: Repository) -> None:
    with machine(tree) as cut:
        cut.seed(render(CloudConfig(repository.head, repository.url, workers=1)))
        for where in ("Setting up erlang", "celeriac: stage environment"):
            cut.start()
            wait_until(partial(says, cut, where), what=where, timeout_s=200)
            cut.cut_power()
        cut.start()
        wait_until_ready(cut)
        assert cut.cloud_init_status()["status"] == "done"
        assert read(cut.console).is_ready
        assert "+ dpkg --configure -a" in cut.run("cat", "/var/log/celeriac-setup.log").stdout
        assert "row 1  diabetes" in predicted(cut, "diabetes", *PATIENT)

        stages = cut.console.count("celeriac: stage")
        cut.reboot()
        wait_until_ready(cut)
        assert cut.cloud_init_status()["status"] == "done"
        assert cut.console.count("celeriac: stage") == stages


def test_an_uploaded_instance_is_sealed_and_boots_as_a_new_one(
    tree: Path, repository: Repository, tmp_path: Path
) -> None:
    with machine(tree) as first:
        user_data = render(CloudConfig(repository.head, None, workers=1))
        operator = Remote(first, tmp_path)
        first.seed(f"{user_data}ssh_authorized_keys: [{operator.public}]\n")
        first.start()
        wait_until(lambda: "stage upload" in first.console, what="it waits for the code", timeout_s=120)
        operator.trust(read(first.console).host_keys)
        login = read(first.console).login
        pushed, said = operator.push(
            repository.path, operator.url(f"{login}", CODE), "HEAD:refs/heads/upload"
        )
        assert pushed == 0, said
        wait_until_ready(first)
        assert first.cloud_init_status()["status"] == "done"
        job_id, keys, secret = submit(first, rows=1), read(first.console).host_keys, password(first)

        refused = first.run(PROGRAM, "deploy", MISSING_COMMIT, check=False)
        assert f"celeriac: failed start: nobody pushed commit {MISSING_COMMIT}" in refused.stdout

        first.run(PROGRAM, "seal", timeout_s=120)
        first.power_off()
        assert traces(first, secret) == []

        first.seed(render(CloudConfig(repository.head, None, workers=1, is_baked=True)))
        first.start()
        wait_until_ready(first)
        assert first.cloud_init_status()["status"] == "done"
        assert job(first, job_id)["code"] == "job_not_found"
        assert not set(read(first.console).host_keys) & set(keys)
        assert password(first) != secret
        assert "row 1  diabetes" in predicted(first, "diabetes", *PATIENT)


def traces(sealed: Machine, secret: str) -> list[str]:
    """What must not be in an image and is there."""
    patterns = (
        "etc/ssh/ssh_host_*", "etc/celeriac/*.env", "etc/rabbitmq/celeriac.json", "var/lib/celeriac/*",
        "var/lib/rabbitmq/.erlang.cookie", "var/lib/rabbitmq/mnesia/*", "home/*/.ssh/authorized_keys",
        "root/.ssh/authorized_keys", "home/*/.bash_history", "var/log/journal/*", "var/lib/cloud/instances/*",
        "var/lib/cloud/scripts/per-boot/*", "var/log/cloud-init*.log", "var/lib/cloud/seed/*",
        "etc/systemd/system/*.wants/celeriac*",
    )  # fmt: skip
    found = [str(path) for pattern in patterns for path in sealed.disk.glob(pattern)]
    value = secret.partition("celeriac:")[2].partition("@")[0]
    grep = subprocess.run(
        ["grep", "-rlF", value, str(sealed.disk / "etc"), str(sealed.disk / "var")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    identity = (sealed.disk / "etc/machine-id").read_text().strip()
    return found + grep.stdout.split() + ([identity] if identity else [])
