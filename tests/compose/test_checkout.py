"""What a checkout is on its own: passwords, images, refusals, and that it can be removed without a trace."""

from __future__ import annotations

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from testing.compose_project import ComposeProject, checkout, compose_project
from testing.docker import belongings, docker, images_tagged, inspect
from tests.compose.conftest import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testing.compose_project import Checkout

SECRETS = ["admin_password", "broker_url", "database_url", "postgres_password", "rabbitmq_definitions"]
LATER_SECRETS = ["aws_credentials", "events_token", "stream_credentials"]


@pytest.fixture(scope="module")
def fresh(engine: None) -> Iterator[Checkout]:
    """A checkout that nobody has brought up."""
    with checkout() as made:
        yield made


def one_line(text: str) -> str:
    """The only line of what was said."""
    (line,) = text.splitlines()
    return line


def test_two_checkouts_share_nothing_and_one_that_is_destroyed_leaves_nothing(
    project: ComposeProject,
) -> None:
    with compose_project() as other:
        theirs, ours = other.checkout.passwords(), project.checkout.passwords()
        assert theirs.keys() == ours.keys()
        # Only what waits for the operator's own.
        same = sorted(name for name in ours if ours[name] == theirs[name])
        assert same == ["aws_credentials", "stream_credentials"]
        assert len(belongings(other.name)) == 5 + 4 + 3  # containers, volumes, networks

        other.checkout.run("make", "destroy", "ARGS=--yes")

        assert belongings(other.name) == []
        assert not other.checkout.secrets.exists()
        assert other.checkout.run("git", "status", "--porcelain", "--ignored").stdout == ""
        assert project.is_ready()


@pytest.mark.parametrize("answer", ["", "n\n", "yep\n"])
def test_destroy_asks_and_does_nothing_without_a_yes(project: ComposeProject, answer: str) -> None:
    refused = project.checkout.run("make", "destroy", stdin=answer, check=False)

    assert refused.returncode != 0
    assert (
        f"Remove all jobs, results, models and passwords of the project {project.name}? [y/N]"
        in refused.stderr
    )
    assert "error: nothing was removed" in refused.stderr
    assert project.is_ready()
    assert project.checkout.secrets.exists()


def test_a_checkout_without_its_passwords_does_not_run_on_the_volumes_of_another(
    project: ComposeProject,
) -> None:
    with checkout(project.name) as other:
        refused = other.run("tools/compose", "up", check=False)

        assert refused.returncode == 1
        assert refused.stdout == ""
        assert re.match(rf"error: volume {project.name}_db holds data", one_line(refused.stderr))
        assert not other.secrets.exists()
    assert project.is_ready()


@pytest.mark.parametrize("command", ["up", "ps", "down", "destroy", "build"])
def test_an_engine_that_does_not_answer_is_told_in_one_line(fresh: Checkout, command: str) -> None:
    refused = fresh.run("tools/compose", command, check=False, DOCKER_HOST="unix:///nonexistent")

    assert refused.returncode == 1
    assert one_line(refused.stderr).startswith("error: the Docker engine does not answer")


