"""The launcher on a real OpenStack with real virtual machines: to predictions over the floating IP, and back.

Where there is no KVM the machines are emulated, and each first boot takes minutes. `make test-cloud` prints how long.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from testing import small_training
from testing.docker import running_engine
from testing.git_daemon import git_daemon
from testing.openstack import OpenStack, debian_13, running_openstack
from testing.openstack_project import OpenStackProject, openstack_project
from testing.processes import wait_until
from testing.registry import Registry, registry
from testing.rig import must_have_rig
from tests.deploy.conftest import Repository

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

    def run(self, *command: str, **env: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.home,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "XDG_STATE_HOME": str(self.home),
                **self.project.env,
                **env,
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

    def predict(self, started: Any, model: str, *inputs: str) -> list[str]:
        answer = self.ask(started, "predict", "--model", model, *inputs)
        return [result["label"] for result in answer["results"]]

    def ask(self, started: Any, *command: str) -> Any:
        """What the client says of an instance, with the key that its launch said how to read."""
        key = self.ssh(started, "sudo celeriac first-key").strip()
        told = {"CELERIAC_KEY": key, "CELERIAC_FINGERPRINT": started["certificate"]}
        said = self.run("-m", "client", *command, "--url", started["url"], "--json", **told)
        return json.loads(said)

    def ssh(self, answer: Any, command: str) -> str:
        """What a command on an instance prints, by the line that the launch ended with."""
        done = subprocess.run(
            [*shlex.split(answer["ssh"]), command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=AN_HOUR_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def jobs(self, started: Any) -> int:
        return len(self.ask(started, "jobs")["jobs"])


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
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a repository that has this checkout's HEAD."""
    folder = tmp_path_factory.mktemp("repositories")
    subprocess.run(["git", "clone", "--quiet", "--bare", str(ROOT), str(folder / "celeriac.git")], check=True)
    return folder


@pytest.fixture(scope="session")
def repository(repositories: Path) -> Iterator[str]:
    """Where guests can fetch it from."""
    with git_daemon(repositories, host=HOST) as url:
        yield f"{url}/celeriac.git"


