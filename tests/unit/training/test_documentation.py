from __future__ import annotations

import re
from pathlib import Path

from production_server.training.__main__ import cli

PAGE = Path(__file__).parents[3] / "docs" / "training.md"


def test_every_option_of_the_command_line_is_documented_and_no_other() -> None:
    options = {
        option
        for command in cli.commands.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }

    assert set(re.findall(r"--[a-z][a-z-]+", PAGE.read_text(encoding="utf-8"))) == options
