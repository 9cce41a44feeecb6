"""tools/compose before it starts anything: what it refuses, and whose passwords are whose. The engine is a stand-in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECRETS = {"admin_password", "broker_url", "database_url", "postgres_password", "rabbitmq_definitions"}
LATER_SECRETS = {"aws_credentials", "events_token", "stream_credentials"}
KEYS = {"first_key", "metrics_key", "api_keys"}

# It has the volumes, and what is published, in files of a folder; `started` is made when something is brought up.
ENGINE = r"""#!/bin/sh
cd "$ENGINE"
project=${COMPOSE_PROJECT_NAME:-celeriac}
case "$*" in
"compose version --short") echo 2.26.1 ;;
"version --format "*) echo 26.1.5 ;;
"volume inspect "*) [ -e "volumes/$3" ] ;;
*" config --services") echo web; [ "${COMPOSE_PROFILES:-}" != tls ] || echo caddy
    [ "${COMPOSE_PROFILES:-}" != training ] || echo trainer ;;
*" config") cat <<END
name: $project
services:
  web:
    image: celeriac-serve:$project
    ports:
      - mode: ingress
        host_ip: ${BIND:-127.0.0.1}
        target: 5100
        published: "${PORT:-5100}"
        protocol: tcp
x-values:
  BIND: "${BIND:-127.0.0.1}"
  DOMAIN: "${DOMAIN:-localhost}"
  HTTPS_PORT: "${HTTPS_PORT:-443}"
  LEARNING_FILE: "${LEARNING_FILE:-}"
  PORTS: ${PORT:-5100} 5555
  SECRETS_DIR: ${SECRETS_DIR:-./secrets/$project}
  WORKERS: "${WORKERS:-}"
