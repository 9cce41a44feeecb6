"""The documents name what there is, and nothing else."""

from __future__ import annotations

import re
import subprocess
from dataclasses import fields
from pathlib import Path

import click

from client import cli
from production_server.settings import Settings

ROOT = Path(__file__).parents[2]
CLIENT_PAGE = ROOT / "docs" / "client.md"
OPERATIONS_PAGE = ROOT / "docs" / "operations.md"


def documents() -> str:
    """The text of everything that a newcomer may read."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
    return "\n".join(page.read_text() for page in pages if page.exists())


def commands() -> list[click.Command]:
    return list(cli.cli.commands.values())


def options() -> list[click.Option]:
    return [each for command in commands() for each in command.params if isinstance(each, click.Option)]


def test_every_make_target_is_documented_and_no_other() -> None:
    listing = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^  make (\S+)", listing, re.MULTILINE))

    documented = set(re.findall(r"(?:`|^|^\$ )make ([a-z][a-z-]*)", documents(), re.MULTILINE))

    assert documented == targets


def test_every_setting_is_in_the_table_of_the_operations_page_and_no_other() -> None:
    settings = {setting.metadata["variable"] for setting in fields(Settings)}

    documented = set(re.findall(r"^\| `([A-Z][A-Z_]+)`", OPERATIONS_PAGE.read_text(), re.MULTILINE))

    assert documented == settings


def test_every_flag_of_the_client_is_documented_and_no_other() -> None:
    flags = {flag for option in options() for flag in option.opts} | {"--help"}

    documented = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", CLIENT_PAGE.read_text()))

    assert documented == flags


def test_every_environment_variable_of_the_client_is_documented_and_no_other() -> None:
    variables = {option.envvar for option in options() if option.envvar}

    assert set(re.findall(r"CELERIAC_\w+", CLIENT_PAGE.read_text())) == variables


def test_every_exit_code_of_the_client_is_documented() -> None:
    codes = re.findall(r"^  (\d+) ", cli.EPILOG, re.MULTILINE)

    assert re.findall(r"^\| (\d+) \|", CLIENT_PAGE.read_text(), re.MULTILINE) == codes


def test_the_help_of_every_command_has_examples_and_exit_codes() -> None:
    for command in [*commands(), cli.cli]:
        assert "Examples" in (command.help or ""), command.name
        assert "Exit codes" in (command.epilog or ""), command.name
