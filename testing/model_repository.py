"""A repository of models that is pushed to by git itself, over a path: a service's state, its repository and clones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_WHO = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}
LONGEST_S = 120


def environment(**more: str) -> dict[str, str]:
    """That of somebody who knows nothing of the service's settings; coverage measures its hooks too."""
    kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("COV")}
    return kept | _WHO | more


@dataclass(frozen=True, slots=True)
class Pushed:
    """What came of a push: its exit code, and the lines that somebody saw."""

    code: int
    said: str

    @property
    def remote(self) -> str:
        """What the hooks said, as one text: they break long lines."""
        lines = (line for line in self.said.splitlines() if line.startswith("remote: "))
        return " ".join(" ".join(line.removeprefix("remote: ").split()) for line in lines)


class ModelClone:
    """Somebody's clone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def git(self, *arguments: str) -> str:
        """What git prints here."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=LONGEST_S,
        )
        return done.stdout.strip()

    def commit(self, subject: str) -> str:
        """Commit all that is there; returns the commit's id."""
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "--message", subject)
        return self.git("rev-parse", "HEAD")

    def push(self, *arguments: str) -> Pushed:
        """Push, main unless something else is said."""
        done = self.start_push(*arguments)
        said, _ = done.communicate(timeout=LONGEST_S)
        return Pushed(done.returncode, said)

    def start_push(self, *arguments: str) -> subprocess.Popen[str]:
        """A push whose output may be read while it runs; it leads a process group of its own."""
        return subprocess.Popen(
            ["git", "push", "production", *(arguments or ("main",))],
            cwd=self.folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


class ModelRepository:
    """The state of a service that need not run, and the repository in it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.path = self.state / "models.git"
        self.settings = {"STATE_DIR": str(self.state), "GATE_LATENCY": "1000"} | settings

    @property
    def hooks_settings(self) -> Path:
        """The file that hooks have their settings of."""
        return self.path / "celeriac.env"

    @property
    def main(self) -> str:
        """What main names; empty: nothing."""
        done = subprocess.run(
            ["git", f"--git-dir={self.path}", "rev-parse", "--verify", "--quiet", "main"],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip()

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """`python -m production_server …`, as somebody types it on the machine."""
        return subprocess.run(
            [sys.executable, "-m", "production_server", *arguments],
            env=environment(PYTHONPATH=str(ROOT), **self.settings, **env),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_S,
        )

    def init(self) -> ModelRepository:
        """Make it."""
        done = self.run("repository", "init")
        assert done.returncode == 0, done.stderr
        return self

    def clone(self, name: str = "clone") -> ModelClone:
        """A new clone."""
        folder = self.folder / name
        clone = ModelClone(folder)
        subprocess.run(
            ["git", "clone", "--quiet", "--origin=production", str(self.path), str(folder)],
            env=environment(),
            capture_output=True,
            check=True,
        )
        clone.git("checkout", "--quiet", "-B", "main")
        return clone

    def set_for_hooks(self, lines: Iterable[str]) -> None:
        """Have hooks run these lines of shell before they begin."""
        with self.hooks_settings.open("a") as file:
            file.write("\n".join((*lines, "")))

    def replace_hook(self, name: str, *lines: str) -> None:
        """Have git run other lines of shell as a hook; `repository init` brings its own back."""
        hook = self.path / "hooks" / name
        hook.write_text("\n".join(("#!/bin/sh", *lines, "")))
        hook.chmod(0o700)