@pytest.mark.parametrize(
    "words",
    [
        (), ("fly",), ("scale",), ("scale", ""), ("scale", "0"), ("scale", "x"), ("scale", "-1"), ("scale", "1", "2"),
        ("up", "x"), ("destroy", "all"),
    ],
)  # fmt: skip
def test_a_wrong_command_is_refused_in_one_line(fresh: Checkout, words: tuple[str, ...]) -> None:
    refused = fresh.run("tools/compose", *words, check=False)

    assert refused.returncode == 2
    assert one_line(refused.stderr).startswith("error: ")
    assert belongings(fresh.project) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"PORT": "abc"}, "error: that is what Compose says of the environment and docker/.env"),
        ({"WORKERS": "-1"}, "error: WORKERS is a number from 1 to 999, not '-1'"),
        ({"WORKERS": "0"}, "error: WORKERS is a number from 1 to 999, not '0'"),
        (
            {"MODEL_STORE": "s3://lab"},
            "error: MODEL_STORE is a folder here, not 's3://lab': a bucket is named by MODEL_BUCKET=s3://lab",
        ),
        (
            {"MODEL_STORE": "store"},
            "error: MODEL_STORE is the path of a folder, from / or, beside docker-compose.yml, from ./, not 'store'",
        ),
        ({"MODEL_STORE": "/nonexistent"}, "error: MODEL_STORE: there is no folder /nonexistent"),
        ({"PORT": "0"}, "error: a port is a number from 1 to 65535, not '0'"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_before_anything_is_made(
    fresh: Checkout, settings: dict[str, str], said: str
) -> None:
    refused = fresh.run("tools/compose", "up", check=False, **settings)

    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == said
    assert fresh.run("git", "status", "--porcelain", "--ignored").stdout == ""
    assert belongings(fresh.project) == []


def test_a_port_that_something_else_has_is_told_and_nothing_is_started(
    project: ComposeProject, fresh: Checkout
) -> None:
    taken = str(project.port)
    refused = fresh.run("tools/compose", "up", check=False, PORT=taken)

    assert refused.returncode == 1
    assert one_line(refused.stderr).startswith(
        f"error: 127.0.0.1:{taken} cannot be listened on: something else does"
    )
    assert belongings(fresh.project) == []
    fresh.run("tools/compose", "destroy", "--yes")


def test_a_service_that_shall_have_a_port_of_something_else_keeps_what_it_has(
    project: ComposeProject,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken = str(listening.getsockname()[1])
        refused = project.checkout.run("make", "up", check=False, PORT=taken)

    assert f"error: 127.0.0.1:{taken} cannot be listened on: something else does" in refused.stderr
    assert project.is_ready()


def test_an_address_that_this_machine_does_not_have_is_told(project: ComposeProject) -> None:
    refused = project.checkout.run("make", "up", check=False, BIND="192.0.2.1")

    assert f"error: 192.0.2.1:{project.port} cannot be listened on" in refused.stderr
    assert project.is_ready()


def test_two_projects_of_one_checkout_share_no_passwords(fresh: Checkout) -> None:
    nowhere = {"IMAGE_PREFIX": "127.0.0.1:1/", "IMAGE_TAG": "none"}
    fresh.run("tools/compose", "up", check=False, **nowhere)
    fresh.run("tools/compose", "up", check=False, COMPOSE_PROJECT_NAME=f"{fresh.project}-2", **nowhere)
    ours = fresh.passwords()

    fresh.run("tools/compose", "destroy", "--yes", COMPOSE_PROJECT_NAME=f"{fresh.project}-2")

    assert [folder.name for folder in fresh.secrets.parent.iterdir()] == [fresh.project]
    assert fresh.passwords() == ours
    fresh.run("tools/compose", "destroy", "--yes")


def test_passwords_that_are_not_complete_are_told(fresh: Checkout, tmp_path: Path) -> None:
    refused = fresh.run("tools/compose", "up", check=False, SECRETS_DIR=str(tmp_path))

    assert refused.returncode == 1
    assert one_line(refused.stderr).startswith(f"error: {tmp_path} lacks broker_url: put it back")
    assert list(tmp_path.iterdir()) == []


def test_passwords_of_before_there_were_buckets_and_streams_get_theirs(
    fresh: Checkout, tmp_path: Path
) -> None:
    nowhere = {"IMAGE_PREFIX": "127.0.0.1:1/", "IMAGE_TAG": "none", "SECRETS_DIR": str(tmp_path)}
    for name in SECRETS:
        (tmp_path / name).write_text("mine")

    for _ in range(2):
        fresh.run("tools/compose", "up", check=False, **nowhere)
        (tmp_path / "aws_credentials").write_text("[default]")

    assert {(tmp_path / name).read_text() for name in SECRETS} == {"mine"}
    assert len((tmp_path / "events_token").read_text().strip()) == 48
    assert (tmp_path / "aws_credentials").read_text() == "[default]"
    assert (tmp_path / "stream_credentials").read_text().startswith("#")


def test_destroy_removes_no_file_that_it_did_not_make(fresh: Checkout, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    (tmp_path / "broker_url").touch()

    told = fresh.run("tools/compose", "destroy", "--yes", check=False, SECRETS_DIR=str(tmp_path))

    assert f"{tmp_path} is not empty" in told.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_what_is_not_up_cannot_be_scaled(fresh: Checkout) -> None:
    refused = fresh.run("tools/compose", "scale", "2", check=False)

    assert refused.returncode == 1
    assert one_line(refused.stderr) == "error: there is nothing to scale: tools/compose up comes first"
    assert belongings(fresh.project) == []


def test_passwords_that_are_made_twice_at_once_are_those_of_one(fresh: Checkout) -> None:
    # With no image to be had, both end once the passwords are there.
    nowhere = {"IMAGE_PREFIX": "127.0.0.1:1/", "IMAGE_TAG": "none"}

    with ThreadPoolExecutor() as threads:
        ups = [threads.submit(fresh.run, "tools/compose", "up", check=False, **nowhere) for _ in range(4)]
    said = "".join(up.result().stdout for up in ups)

    assert said.count("Made new passwords") == 1
    assert sorted(file.name for file in fresh.secrets.iterdir()) == sorted(SECRETS + LATER_SECRETS)
    fresh.run("tools/compose", "destroy", "--yes")


def test_a_test_that_fails_leaves_nothing_in_the_engine(project: ComposeProject) -> None:
    image = f"celeriac-serve:{project.name}"
    seen: list[Checkout] = []

    with pytest.raises(ZeroDivisionError):
        make_things_and_fail(image, seen)

    assert belongings(seen[0].project) == images_tagged(seen[0].project) == []
    assert image in images_tagged(project.name)


def make_things_and_fail(image: str, seen: list[Checkout]) -> None:
    with checkout() as made:
        seen.append(made)
        label = ("--label", f"com.docker.compose.project={made.project}")
        network, volume = f"{made.project}_backend", f"{made.project}_db"
        docker("volume", "create", *label, volume)
        docker("network", "create", *label, network)
        docker("tag", image, f"celeriac-serve:{made.project}")
        command = ("run", "--detach", *label, "--network", network, "--volume", f"{volume}:/data")
        docker(*command, "--entrypoint", "sleep", image, "600")
        assert len(belongings(made.project)) == 3
        raise ZeroDivisionError


def layers(image: str) -> list[str]:
    (found,) = inspect([image])
    return list(found["RootFS"]["Layers"])


def build(made: Checkout, tag: str, *options: str) -> list[str]:
    """The layers of an image that is built of a checkout."""
    command = ("docker", "build", "-q", "-f", "docker/Dockerfile", "--target", "serve", "-t", tag, *options)
    made.run(*command, "--build-arg", f"EXTRAS={SETTINGS['EXTRAS']}", ".")
    return layers(tag)


def test_the_same_sources_make_the_same_layers_whenever_they_are_built(
    project: ComposeProject, fresh: Checkout
) -> None:
    again = build(fresh, f"{fresh.project}:again", "--no-cache")
    try:
        assert again == layers(f"celeriac-serve:{project.name}")
    finally:
        docker("image", "rm", f"{fresh.project}:again")


def test_a_change_of_the_code_changes_no_layer_below_it(project: ComposeProject, fresh: Checkout) -> None:
    before = layers(f"celeriac-serve:{project.name}")
    file = fresh.root / "production_server" / "errors.py"
    unchanged = file.read_text()
    file.write_text(unchanged + "\n# changed\n")
    try:
        after = build(fresh, f"{fresh.project}:changed")
    finally:
        file.write_text(unchanged)
        docker("image", "rm", f"{fresh.project}:changed", check=False)

    changed = [index for index, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    assert changed == [2], "base, environment, code, working directory"


def test_the_image_says_what_it_was_made_of(project: ComposeProject) -> None:
    (image,) = inspect([f"celeriac-serve:{project.name}"])

    labels = image["Config"]["Labels"]

    head = project.checkout.run("git", "rev-parse", "HEAD").stdout.strip()
    assert labels["org.opencontainers.image.revision"] == head
