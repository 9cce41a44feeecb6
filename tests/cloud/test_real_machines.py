"""The launcher on a real OpenStack with real virtual machines: to predictions over the floating IP, and back.

Where there is no KVM the machines are emulated, and each first boot takes minutes. `make test-cloud` prints how long.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.services.git_daemon import git_daemon
from tests.services.openstack import OpenStack, running_openstack
from tests.services.openstack_project import OpenStackProject, openstack_project
from tests.services.processes import wait_until
from tests.services.rig import must_have_rig

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.timeout(7200)]

ROOT = Path(__file__).parents[2]
HOST = "172.24.4.1"  # this machine, as the rig's guests see it
FLAVOR = ("--flavor", "m1.medium")
AN_HOUR_S = 3600
PATIENT = ("6", "148", "72", "35", "0", "33.6", "0.627", "50")


@dataclass
class Launcher:
    """The launcher's scripts and the client, run as a user of one project; `seconds` are how long each launch took."""

    project: OpenStackProject
    home: Path
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.home,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "XDG_STATE_HOME": str(self.home),
                **self.project.env,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            timeout=AN_HOUR_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start(self, what: str, *arguments: str) -> Any:
        identity = ("--identity", str(self.project.identity))
        script = str(ROOT / "client" / "start_instance.py")
        answer = json.loads(self.run(script, *arguments, *identity, "--json", "--timeout", str(AN_HOUR_S)))
        self.seconds[what] = answer["seconds"]
        sys.stderr.write(f"{what}: {json.dumps(answer['stages'])}\n")
        return answer

    def stop(self, name: str) -> None:
        self.run(str(ROOT / "client" / "stop_instance.py"), name, "--yes")

    def predict(self, url: str, model: str, *inputs: str) -> list[str]:
        answer = self.run("-m", "client", "predict", "--url", url, "--json", "--model", model, *inputs)
        return [result["label"] for result in json.loads(answer)["results"]]

    def jobs(self, url: str) -> int:
        return len(json.loads(self.run("-m", "client", "jobs", "--url", url, "--json"))["jobs"])


@pytest.fixture(scope="session")
def openstack() -> Iterator[OpenStack]:
    """An OpenStack whose instances are machines."""
    with running_openstack(must_have_rig(), has_guests=True) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def launcher(openstack: OpenStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    home = tmp_path_factory.mktemp("home")
    with openstack_project(openstack, home) as project:
        launcher = Launcher(project, home)
        yield launcher
        sys.stderr.write(f"seconds: {json.dumps(launcher.seconds)}\n")


@pytest.fixture(autouse=True)
def nothing_left(launcher: Launcher) -> Iterator[None]:
    """An empty project for each test."""
    yield
    launcher.project.clean()


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A repository that guests can fetch from, with this checkout's HEAD."""
    folder = tmp_path_factory.mktemp("repositories")
    subprocess.run(["git", "clone", "--quiet", "--bare", str(ROOT), str(folder / "celeriac.git")], check=True)
    with git_daemon(folder, host=HOST) as url:
        yield f"{url}/celeriac.git"


@pytest.fixture(scope="session")
def shoe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A picture of something that is dark below and bright above."""
    from PIL import Image

    path = tmp_path_factory.mktemp("images") / "shoe.png"
    image = Image.new("L", (28, 28))
    image.paste(200, (2, 14, 26, 22))
    image.save(path)
    return str(path)


def test_from_an_empty_project_to_predictions_through_a_reboot_and_back(
    launcher: Launcher, repository: str, shoe: str
) -> None:
    started = launcher.start("from a git URL", "lab", *FLAVOR, "--repository", repository)
    url = started["url"]
    labels = launcher.predict(url, "diabetes", *PATIENT) + launcher.predict(url, "fashion_mnist", shoe)
    jobs = launcher.jobs(url)
    again = launcher.start("a second run", "lab", *FLAVOR, "--repository", repository)

    with launcher.project.as_user() as user:
        user.compute.reboot_server(started["server_id"], "SOFT")
        began = time.monotonic()
        wait_until(
            lambda: user.compute.get_server(started["server_id"]).status == "REBOOT", what="it reboots"
        )
        wait_until(
            lambda: user.compute.get_server(started["server_id"]).status == "ACTIVE",
            what="the reboot is over",
            timeout_s=300,
        )
    launcher.start("after the reboot", "lab", *FLAVOR, "--repository", repository)
    launcher.seconds["reboot to ready"] = round(time.monotonic() - began, 1)
    jobs_after = launcher.jobs(url)
    launcher.stop("lab")

    assert len(labels) == 2
    assert all(labels)
    assert again["server_id"] == started["server_id"]
    assert (jobs, jobs_after) == (2, 2)
    assert launcher.project.leftovers() == []


def test_an_uploaded_commit_is_baked_and_launched_from_the_image(launcher: Launcher, shoe: str) -> None:
    baked = launcher.start("upload and bake", "builder", *FLAVOR, "--upload", "--bake", "baked")
    left = launcher.project.leftovers()
    started = launcher.start("from the baked image", "lab", *FLAVOR, "--image", "baked")
    labels = launcher.predict(started["url"], "diabetes", *PATIENT)
    labels += launcher.predict(started["url"], "fashion_mnist", shoe)
    jobs = launcher.jobs(started["url"])
    launcher.stop("lab")

    assert baked["image"] == "baked"
    assert left == ["image baked"]
    assert all(labels)
    assert jobs == 2
    assert launcher.project.leftovers() == ["image baked"]