@pytest.fixture(scope="session")
def images(repositories: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that guests reach, with HEAD's images."""
    checkout = tmp_path_factory.mktemp("checkout")
    subprocess.run(["git", "clone", "--quiet", str(repositories / "celeriac.git"), str(checkout)], check=True)
    with running_engine(), registry(HOST) as made:
        made.push_checkout(checkout)
        yield made


@pytest.fixture
def debian(launcher: Launcher) -> str:
    """The name of an image of Debian 13, in the project."""
    # By its name, openstacksdk would open the file and leave it open.
    with launcher.project.as_user() as user, debian_13(must_have_rig()).open("rb") as file:
        user.create_image(
            "debian-13",
            data=file,
            disk_format="qcow2",
            container_format="bare",
            os_distro="debian",
            os_version="13",
            wait=True,
        )
    return "debian-13"


def reboot(launcher: Launcher, server_id: str) -> None:
    """Reboot a server in order; returns when it boots again."""
    with launcher.project.as_user() as user:
        user.compute.reboot_server(server_id, "SOFT")
        for status in ("REBOOT", "ACTIVE"):
            wait_until(
                lambda status=status: user.compute.get_server(server_id).status == status,  # type: ignore[misc]
                what=f"it is {status}",
                timeout_s=300,
            )


def variant(repositories: Path, name: str) -> str:
    """A commit on top of HEAD with nothing in it."""
    git = ["git", "-C", str(repositories / "celeriac.git")]
    author = {f"GIT_{who}_{what}": "tests" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    made = [*git, "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", name]
    commit = subprocess.run(
        made, env=os.environ | author, capture_output=True, text=True, check=True
    ).stdout.strip()
    subprocess.run([*git, "branch", "--force", name, commit], check=True)
    return commit


def workers(url: str) -> set[str]:
    """The workers that the service says are alive."""
    try:
        answer = httpx.get(f"{url}/readyz", verify=False, timeout=30)  # it only counts workers
        detail = answer.json()["checks"]["workers"]["detail"]
    except httpx.TransportError:
        return set()
    return set(re.findall(r"celeriac-worker-\d+", detail))


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
    labels = launcher.predict(started, "diabetes", *PATIENT)
    labels += launcher.predict(started, "fashion_mnist", shoe)
    jobs = launcher.jobs(started)
    again = launcher.start("a second run", "lab", *FLAVOR, "--repository", repository)

    began = time.monotonic()
    reboot(launcher, started["server_id"])
    launcher.start("after the reboot", "lab", *FLAVOR, "--repository", repository)
    launcher.seconds["reboot to ready"] = round(time.monotonic() - began, 1)
    jobs_after = launcher.jobs(started)
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
    labels = launcher.predict(started, "diabetes", *PATIENT)
    labels += launcher.predict(started, "fashion_mnist", shoe)
    jobs = launcher.jobs(started)
    launcher.stop("lab")

    assert baked["image"] == "baked"
    assert left == ["image baked"]
    assert all(labels)
    assert jobs == 2
    assert launcher.project.leftovers() == ["image baked"]


def test_models_are_pushed_from_a_machine_for_development_to_an_instance(
    launcher: Launcher, repositories: Path, repository: str
) -> None:
    trains = Repository(repositories / "celeriac.git", repository)
    commit = trains.commit(small_training.files(), message="small-training")
    code = ("--repository", repository, "--commit", commit)
    large = ("--with-development", "--development-flavor", "m1.large")
    lab = launcher.start("both roles", "lab", *FLAVOR, *code, *large)
    development = lab["development"]

    with measured(launcher, "a push to live"):
        pushed = launcher.ssh(
            development, "cd models && make train MODEL=diabetes && git push production 2>&1"
        )
    status = launcher.ssh(development, "sudo celeriac status")
    shell = "$(git -C models config core.sshCommand)"
    host = lab["models_repository"].removeprefix("ssh://").partition("/")[0]
    refused = launcher.ssh(development, f"{shell} {host} id 2>&1 || true")
    keys = launcher.ssh(lab, "sudo celeriac push-keys list")
    labels = launcher.predict(lab, "diabetes", *PATIENT)
    again = launcher.start("both roles, a second run", "lab", *FLAVOR, *code, *large)
    sys.stderr.write(pushed + launcher.ssh(development, "free -m; df -h /"))
    launcher.run(str(ROOT / "client" / "stop_instance.py"), "lab", "--with-development", "--yes")

    assert "main -> main" in pushed
    assert "production  ssh://celeriac-models@" in status
    assert "this key may only push to" in refused
    assert "lab-development (ED25519)" in keys
    assert labels
    assert again["development"]["server_id"] == development["server_id"]
    assert launcher.project.leftovers() == []


ASK_METADATA = "import urllib.request as u; u.urlopen('http://169.254.169.254/openstack', timeout=10)"


def test_in_containers_from_a_registry_to_predictions_through_scaling_deployments_and_a_reboot(
    launcher: Launcher, repositories: Path, repository: str, images: Registry, debian: str, shoe: str
) -> None:
    lab = ("lab", *FLAVOR, "--image", debian, "--repository", repository, "--mode", "docker")
    pulled = ("--image-prefix", images.prefix, "--registry-ca", str(images.authority))
    started = launcher.start("in containers", *lab, *pulled, "--workers", "1")
    url, head = started["url"], started["commit"]
    labels = launcher.predict(started, "diabetes", *PATIENT) + launcher.predict(
        started, "fashion_mnist", shoe
    )
    jobs = launcher.jobs(started)

    with measured(launcher, "three workers"):
        launcher.ssh(started, "sudo docker compose up -d --scale worker=3")
        wait_until(lambda: len(workers(url)) == 3, what="three workers", timeout_s=600)

    # The host asks the metadata service, containers and builds may not.
    asked = launcher.ssh(started, "curl --silent --show-error http://169.254.169.254/openstack")
    refused = launcher.ssh(
        started, f'sudo docker compose exec -T web python -c "{ASK_METADATA}" 2>&1 | tail -n 1'
    )
    listening = launcher.ssh(started, "sudo ss -H -l -n -t | awk '{ print $4 }'").split()
    sys.stderr.write(launcher.ssh(started, "free -m; df -h /; sudo docker stats --no-stream"))

    other, broken = variant(repositories, "other"), variant(repositories, "broken")
    images.push_variant(head, other)
    images.push_variant(head, broken, dockerfile='ENTRYPOINT ["false"]\n')
    with measured(launcher, "a deployment"):
        launcher.ssh(started, f"sudo celeriac deploy {other}")
    with measured(launcher, "a deployment that is taken back"):
        taken_back = launcher.ssh(started, f"sudo celeriac deploy {broken} || true")
    missing = launcher.ssh(started, f"sudo celeriac deploy {variant(repositories, 'missing')} || true")
    status = launcher.ssh(started, "sudo celeriac status")

    began = time.monotonic()
    reboot(launcher, started["server_id"])
    launcher.start("in containers, after the reboot", "lab", *FLAVOR)
    launcher.seconds["in containers, reboot to ready"] = round(time.monotonic() - began, 1)
    wait_until(lambda: len(workers(url)) == 3, what="three workers again", timeout_s=600)
    jobs_after = launcher.jobs(started)
    refused_after = launcher.ssh(
        started, f'sudo docker compose exec -T web python -c "{ASK_METADATA}" 2>&1 | tail -n 1'
    )
    launcher.stop("lab")

    assert len(labels) == 2 and all(labels)
    assert "latest" in asked
    assert "Connection refused" in refused and "Connection refused" in refused_after
    beyond = {each.rpartition(":")[2] for each in listening if not each.startswith(("127.", "[::1]"))}
    assert beyond == {"22", "5100"}
    assert f"{other} serves again" in taken_back
    assert "celeriac: failed images: " in missing
    assert f"commit  {other}" in status
    assert (jobs, jobs_after) == (2, 2)
    assert launcher.project.leftovers() == [f"image {debian}"]


@contextlib.contextmanager
def measured(launcher: Launcher, what: str) -> Iterator[None]:
    """Note how long something takes."""
    began = time.monotonic()
    yield
    launcher.seconds[what] = round(time.monotonic() - began, 1)