END
;;
*" port web 5100") cat published 2>/dev/null ;;
*" ps --quiet --all web") [ ! -e runs ] || echo 1234 ;;
*" ps --quiet --all worker") ;;
"run --rm --network none "*" keys generate") [ -e old ] || echo "cel_$$" ;;
"run --rm --publish "*) [ ! -e taken ] || { echo "docker: Error response from daemon: $(cat taken)." >&2; exit 125; } ;;
*" up --detach "*) touch started ;;
*" down --volumes "*) rm -f volumes/"$project"_* ;;
esac
"""
_FAILED = "driver failed programming external connectivity on endpoint x (1f2e): "
_PROXY = f"{_FAILED}Error starting userland proxy: listen tcp4 127.0.0.1:5100: bind: "
_BIND = f"{_FAILED}failed to bind host port for 127.0.0.1:5100:172.17.0.2:5100/tcp: "
# What engines of several versions say.
TAKEN = [
    f"{_FAILED}Bind for 127.0.0.1:5100 failed: port is already allocated",
    f"{_PROXY}address already in use",
    f"{_PROXY}cannot assign requested address",
    f"{_BIND}address already in use",
]


class Tool:
    """tools/compose in a checkout of its own, beside a stand-in for the engine, whose folder is `engine`."""

    def __init__(self, folder: Path) -> None:
        self.engine, self.secrets = folder / "engine", folder / "checkout/docker/secrets"
        self._program = folder / "checkout/tools/compose"
        (self.engine / "volumes").mkdir(parents=True)
        self._program.parent.mkdir(parents=True)
        for name in ("rabbitmq", "prometheus", "caddy", "models", "events", "streams", "learning"):
            (folder / "checkout/docker" / name).mkdir(parents=True)
        shutil.copy(ROOT / "tools/compose", self._program)
        stand_in = folder / "bin/docker"
        stand_in.parent.mkdir()
        stand_in.write_text(ENGINE)
        stand_in.chmod(0o755)
        self._env = {"PATH": f"{stand_in.parent}:/usr/bin:/bin", "ENGINE": str(self.engine)}

    def run(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *words], env=self._env | settings, capture_output=True, text=True, check=False
        )

    def has_started(self) -> bool:
        return (self.engine / "started").exists()

    def passwords(self, project: str) -> dict[str, str]:
        return {file.name: file.read_text() for file in (self.secrets / project).iterdir()}


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return Tool(tmp_path)


@pytest.mark.parametrize("number", ["0", "00", "-1", "1e3", "two", "1000", "1 2", "3.5"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(tool: Tool, number: str) -> None:
    (tool.engine / "runs").touch()

    scaled = tool.run("scale", number)
    begun = tool.run("up", WORKERS=number)

    assert (scaled.returncode, begun.returncode) == (2, 1)
    assert scaled.stderr.startswith(
        f"error: scale takes a number of workers from 1 to 999, not '{number}'; `tools/compose help`"
    )
    assert begun.stderr == f"error: WORKERS is a number from 1 to 999, not '{number}'\n"
    assert not tool.has_started()
    assert not tool.secrets.exists()


@pytest.mark.parametrize("port", ["0", "5100-5110"])
def test_a_port_that_compose_takes_and_nobody_means_is_refused(tool: Tool, port: str) -> None:
    refused = tool.run("up", PORT=port)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"error: a port is a number from 1 to 65535, not '{port}'\n"
    assert not tool.has_started()


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.7", "::"])
def test_a_way_around_tls_is_not_published(tool: Tool, address: str) -> None:
    refused = tool.run("up", BIND=address, COMPOSE_PROFILES="tls")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"error: BIND={address} would publish web without TLS beside Caddy")
    assert not tool.has_started()


def test_what_trains_needs_policies(tool: Tool) -> None:
    refused = tool.run("up", COMPOSE_PROFILES="training")

    assert refused.returncode == 1
    assert refused.stderr.startswith("error: the profile training needs LEARNING_FILE")
    assert not tool.has_started()
    assert tool.run("up", COMPOSE_PROFILES="training", LEARNING_FILE="learning.yaml").returncode == 0


def test_with_tls_its_address_is_told(tool: Tool) -> None:
    begun = tool.run("up", COMPOSE_PROFILES="tls", DOMAIN="celeriac.example.org", HTTPS_PORT="8443")

    assert begun.stdout.endswith("... and at https://celeriac.example.org:8443\n")
    assert "https" not in tool.run("up").stdout


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("said", TAKEN)
def test_a_port_that_is_taken_is_told_in_one_line_before_anything_is_started(
    tool: Tool, said: str, address: str
) -> None:
    (tool.engine / "taken").write_text(said.replace("127.0.0.1", address))

    refused = tool.run("up", BIND=address.strip("[]"))

    assert refused.returncode == 1
    assert refused.stderr == (
        f"error: {address}:5100 cannot be listened on: something else does, or this machine has no such address. Stop "
        "that, or take another PORT: PORT=5101 make up (docs/compose.md#settings); nothing was started\n"
    )
    assert not tool.has_started()


def test_a_port_that_this_project_has_already_is_not_asked_for_again(tool: Tool) -> None:
    (tool.engine / "taken").write_text(TAKEN[0])
    (tool.engine / "published").write_text("127.0.0.1:5100\n")

    assert tool.run("up").returncode == 0
    assert tool.has_started()


def test_two_projects_of_a_checkout_have_passwords_of_their_own(tool: Tool) -> None:
    tool.run("up")
    ours = tool.passwords("celeriac")
    tool.run("up", COMPOSE_PROJECT_NAME="other")

    theirs = tool.passwords("other")
    destroyed = tool.run("destroy", "--yes", COMPOSE_PROJECT_NAME="other")

    assert ours.keys() == theirs.keys() == SECRETS | LATER_SECRETS | KEYS
    # The first key's file is there for `migrate` to write to, the others for the operator.
    assert [name for name in ours if ours[name] == theirs[name]] == [
        "aws_credentials",
        "first_key",
        "stream_credentials",
    ]
    assert (destroyed.returncode, destroyed.stderr) == (0, "")
    assert tool.passwords("celeriac") == ours
    assert not (tool.secrets / "other").exists()


def test_the_last_project_that_is_destroyed_takes_the_folder_with_it(tool: Tool) -> None:
    tool.run("up")

    tool.run("destroy", "--yes")

    assert not tool.secrets.exists()


@pytest.mark.parametrize("command", [("up",), ("scale", "2")])
def test_an_upgrade_keeps_the_passwords_that_all_projects_shared(
    tool: Tool, command: tuple[str, ...]
) -> None:
    (tool.engine / "runs").touch()
    (tool.engine / "volumes/celeriac_db").touch()
    tool.secrets.mkdir()
    for name in SECRETS | LATER_SECRETS:
        (tool.secrets / name).write_text(f"the {name} of before")

    upgraded = tool.run(*command)

    kept = {name: f"the {name} of before" for name in SECRETS | LATER_SECRETS}
    assert upgraded.returncode == 0, upgraded.stderr
    found = tool.passwords("celeriac")
    assert {name: found[name] for name in kept} == kept
    assert (tool.secrets / "celeriac").stat().st_mode & 0o777 == 0o700
    assert {file.name: file.read_text() for file in tool.secrets.iterdir() if file.is_file()} == kept


def test_a_new_project_of_an_old_checkout_gets_new_passwords(tool: Tool) -> None:
    tool.secrets.mkdir()
    for name in SECRETS:
        (tool.secrets / name).write_text("of before")

    tool.run("up", COMPOSE_PROJECT_NAME="new")

    assert "of before" not in tool.passwords("new").values()


def test_prometheus_has_a_key_of_its_own_that_web_knows_and_a_second_up_keeps(tool: Tool) -> None:
    tool.run("up")
    made = tool.passwords("celeriac")
    first_key = tool.secrets / "celeriac/first_key"
    first_key.write_text("what migrate has written")
    (tool.secrets / "celeriac/api_keys").write_text("what an operator has added")

    tool.run("up")

    again = tool.passwords("celeriac")
    assert made["api_keys"].split() == [made["metrics_key"].strip(), "prometheus", "metrics"]
    assert again["metrics_key"] == made["metrics_key"]
    assert again["api_keys"] == "what an operator has added"
    assert again["first_key"] == "what migrate has written"
    assert first_key.stat().st_mode & 0o777 == 0o666


def test_an_image_that_makes_no_keys_is_told_and_leaves_none(tool: Tool) -> None:
    (tool.engine / "old").touch()

    refused = tool.run("up")

    assert refused.returncode == 1 and refused.stderr.startswith(
        "error: the image celeriac-serve:celeriac makes no keys"
    )
    assert not tool.has_started()
    assert "metrics_key" not in tool.passwords("celeriac")
