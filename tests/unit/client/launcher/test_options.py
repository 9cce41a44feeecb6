"""Options come from a flag, from launch.yaml, or from the environment, in that order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from client import exits
from client.launcher import options, wanted
from client.launcher.deciding.request import LaunchRequest, PairRequest
from client.launcher.machine.mode import Mode
from client.launcher.machine.role import Role
from client.launcher.settings_file import settings_file
from testing.fake_cloud_contents import PUBLIC_KEY

asked: list[LaunchRequest] = []
pairs: list[PairRequest | None] = []


@click.command
@options.name
@settings_file
@options.resources
@options.code
@options.running
def command(name: str | None, **given: Any) -> None:
    asked.append(wanted.launch_request(name, given))
    pairs.append(wanted.pair_request(asked[-1], given))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(*arguments: str) -> LaunchRequest:
    assert exits.run(command, arguments, name="test") == 0
    return asked.pop()


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert exits.run(command, arguments, name="test") == exits.USAGE
    return capsys.readouterr().err


def test_a_flag_goes_before_the_file_and_the_file_before_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IMAGE", "FLAVOR", "NETWORK"):
        monkeypatch.setenv(f"CELERIAC_{name}", "environment")
    (folder / "launch.yaml").write_text("flavor: file\nnetwork: file\n")

    request = read("--network", "flag")

    assert (request.image, request.flavor, request.network) == ("environment", "file", "flag")


def test_the_name_may_come_from_all_three(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read().name == "celeriac"
    monkeypatch.setenv("CELERIAC_NAME", "environment")
    assert read().name == "environment"
    (folder / "launch.yaml").write_text("name: file")
    assert read().name == "file"
    assert read("flag").name == "flag"


def test_the_file_may_set_every_kind_of_option(folder: Path) -> None:
    (folder / "launch.yaml").write_text(
        "workers: 3\nupload: true\nallow-from: [192.0.2.7, 2001:db8::/32]\nfloating-network: none\n"
    )

    request = read()

    assert (request.workers, request.code.is_uploaded, request.floating_network) == (3, True, "none")
    assert request.allow_from == ("192.0.2.7/32", "2001:db8::/32")


def test_the_mode_may_be_of_the_file_or_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read().mode is None
    monkeypatch.setenv("CELERIAC_MODE", "systemd")
    assert read().mode is Mode.SYSTEMD
    (folder / "launch.yaml").write_text("mode: docker\nimage-prefix: 192.0.2.1:5000/\n")
    request = read()

    assert (request.mode, request.images.prefix, request.images.registry) == (
        Mode.DOCKER,
        "192.0.2.1:5000/",
        "192.0.2.1:5000",
    )


def test_a_name_in_the_dns_may_be_of_the_file_or_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read().domain is None
    monkeypatch.setenv("CELERIAC_DOMAIN", "environment.example.org")
    assert read().domain == "environment.example.org"
    (folder / "launch.yaml").write_text("domain: File.Example.ORG\n")
    assert read().domain == "file.example.org"


def test_keys_that_may_push_are_of_files(folder: Path) -> None:
    (folder / "anna.pub").write_text(f"{PUBLIC_KEY} Anna's laptop\n")
    (folder / "ben.pub").write_text(PUBLIC_KEY)
    (folder / "launch.yaml").write_text("models-repository: true\npush-key: [anna.pub, ben.pub]\n")

    request = read()

    assert request.takes_pushes
    assert request.push_keys == (f"{PUBLIC_KEY} Anna-s-laptop", f"{PUBLIC_KEY} ben")


def test_a_private_key_stays_here(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "id").write_text(f"-----BEGIN OPENSSH {'PRIVATE'} KEY-----\nsecret\n")

    said = refusal(capsys, "--models-repository", "--push-key", "id")

    assert "id is a private key: name the public one, id.pub" in said
    assert "secret" not in said


def test_a_machine_for_development_comes_beside_an_instance_and_is_like_it_but_for_what_serves() -> None:
    arguments = ("--flavor", "m1.small", "--workers", "2", "--domain", "lab.example.org", "--upload")

    request = read("lab", "--with-development", "--development-flavor", "m1.large", *arguments)

    pair = pairs.pop()
    assert pair is not None and not pair.is_there
    assert (pair.production, pair.production.takes_pushes) == (replace(request, takes_pushes=True), True)
    assert pair.development == LaunchRequest(
        "lab-development",
        flavor="m1.large",
        code=request.code,
        role=Role.DEVELOPMENT,
        production="lab",
    )


def test_a_machine_for_development_pushes_to_an_instance_that_is_there() -> None:
    arguments = ("--role", "development", "--production", "lab", "--allow-from", "192.0.2.7")

    request = read("trainer", *arguments)

    pair = pairs.pop()
    assert pair is not None and pair.is_there
    assert (pair.development, request.production) == (request, "lab")
    assert pair.production == LaunchRequest("lab", allow_from=("192.0.2.7/32",))


def test_one_alone_is_no_pair() -> None:
    read("lab")
    read("trainer", "--role", "development")

    assert pairs[-2:] == [None, None]


def test_another_file_can_be_named(folder: Path) -> None:
    (folder / "launch.yaml").write_text("flavor: default")
    (folder / "large.yaml").write_text("flavor: large\nallow-from: 192.0.2.0/24")

    request = read("--settings", "large.yaml")

    assert (request.flavor, request.allow_from) == ("large", ("192.0.2.0/24",))


def test_an_empty_file_sets_nothing(folder: Path) -> None:
    (folder / "launch.yaml").write_text("# nothing yet\n")

    assert read() == LaunchRequest()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("flavour: m1.small", "launch.yaml: unknown flavour; it may set allow-from, bake, commit"),
        ("- flavor", "launch.yaml: expected a mapping"),
        ("flavor: [a, b]", "launch.yaml: flavor: expected one value"),
        ("flavor: {a: b}", "launch.yaml: flavor: expected one value"),
        ("flavor: 'open", "launch.yaml is not YAML"),
        ("workers: many", "'many' is not a valid integer"),
        ("bake: false", "launch.yaml: bake: expected text, got False: put it in quotes"),
        ("floating-network: no", "expected text, got False"),
        ("flavor: 2026-13-45", "launch.yaml is not YAML"),
        ("[" * 5000, "launch.yaml is not YAML"),
        ('flavor: "a\\0b"', "expected one value"),
        ("timeout: .nan", "no number of seconds"),
        ("allow-from: [everyone]", "'everyone' does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_a_file_with_a_mistake_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    (folder / "launch.yaml").write_text(text)

    error = refusal(capsys)

    assert says in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("Lab",), "lower-case letters"),
        (("-x",), "No such option"),
        (("list",), "list is a command"),
        (("--timeout", "nan"), "no number of seconds"),
        (("a" * 64,), "up to 63"),
        (("--allow-from", "192.0.2.7/24"), "has host bits set"),
        (("--upload", "--commit", "main"), "--upload pushes this checkout's HEAD"),
        (("--security-group", "web", "--allow-from", "192.0.2.7"), "--allow-from would do nothing"),
        (("--no-wait", "--upload"), "--no-wait does not go with --upload"),
        (("--no-wait", "--bake", "image"), "--no-wait does not go with --upload and --bake"),
        (("--timeout", "0"), "0"),
        (("--settings", "gone.yaml"), "gone.yaml"),
        (("--mode", "podman"), "'podman' is not one of"),
        (("--mode", "docker", "--domain", "lab.example.org"), "--domain does not go with --mode docker"),
        (("--domain", "lab"), "--domain takes a name such as celeriac.example.org"),
        (("--domain", "https://lab.example.org"), "no scheme"),
        (("--domain", ""), "got ''"),
        (("--mode", "docker", "--models-repository"), "--models-repository does not go with --mode docker"),
        (("--push-key", __file__), "it goes with --models-repository"),
        (("--role", "staging"), "'staging' is not one of"),
        (("--role", "development", "--models-repository"), "it does not go with --models-repository"),
        (
            ("--role", "development", "--workers", "2", "--bake", "image"),
            "it does not go with --workers, --bake",
        ),
        (("--role", "development", "--with-development"), "it does not go with --with-development"),
        (("--production", "lab"), "--production is for a machine of --role development"),
        (("--role", "development", "--production", "lab", "--no-wait"), "not with --no-wait"),
        (("--role", "development", "--production", "Lab"), "lower-case letters"),
        (("--with-development", "--no-wait"), "--with-development needs both machines"),
        (("--with-development", "--mode", "docker"), "not with --bake, --no-wait or --mode docker"),
        (("--development-flavor", "m1.large"), "--development-flavor goes with --with-development"),
        (("--with-development", "a" * 63), "up to 63"),
        (("--models-repository", "--push-key", __file__), "to be one public key"),
        (("--image-prefix", "registry.example/"), "they go with --mode docker"),
        (("--mode", "systemd", "--image-prefix", "registry.example/"), "they go with --mode docker"),
        (("--mode", "docker", "--image-prefix", "registry.example"), "a slash at the end"),
        (("--mode", "docker", "--image-prefix", "user:secret@registry.example/"), "no user and no password"),
        (("--mode", "docker", "--registry-ca", __file__), "the registry that --image-prefix names"),
        (
            ("--mode", "docker", "--image-prefix", "registry.example/", "--registry-ca", __file__),
            "has no certificate",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert says in refusal(capsys, *arguments)
