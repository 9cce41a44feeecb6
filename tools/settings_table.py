#!/usr/bin/env python3
"""Writes the table of settings in docs/operations.md anew: python -m tools.settings_table."""

from __future__ import annotations

from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from production_server.settings import Settings, text_of_value, variable_of

PAGE = Path(__file__).parents[1] / "docs" / "operations.md"
HEAD = "| variable | default | meaning |\n|---|---|---|\n"


def with_table(page: str) -> str:
    """`page` with the table as it should be."""
    before, head, after = page.partition(HEAD)
    _, gap, rest = after.partition("\n\n")
    return before + head + "\n".join(map(_row, fields(Settings))) + gap + rest


def _row(setting: Field[Any]) -> str:
    default = text_of_value(setting.default)
    shown = setting.metadata["shown_default"] or (default and f"`{default}`")
    return f"| `{variable_of(setting)}` |{f' {shown} ' if shown else ' '}| {setting.metadata['meaning']} |"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
