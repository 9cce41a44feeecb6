"""The documents name what there is, and nothing else."""

from __future__ import annotations

import re
import subprocess
import tomllib
from dataclasses import fields
from pathlib import Path

import click
import pytest

import client
import production_server
from client import cli
from client.exits import EPILOG
from client.launcher import cli as launcher
from production_server.settings import Settings, variable_of
from tools.settings_table import with_table

ROOT = Path(__file__).parents[2]
CLIENT_PAGE = ROOT / "docs" / "client.md"
LAUNCH_PAGE = ROOT / "docs" / "launch.md"
OPERATIONS_PAGE = ROOT / "docs" / "operations.md"
COMPOSE_PAGE = ROOT / "docs" / "compose.md"
ALERTS = ROOT / "docker" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "docker" / "grafana" / "celeriac.json"
COMPOSE_FILE = ROOT / "docker" / "docker-compose.yml"


def documents() -> str:
    """The text of everything that a newcomer may read."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
    return "\n".join(page.read_text() for page in pages if page.exists())


def commands_of(group: click.Group) -> list[click.Command]:
    """A group, and all commands below it."""
    below = (
        commands_of(each) if isinstance(each, click.Group) else [each] for each in group.commands.values()
    )
    return [group, *(command for commands in below for command in commands)]


COMMANDS = {
    CLIENT_PAGE: commands_of(cli.cli),
    LAUNCH_PAGE: [*launcher.start.commands.values(), launcher.stop],
}


def parameters(page: Path) -> list[click.Parameter]:
    return [each for command in COMMANDS[page] for each in command.params]


def test_every_make_target_is_documented_and_no_other() -> None:
    listing = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^  make (\S+)", listing, re.MULTILINE))

    documented = set(re.findall(r"(?:`|^|^\$ )make ([a-z][a-z-]*)", documents(), re.MULTILINE))

    assert documented == targets


def test_the_table_of_settings_says_what_the_settings_say() -> None:
    page = OPERATIONS_PAGE.read_text()

    assert page == with_table(page), "out of date: `python -m tools.settings_table` writes it anew"


def test_every_setting_is_in_the_table_of_the_operations_page_and_no_other() -> None:
    settings = {variable_of(setting) for setting in fields(Settings)}

    documented = re.findall(r"^\| `([A-Z][A-Z_]+)`", OPERATIONS_PAGE.read_text(), re.MULTILINE)

    assert sorted(documented) == sorted(settings)


def test_every_variable_of_the_compose_file_is_in_the_table_of_its_page_and_no_other() -> None:
    composes_own = {"COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES"}
    variables = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", COMPOSE_FILE.read_text()))

    rows = re.findall(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \|", COMPOSE_PAGE.read_text(), re.MULTILINE)

    assert {name for row in rows for name in re.findall(r"[A-Z_]+", row)} == variables | composes_own


def test_every_alert_is_explained_and_no_other() -> None:
    alerts = re.findall(r"- alert: (\w+)", ALERTS.read_text())

    rows = re.findall(r"^\| ((?:`[A-Z]\w+[a-z]`(?:, )?)+) \|", OPERATIONS_PAGE.read_text(), re.MULTILINE)

    assert {name for row in rows for name in re.findall(r"\w+", row)} == set(alerts)


@pytest.mark.parametrize("file", [ALERTS, DASHBOARD, COMPOSE_PAGE], ids=lambda file: file.name)
def test_what_is_asked_of_prometheus_is_a_metric_that_is_explained(file: Path) -> None:
    asked = {
        re.sub("_(bucket|count|sum)$", "", name)
        for name in re.findall(r"\b(?:celeriac|process)_\w+", file.read_text())
    }

    rows = re.findall(r"^\| (`(?:celeriac|process)_.*?) \|", OPERATIONS_PAGE.read_text(), re.MULTILINE)

    assert asked and asked <= {name for row in rows for name in re.findall(r"\w+", row)}


def test_what_tells_a_version_tells_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    told = {client.__version__, production_server.__version__}
    labelled = re.findall(r"^ARG VERSION=(.+)$", (ROOT / "docker" / "Dockerfile").read_text(), re.MULTILINE)

    assert told | set(labelled) == {project["version"]}


def test_the_containers_take_every_setting_that_is_not_theirs_to_decide() -> None:
    decided = {"HOST", "PORT", "STATE_DIR", "BROKER_URL", "DATABASE_URL", "WORKERS"}
    decided |= {"WORKER_NAME", "HEARTBEAT_FILE", "METRICS_PORT", "REMOTE_CONTROL"}
    # Web and workers share a volume, and with it the sockets for calls.
    decided |= {"CALLS_DIR", "CALLS_LISTEN", "CALLS_TLS_CERT", "CALLS_TLS_KEY", "CALLS_TLS_CA"}
    # In containers there are always keys, and files of their own for them.
    decided |= {"API_KEYS", "FIRST_KEY_FILE", "OPEN_TO_ALL"}
    # TLS is its proxy's, which has an address in a network of theirs.
    decided |= {"TLS_CERT", "TLS_KEY", "HTTP_PORT", "PROXIES"}
    # Three name files in folders that are theirs, the last is a secret.
    decided |= {"EVENTS_FILE", "STREAMS_FILE", "LEARNING_FILE", "EVENTS_TOKEN"}
    # Images have no git.
    decided |= {"MODELS_REPOSITORY", "MODELS_PUSH_BYTES"}
    # The one is part of an image, the other one a folder that is mounted.
    decided |= {"IMPORT_PYTHON", "MORE_MODELS"}
    settings = {variable_of(setting) for setting in fields(Settings)}

    taken = set(re.findall(r"^ +([A-Z_]+): \$\{\1:-\}", COMPOSE_FILE.read_text(), re.MULTILINE))

    # What the image is built with is no setting of the service.
    assert taken - {"AWS_ENDPOINT_URL", "EXTRAS"} | {"MODEL_STORE"} == settings - decided


@pytest.mark.parametrize("page", COMMANDS, ids=lambda page: page.stem)
def test_every_flag_of_a_command_line_is_documented_and_no_other(page: Path) -> None:
    options = [each for each in parameters(page) if isinstance(each, click.Option)]
    flags = {flag for option in options for flag in (*option.opts, *option.secondary_opts)} | {"--help"}

    documented = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", _without_other_programs(page.read_text())))

    assert documented == flags


def _without_other_programs(text: str) -> str:
    """Without the lines of code, and the code in lines, that are of other programs."""
    return re.sub(
        r"openstack [^`]*|(?:systemctl|docker compose|python -m client|export CELERIAC_KEY=)[^`\n]*", "", text
    )


@pytest.mark.parametrize("page", COMMANDS, ids=lambda page: page.stem)
def test_every_environment_variable_of_a_command_line_is_documented_and_no_other(page: Path) -> None:
    variables = {str(each.envvar) for each in parameters(page) if each.envvar}

    assert set(re.findall(r"(?:CELERIAC|OS)_\w+", _without_other_programs(page.read_text()))) == variables


@pytest.mark.parametrize(("page", "epilog"), [(CLIENT_PAGE, EPILOG), (LAUNCH_PAGE, launcher.EPILOG)])
def test_every_exit_code_of_a_command_line_is_documented(page: Path, epilog: str) -> None:
    codes = re.findall(r"^  (\d+) ", epilog, re.MULTILINE)

    assert re.findall(r"^\| (\d+) \|", page.read_text(), re.MULTILINE) == codes


def test_the_help_of_every_command_has_examples_and_exit_codes() -> None:
    for command in [each for commands in COMMANDS.values() for each in commands]:
        assert "Examples" in (command.help or ""), command.name
        assert "Exit codes" in (command.epilog or ""), command.name


def test_the_help_of_every_option_of_the_launcher_names_its_variable() -> None:
    for each in parameters(LAUNCH_PAGE):
        if isinstance(each, click.Option) and not each.is_eager:
            assert each.envvar and each.show_envvar, each.name


def test_every_test_that_holds_a_threat_is_there() -> None:
    named = re.findall(
        r"`([a-z]\w+/[\w./-]*)`", (ROOT / "docs" / "security.md").read_text().partition("## ")[0]
    )

    assert len(named) > 20
    assert [path for path in named if not (ROOT / "tests" / path).exists()] == []
