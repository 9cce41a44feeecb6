"""Code that trains with next to nothing, in place of TensorFlow: for machines on which models are trained."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TRAINS = """\
import os, pathlib, shutil, subprocess, sys
model = sys.argv[1]
clone = pathlib.Path(os.environ["MODELS_CLONE"])
(version,) = pathlib.Path("production_server/model_store", model).iterdir()
shutil.copytree(version, clone / model, dirs_exist_ok=True)
subprocess.run(["git", "add", model], cwd=clone, check=True)
subprocess.run(["git", "commit", "--quiet", "--message", f"Train {model}"], cwd=clone, check=True)
"""
"""Commits the version that the code brings where `make train` is told to."""


def files() -> dict[str, str]:
    """What is other in such a commit: requirements that are there in a second, and what `make train` runs."""
    requirements = (ROOT / "requirements.txt").read_text()
    found = re.search(r"^click==.*?(?=^\S)", requirements, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError("the service's requirements have no click any more: name another small package")
    return {"requirements/training.txt": found.group(), "production_server/training/__main__.py": TRAINS}
