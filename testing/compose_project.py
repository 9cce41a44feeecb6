"""The service in containers, as a user has it who clones the repository: a checkout, a Compose project, a port."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testing import docker
from testing.processes import ServiceError, free_ports, temporary_directory, wait_until
from testing.web_service import WebService

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]


class Checkout:
    """A clone of this checkout's HEAD, without what is not committed, and the environment of its commands."""

    def __init__(self, folder: Path, project: str, **settings: str) -> None:
        self.root = folder / "celeriac"
        self.project = project
        self.env = docker.client_env() | {"COMPOSE_PROJECT_NAME": project, "IMAGE_TAG": project} | settings
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(self.root)], check=True)

    @property
    def secrets(self) -> Path:
        """The folder of its passwords, if it has any."""
        return self.root / "docker" / "secrets" / self.project

    def passwords(self) -> dict[str, str]:
        """What the files of that folder hold, by name."""
        return {file.name: file.read_text().strip() for file in self.secrets.iterdir()}

    def run(
        self, *command: str, folder: str = ".", stdin: str = "", check: bool = True, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a folder of the checkout, without a terminal.

        Raises:
            ServiceError: It failed, and `check` is true.
        """
        done = subprocess.run(
            command,
            cwd=self.root / folder,
            env=self.env | env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=docker.LIMIT_S,
            check=False,
        )
        if check and done.returncode:
            raise ServiceError(
                f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
            )
        return done

    def compose(self, *arguments: str, **more: Any) -> str:
        """What `docker compose` says."""
        return self.run("docker", "compose", *arguments, **more).stdout.strip()


class ComposeProject(WebService):
    """A checkout whose service runs; tests may stop, kill, scale and start it, and leave it running."""

    def __init__(self, checkout: Checkout, port: int) -> None:
        super().__init__(f"http://127.0.0.1:{port}")
        self.checkout = checkout
        self.name = checkout.project
        self.port = port

    def up(self) -> None:
        """Start what does not run."""
        self.checkout.run("make", "up")
        self.web.headers = self.with_key

    @property
    def key(self) -> str:
        """The first key."""
        return self.checkout.passwords()["first_key"]

    @property
    def with_key(self) -> dict[str, str]:
        """The header that brings it."""
        return {"Authorization": f"Bearer {self.key}"}

    def scale(self, workers: int) -> None:
        """Run that many workers."""
        self.checkout.run("make", "scale", f"WORKERS={workers}")

    def compose(self, *arguments: str, **more: Any) -> str:
        """What `docker compose` says, in the checkout's root."""
        return self.checkout.compose(*arguments, **more)

    def containers(self, service: str = "", *, all_states: bool = False) -> list[str]:
        """The names of its running containers, or of all, in order; of one service or of all."""
        labels = [f"label=com.docker.compose.project={self.name}"]
        labels += [f"label=com.docker.compose.service={service}"] if service else []
        filters = [word for label in labels for word in ("--filter", label)]
        command = ["ps", *(["--all"] if all_states else []), *filters, "--format", "{{.Names}}"]
        return sorted(docker.docker(*command).stdout.split())

    def execute(self, container: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a container, as its service's user."""
        return docker.docker("exec", container, *command, check=False)

    def query(self, sql: str) -> list[list[str]]:
        """The rows that the database answers, as text."""
        psql = ["psql", "-U", "celeriac", "-d", "celeriac", "-At", "-F", "\t", "-c", sql]
        return [line.split("\t") for line in self.compose("exec", "-T", "db", *psql).splitlines()]

    def alive_workers(self) -> list[str]:
        """The names of the workers that /readyz counts."""
        detail: str = self.web.get("/readyz").json()["checks"]["workers"]["detail"]
        return detail.partition("alive: ")[2].split(", ") if "alive: " in detail else []

    def wait_for_workers(self, count: int) -> None:
        """Wait until so many workers are warm and no other one counts as alive."""
        wait_until(lambda: len(self.alive_workers()) == count, what=f"{count} workers are alive")


@contextlib.contextmanager
def checkout(project: str = "", **settings: str) -> Iterator[Checkout]:
    """A fresh clone, of a project of its own unless one is named; afterwards nothing of that is left."""
    with temporary_directory("compose") as folder:
        made = Checkout(folder, project or f"celeriac-test-{secrets.token_hex(3)}", **settings)
        try:
            yield made
        finally:
            if not project:
                docker.remove(made.project, image_tag=made.project)


@contextlib.contextmanager
def compose_project(**settings: str) -> Iterator[ComposeProject]:
    """A fresh clone whose service is up; afterwards nothing of it is left."""
    (port,) = free_ports(1)
    with checkout(PORT=str(port), **settings) as made:
        project = ComposeProject(made, port)
        try:
            project.up()
            yield project
        finally:
            project.web.close()
