"""Machines that boot what the launcher renders, and a repository for them to fetch from."""

from __future__ import annotations

import contextlib
import os
import shlex
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from client.launcher.machine.cloud_config import CloudConfig, render
from client.launcher.machine.console import read
from testing.git_daemon import git_daemon
from testing.nspawn import HOST, Machine, machine, root_tree
from testing.processes import wait_until
from testing.rig import must_have_rig
from testing.web_service import predict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[2]
READY_WITHIN_S = 300
TIMEOUT_S = 1500
"""Whichever test is the first waits until its cloud or its machine is there; the first time, packages are installed."""
PROGRAM = "celeriac"
ROW = [6, 148, 72, 35, 0, 33.6, 0.627, 50]
PATIENT = tuple(map(str, ROW))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test here more time than others have, and let none come after what ends a machine."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@dataclass(frozen=True)
class Repository:
    """This checkout's HEAD, the same with another name, and commits that do not work; served to machines at `url`."""

    path: Path
    url: str

    def commit(self, files: Mapping[str, str], *, message: str) -> str:
        """A commit on top of HEAD, in which some files are others."""
        index = {"GIT_INDEX_FILE": str(self.path / f"index-{message}")}
        self._git("read-tree", "HEAD", **index)
        for name, content in files.items():
            blob = self._git("hash-object", "-w", "--stdin", stdin=content)
            self._git("update-index", "--cacheinfo", f"100644,{blob},{name}", **index)
        tree = self._git("write-tree", **index)
        commit = self._git("commit-tree", tree, "-p", "HEAD", "-m", message)
        self._git("branch", "--force", message, commit)
        return commit

    @property
    def head(self) -> str:
        return self.commit_of("HEAD")

    def commit_of(self, revision: str) -> str:
        return self._git("rev-parse", revision)

    def _git(self, *arguments: str, stdin: str = "", **env: str) -> str:
        author = {
            f"GIT_{who}_{what}": "tests" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        command = ["git", "-C", str(self.path), *arguments]
        done = subprocess.run(
            command, input=stdin, env=os.environ | author | env, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


@dataclass
class Listeners:
    """Every address that anything listened on while a machine was watched."""

    machine: Machine
    seen: set[str] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self._stop.wait(0.2):
            self.look()

    def look(self) -> None:
        command = ["ip", "netns", "exec", self.machine.name, "ss", "-H", "-l", "-n", "-t"]
        listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        self.seen |= {line.split()[3] for line in listing.splitlines()}

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self.watch)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()


@dataclass(frozen=True)
class Remote:
    """Somebody with an SSH key of their own, and a folder that has it and the host keys of a machine."""

    machine: Machine
    folder: Path

    @property
    def public(self) -> str:
        """The public half of the key; it is made when it is first asked for."""
        key = self.folder / "key"
        if not key.exists():
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.folder.name, "-f", str(key)]
            subprocess.run(make, check=True)
        return key.with_suffix(".pub").read_text().strip()

    def trust(self, host_keys: Sequence[str]) -> None:
        """Know the machine by the keys that its console showed, and by no others."""
        where = f"[127.0.0.1]:{self.machine.ssh_port}"
        (self.folder / "known_hosts").write_text("".join(f"{where} {key}\n" for key in host_keys))

    @property
    def ssh_command(self) -> list[str]:
        known = f"UserKnownHostsFile={self.folder / 'known_hosts'}"
        settings = (known, "StrictHostKeyChecking=yes", "BatchMode=yes", "IdentitiesOnly=yes")
        return ["ssh", "-i", str(self.folder / "key"), *(part for each in settings for part in ("-o", each))]

    @property
    def git_env(self) -> dict[str, str]:
        """What has git use the key."""
        return os.environ | {"GIT_SSH_COMMAND": shlex.join(self.ssh_command)}

    def url(self, user: str, path: str) -> str:
        return f"ssh://{user}@127.0.0.1:{self.machine.ssh_port}{path}"

    def ssh(self, user: str, *command: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """What becomes of a command that is asked for as some user of the machine."""
        where = ("-p", str(self.machine.ssh_port), *options, f"{user}@127.0.0.1")
        line = [*self.ssh_command, *where, *command]
        return subprocess.run(
            line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120
        )

    def begin_push(self, checkout: Path, url: str, refspec: str) -> subprocess.Popen[str]:
        command = ["git", "-C", str(checkout), "push", url, refspec]
        return subprocess.Popen(
            command, env=self.git_env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def push(self, checkout: Path, url: str, refspec: str) -> tuple[int, str]:
        """The exit code of a push, and all that git said."""
        pushing = self.begin_push(checkout, url, refspec)
        said, _ = pushing.communicate(timeout=300)
        return pushing.returncode, said


@dataclass(frozen=True)
class Booted:
    """A machine that serves, who listened while it came up, and what its console said until then."""

    machine: Machine
    listeners: Listeners
    console: str
    operator: Remote


@pytest.fixture(scope="session")
def tree() -> Path:
    """What machines are copied from; skipped where there is no rig."""
    return root_tree(must_have_rig())


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    folder = tmp_path_factory.mktemp("git")
    path = folder / "celeriac.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(ROOT), str(path)], check=True)
    with git_daemon(folder) as url:
        yield Repository(path, f"{url.replace('127.0.0.1', HOST)}/celeriac.git")


@pytest.fixture(scope="session")
def booted(tree: Path, repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """The machine that most tests share, brought up by what the launcher would send; two workers, models by push."""
    with machine(tree) as made:
        operator = Remote(made, tmp_path_factory.mktemp("operator"))
        config = CloudConfig(
            repository.head, repository.url, workers=2, takes_pushes=True, push_keys=(operator.public,)
        )
        made.seed(f"{render(config)}ssh_authorized_keys: [{operator.public}]\n")
        listeners = Listeners(made)
        with listeners.watching():
            made.start()
            wait_until_ready(made)
        assert made.cloud_init_status()["status"] == "done", made.console
        console = made.console
        # What an operator may do; the tests need not wait so long for a dead worker's items.
        made.run("sh", "-c", "echo LEASE_S=3 >>/etc/celeriac/celeriac.env; systemctl restart celeriac.target")
        wait_until_ready(made)
        operator.trust(read(console).host_keys)
        yield Booted(made, listeners, console, operator)


@pytest.fixture
def instance(booted: Booted) -> Machine:
    wait_until_ready(booted.machine)
    return booted.machine


def wait_until_ready(instance: Machine) -> None:
    """Wait until /readyz says yes, or first boot says that it will not."""
    wait_until(
        lambda: is_ready(instance) or "celeriac: failed" in instance.console,
        what=f"{instance.name} is ready",
        timeout_s=READY_WITHIN_S,
    )
    assert is_ready(instance), instance.console


def is_ready(instance: Machine) -> bool:
    try:
        return ask(instance, "GET", "/readyz").status_code == 200
    except httpx.TransportError:
        return False


def submit(instance: Machine, rows: int) -> str:
    asked = {"model": "diabetes", "inputs": [ROW] * rows}
    answer = ask(instance, "POST", "/api/jobs", json=asked, headers=with_key(instance))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def job(instance: Machine, job_id: str) -> dict[str, Any]:
    answer = ask(instance, "GET", f"/api/jobs/{job_id}", headers=with_key(instance))
    found: dict[str, Any] = answer.json()
    return found


def ask(instance: Machine, method: str, path: str, **more: Any) -> httpx.Response:
    """Ask a machine's service, whatever its certificate: that it is its own, `predicted` holds."""
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    return httpx.request(method, instance.url + path, verify=anybody, timeout=60, **more)


def predicted(instance: Machine, model: str, *inputs: str) -> str:
    """What the client says of a prediction, which takes that machine's certificate and no other."""
    fingerprint = instance.run("celeriac", "fingerprint").stdout.strip()
    return predict(instance.url, "--model", model, *inputs, key=first_key(instance), fingerprint=fingerprint)


def first_key(instance: Machine) -> str:
    """The key that first boot made."""
    return instance.run("celeriac", "first-key").stdout.strip()


def with_key(instance: Machine) -> dict[str, str]:
    return {"Authorization": f"Bearer {first_key(instance)}"}


def password(instance: Machine) -> str:
    return instance.run("cat", "/etc/celeriac/broker.env").stdout
