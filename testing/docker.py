"""Docker's engine for the tests: one that answers, else that of the test rig; and the `docker` command."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from testing.processes import ServiceError
from testing.rig import must_have_rig, run_script

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LIMIT_S = 600
KINDS = {"container": ("ls", "--all"), "volume": ("ls",), "network": ("ls",)}
"""What a project leaves in the engine, and how that is listed."""


@contextlib.contextmanager
def running_engine() -> Iterator[None]:
    """An engine that answers. One that runs is used and left; else the rig's is started, and stopped in the end.

    Without an engine and without a rig the test is skipped.
    """
    if engine_answers():
        yield
        return
    rig = must_have_rig("docker-up.sh", what="no Docker engine answers, and one is started")
    run_script(rig / "docker-up.sh")
    try:
        yield
    finally:
        run_script(rig / "docker-down.sh")


def engine_answers() -> bool:
    """Whether there is an engine that can be used."""
    return shutil.which("docker") is not None and docker("info", check=False).returncode == 0


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a `docker` command to its end.

    Raises:
        ServiceError: It failed, and `check` is true.
    """
    command = ["docker", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if check and done.returncode:
        raise ServiceError(f"docker {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return done


def inspect(names: Sequence[str]) -> list[dict[str, Any]]:
    """All that the engine knows of containers or images, in their order."""
    return list(json.loads(docker("inspect", *names).stdout)) if names else []


def belongings(project: str) -> list[str]:
    """What of a Compose project is in the engine, as `kind name`."""
    found = []
    for kind, command in KINDS.items():
        label = f"label=com.docker.compose.project={project}"
        names = docker(kind, *command, "--quiet", "--filter", label).stdout.split()
        found += [f"{kind} {name}" for name in names]
    return found


def remove(project: str, *, image_tag: str) -> None:
    """Remove all that is left of a Compose project, and the images with a tag of its own."""
    for each in belongings(project):
        kind, name = each.split()
        docker(kind, "rm", *(["--force"] if kind != "network" else []), name, check=False)
    for image in images_tagged(image_tag):
        docker("image", "rm", image, check=False)


def images_tagged(tag: str) -> list[str]:
    """The names of the images that have a tag."""
    listing = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference=*:{tag}")
    return listing.stdout.split()


def client_env() -> dict[str, str]:
    """What a `docker` command needs of the environment, and nothing that a Compose file reads."""
    names = {"PATH", "HOME"} | {name for name in os.environ if name.startswith("DOCKER_")}
    return {name: os.environ[name] for name in names if name in os.environ}
