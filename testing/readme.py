"""The README's shell lines, each as somebody would paste it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
ADDRESS = "127.0.0.1:5100"

CLONE = r"git clone "
SERVICE = r"(\w+=\S+ )*make run\b"
CONTAINERS = r"make (up|scale)\b"
CLOUD = r"export OS_CLOUD=|make launch |\.venv-launcher/"
SUITE = r"make test\b"


def lines(kind: str = "") -> list[str]:
    """Those that begin as the expression `kind` says, in their order."""
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    found = [line for block in blocks for line in re.sub(r"\\\n\s*", "", block).splitlines() if line]
    return [line for line in found if re.match(kind, line)]


def is_for_a_service(line: str) -> bool:
    """Whether it needs neither a cloud nor an engine for containers, and is not the tests themselves."""
    return not re.match(f"{CLONE}|{CONTAINERS}|{CLOUD}|{SUITE}", line)
