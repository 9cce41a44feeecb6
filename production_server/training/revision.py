"""The code revision that a training ran with, for the manifest."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

UNKNOWN = "unknown"


def code_revision() -> str:
    """The last commit that changed the training code, with "-dirty" if files differ from it.

    Without git, what the variable `CODE_REVISION` says (as in the image `train`), else "unknown".
    """
    folder = Path(__file__).parent
    commit = _git("log", "-1", "--format=%H", "--", ".", folder=folder)
    if not commit:
        return os.environ.get("CODE_REVISION") or UNKNOWN
    return f"{commit}-dirty" if _git("status", "--porcelain", "--", ".", folder=folder) else commit


def _git(*arguments: str, folder: Path) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
