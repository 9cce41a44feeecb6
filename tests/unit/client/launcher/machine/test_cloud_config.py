"""Cloud-configs as golden files, and what is wrong with those that would not work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from client.errors import InputError
from client.launcher.machine.cloud_config import (
    CloudConfig,
    instance_files,
    render,
)
from client.launcher.machine.container_images import ImageSource
from client.launcher.machine.mode import Mode
from client.launcher.machine.push_keys import MODELS_REPOSITORY, PUSHER
from client.launcher.machine.role import Role
from client.launcher.machine.user_data import faults_of
from testing import cloud_init
from testing.cloud_init import find_schema
from testing.fake_cloud_contents import PUBLIC_KEY
from tests.conftest import must_have

GOLDEN = Path(__file__).parent / "golden"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
URL = "https://git.example/lab/celeriac.git"
CONFIGS = {
    "fetched": CloudConfig(COMMIT, URL),
    "uploaded": CloudConfig(COMMIT, None, workers=3),
    "baked": CloudConfig(COMMIT, None, is_baked=True),
    "domain": CloudConfig(COMMIT, URL, domain="celeriac.example.org"),
    "domain-baked": CloudConfig(COMMIT, None, is_baked=True, domain="celeriac.example.org"),
    "pushes": CloudConfig(COMMIT, URL, takes_pushes=True, push_keys=(f"{PUBLIC_KEY} anna@laptop",)),
    "development": CloudConfig(COMMIT, URL, role=Role.DEVELOPMENT),
    "docker": CloudConfig(COMMIT, URL, mode=Mode.DOCKER),
    "docker-pulled": CloudConfig(
        COMMIT,
        URL,
        workers=2,
        mode=Mode.DOCKER,
        images=ImageSource("registry.example:5000/lab/", "-----BEGIN CERTIFICATE-----\nMIIB\n"),
    ),
}
PROGRAM = "/usr/local/sbin/celeriac"
SERVICES = "/usr/local/lib/celeriac/services.sh"
SET_UP = "/usr/local/lib/celeriac/set-up.sh"


def program(mode: Mode = Mode.SYSTEMD, *, part: str = PROGRAM) -> str:
    return next(file.content for file in instance_files(mode) if file.path == part)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_cloud_config_is_as_its_golden_file_says(name: str) -> None:
    golden = GOLDEN / f"cloud-config-{name}.yaml"
    text = render(CONFIGS[name])
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)

    assert text == golden.read_text()


def test_every_golden_cloud_config_is_of_a_test() -> None:
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == {f"cloud-config-{name}" for name in CONFIGS}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_rendered_cloud_config_has_no_fault(name: str) -> None:
    assert faults_of(render(CONFIGS[name])) == []


@pytest.mark.parametrize("name", CONFIGS)
def test_every_file_reaches_the_instance_as_it_is(name: str) -> None:
    written = {entry["path"]: entry for entry in yaml.safe_load(render(CONFIGS[name]))["write_files"]}

    for file in instance_files(CONFIGS[name].mode, CONFIGS[name].role):
        assert written[file.path]["content"] == file.content
        assert written[file.path]["permissions"] == file.permissions
    assert written[PROGRAM]["permissions"] == "0755"


def test_first_boot_knows_commit_repository_and_workers() -> None:
    content = yaml.safe_load(render(CloudConfig(COMMIT, URL, workers=3)))

    assert content["write_files"][-1] == {
        "path": "/var/lib/cloud/scripts/per-boot/celeriac",
        "permissions": "0755",
        "content": f"#!/bin/sh\nexec {PROGRAM} setup {COMMIT}\n",
    }
    assert content["write_files"][0]["content"].splitlines()[1:] == [f"repository={URL}", "workers=3"]


@pytest.mark.parametrize("name", ["baked", "domain-baked"])
def test_a_baked_image_has_its_packages_already(name: str) -> None:
    content = yaml.safe_load(render(CONFIGS[name]))

    assert not {"packages", "package_update"} & set(content)


@pytest.mark.parametrize(
    ("name", "domain", "part"),
    [
        ("fetched", "", SERVICES),
        ("domain", "celeriac.example.org", SERVICES),
        ("development", "", PROGRAM),
    ],
)
def test_the_set_up_looks_for_the_packages_that_cloud_init_installs(
    name: str, domain: str, part: str
) -> None:
    text = files_of(name)[part]
    looked_for = re.search(r"^needed_packages\(\) {\n.*?^}$", text, re.MULTILINE | re.DOTALL)
    assert looked_for

    text = f"domain() {{ echo {domain}; }}; {looked_for.group()}; needed_packages"
    said = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True).stdout

    assert said.split() == yaml.safe_load(render(CONFIGS[name]))["packages"]


def files_of(name: str) -> dict[str, str]:
    return {entry["path"]: entry["content"] for entry in yaml.safe_load(render(CONFIGS[name]))["write_files"]}


def test_what_is_about_a_name_is_written_where_there_is_one() -> None:
    added = files_of("domain").keys() - files_of("fetched").keys()

    assert added == {
        "/etc/caddy/Caddyfile",
        "/etc/celeriac/front.env",
        "/etc/systemd/system/caddy.service.d/celeriac.conf",
    }
    assert "\nceleriac.example.org {\n" in files_of("domain")["/etc/caddy/Caddyfile"]
    assert "domain=celeriac.example.org\n" in files_of("domain")["/etc/celeriac/instance.env"]


def test_behind_caddy_the_web_process_is_on_loopback_and_speaks_http() -> None:
    written = files_of("domain")
    order = [
        line.removeprefix("EnvironmentFile=").lstrip("-")
        for path in ("celeriac-web.service", "celeriac-.service.d/common.conf")
        for line in written[f"/etc/systemd/system/{path}"].splitlines()
        if line.startswith("EnvironmentFile=")
    ]

    assert order == [f"/etc/celeriac/{name}.env" for name in ("front", "broker", "celeriac")]
    assert set(written["/etc/celeriac/front.env"].splitlines()[1:]) == {
        "HOST=127.0.0.1",
        "PROXIES=127.0.0.1",
        "PUBLIC_HOSTS=celeriac.example.org",
        "TLS_CERT=",
        "TLS_KEY=",
    }


def test_what_is_about_pushes_is_written_where_they_are_taken() -> None:
    added = files_of("pushes").keys() - files_of("fetched").keys()

    assert added == {
        "/etc/celeriac/first-push-keys",
        "/etc/ssh/sshd_config.d/celeriac.conf",
        "/etc/sudoers.d/celeriac-models",
        "/usr/local/lib/celeriac/pushes.sh",
    }
    assert files_of("pushes")["/etc/celeriac/first-push-keys"] == f"{PUBLIC_KEY} anna@laptop\n"


def test_launcher_and_instance_mean_the_same_user_and_the_same_repository() -> None:
    assert f"readonly PUSHER={PUSHER} MODELS_REPOSITORY={MODELS_REPOSITORY}\n" in program(part=SET_UP)
    assert f"\nMatch User {PUSHER}\n" in files_of("pushes")["/etc/ssh/sshd_config.d/celeriac.conf"]
    assert f"\n{PUSHER} ALL=(root) NOPASSWD: " in files_of("pushes")["/etc/sudoers.d/celeriac-models"]


@pytest.mark.parametrize("key", ["", PUBLIC_KEY, f"{PUBLIC_KEY} a b", f"{PUBLIC_KEY} a\nruncmd: [id]"])
def test_a_key_that_is_more_than_a_key_is_refused(key: str) -> None:
    with pytest.raises(InputError):
        render(CloudConfig(COMMIT, URL, takes_pushes=True, push_keys=(key,)))


@pytest.mark.parametrize(
    "domain", ["", "localhost", "lab.example.org\nruncmd: [id]", "{env.HOME}.example.org"]
)
def test_a_domain_that_is_more_than_a_name_is_refused(domain: str) -> None:
    with pytest.raises(InputError):
        render(CloudConfig(COMMIT, URL, domain=domain))


@pytest.mark.parametrize(
    "repository",
    [
        "https://user:secret@git.example/celeriac.git",
        "https://token@git.example/celeriac.git",
        "https://git.example/celeriac.git?token=secret",
        "ssh://git@git.example/celeriac.git",
        "git@git.example:celeriac.git",
        "file:///etc",
        "ext::sh -c id",
        "https://git.example/a b",
        "https://git.example/$(id)",
        "https://git.example/a\nruncmd: [id]",
        "https://git.example/a\n",
        "--upload-pack=id",
        "",
    ],
)
def test_a_repository_that_could_be_more_than_an_address_is_refused(repository: str) -> None:
    with pytest.raises(InputError) as refused:
        render(CloudConfig(COMMIT, repository))

    assert "secret" not in str(refused.value)
    assert "token@" not in str(refused.value)


@pytest.mark.parametrize("commit", ["", "main", "0123456", COMMIT.upper(), f"{COMMIT}\n", f"{COMMIT}; id"])
def test_a_commit_is_forty_hexadecimal_digits(commit: str) -> None:
    with pytest.raises(InputError):
        render(CloudConfig(commit, URL))


@pytest.mark.parametrize("workers", [0, -1, 257])
def test_a_number_of_workers_that_makes_no_sense_is_refused(workers: int) -> None:
    with pytest.raises(InputError):
        render(CloudConfig(COMMIT, URL, workers=workers))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """That of cloud-init; without one the test is skipped, and on CI it fails."""
    return must_have(find_schema(), "cloud-init's schema")


@pytest.mark.parametrize("name", CONFIGS)
def test_cloud_init_understands_every_cloud_config(name: str, schema: dict[str, Any]) -> None:
    assert cloud_init.faults_of(render(CONFIGS[name]), schema) == []


@pytest.mark.parametrize(
    ("user_data", "place"),
    [
        ("packages: [git]\n", "the first line"),
        ("#cloud-config\n- packages\n", "$"),
        ("#cloud-config\npakages: [git]\n", "$.pakages"),
        ("#cloud-config\nruncmds: [[id]]\n", "$.runcmds"),
        ("#cloud-config\npackages: git\n", "$.packages"),
        ("#cloud-config\nruncmd: [{sleep: 1}]\n", "$.runcmd"),
        ("#cloud-config\nwrite_files: [/etc/motd]\n", "$.write_files[0]"),
        ("#cloud-config\nwrite_files: [{path: /a, contents: b}]\n", "$.write_files[0]"),
        ("#cloud-config\nwrite_files: [{path: /a, permissions: 0644}]\n", "$.write_files[0].permissions"),
        ("#cloud-config\nwrite_files: [{path: /a, content: 1}]\n", "$.write_files[0].content"),
    ],
)
def test_what_cloud_init_would_not_do_is_told(user_data: str, place: str, schema: dict[str, Any]) -> None:
    faults = cloud_init.faults_of(user_data, schema)

    assert [fault for fault in faults if fault.startswith(place)], faults


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("part", [PROGRAM, SERVICES, SET_UP])
def test_the_set_up_program_is_shell_without_mistakes(mode: Mode, part: str) -> None:
    text = program(mode, part=part)
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    if shellcheck := shutil.which("shellcheck"):
        subprocess.run([shellcheck, "-"], input=text, text=True, check=True)


def test_both_modes_have_what_the_set_up_program_calls() -> None:
    names = [set(re.findall(r"^(\w+)\(\) ", program(mode, part=SERVICES), re.MULTILINE)) for mode in Mode]
    called = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", program() + program(part=SET_UP)))

    assert names[0] & called == names[1] & called
    assert len(names[0] & called) > 10


def test_in_containers_the_set_up_finds_the_packages_that_the_distribution_has() -> None:
    content = yaml.safe_load(render(CONFIGS["docker"]))

    assert not {"packages", "package_update"} & set(content)
    assert content["write_files"][0]["content"].splitlines()[1:] == [
        f"repository={URL}",
        "workers=",
        "image_prefix=",
    ]


def test_the_engine_trusts_an_authority_with_one_registry() -> None:
    written = {
        entry["path"]: entry for entry in yaml.safe_load(render(CONFIGS["docker-pulled"]))["write_files"]
    }

    assert written["/etc/docker/certs.d/registry.example:5000/ca.crt"]["content"].startswith("-----BEGIN")
    assert written["/etc/sudoers.d/celeriac"]["permissions"] == "0440"
    assert "image_prefix=registry.example:5000/lab/\n" in written["/etc/celeriac/instance.env"]["content"]


def test_what_first_boot_runs_is_what_the_program_removes_when_it_is_done() -> None:
    path = yaml.safe_load(render(CONFIGS["fetched"]))["write_files"][-1]["path"]

    assert f"readonly UNFINISHED={path}\n" in program(part=SET_UP)
    assert "rm -f $UNFINISHED\n" in program()


def test_a_machine_for_development_has_nothing_of_what_serves() -> None:
    content = yaml.safe_load(render(CONFIGS["development"]))
    written = files_of("development")

    assert {"make", "git", "python3-venv"} <= set(content["packages"])
    assert "rabbitmq-server" not in content["packages"]
    assert not [path for path in written if "/systemd/system/" in path or path == SERVICES]
    # It sets itself up at each boot: whatever boots, its console tells the same.
    assert "$UNFINISHED" not in written[PROGRAM]
