"""The launcher on a real OpenStack whose instances have no guests: launch, converge, fail, be interrupted, stop.

What would run in the guest is answered by this machine: the floating addresses are made local to it, and a service that
is ready listens on port 5100 of all of them.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from client.errors import ClientError
from client.launcher.deciding.request import LaunchRequest
from client.launcher.doing.clock import Clock
from client.launcher.doing.launch import launch
from client.launcher.doing.report import TimedReport
from client.launcher.doing.tools import Tools
from client.launcher.machine.repository import CodeRequest
from client.launcher.machine.surroundings import Outside
from testing.certificates import make_pair
from testing.git_daemon import git_daemon
from testing.openstack_project import (  # noqa: F401 # fixtures
    OpenStackProject,
    openstack,
    project,
    shared_project,
)
from testing.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client.launcher.cloud import Cloud
    from testing.openstack import OpenStack

ROOT = Path(__file__).parents[2]
FLOATING_RANGE = ["172.24.4.8/29", "172.24.4.16/28", "172.24.4.32/27", "172.24.4.64/26", "172.24.4.128/25"]
FLAVOR = ("--flavor", "m1.small")
FIVE_MINUTES_S = 300


@dataclass
class Command:
    """How a launcher that has ended ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.stderr.splitlines() if line.startswith("error: ")]

    def json(self) -> Any:
        assert self.code == 0, self.stderr
        return json.loads(self.stdout)


@dataclass
class Launcher:
    """The launcher's scripts, run as a user of one project."""

    project: OpenStackProject
    home: Path

    def begin(self, script: str, *arguments: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "client" / script), *arguments],
            cwd=self.home,
            env={"PATH": os.environ["PATH"], "XDG_STATE_HOME": str(self.home), **self.project.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, *arguments: str, **env: str) -> Command:
        process = self.begin(script, *arguments, **env)
        stdout, stderr = process.communicate(timeout=FIVE_MINUTES_S)
        return Command(process.returncode, stdout, stderr)

    def start(self, *arguments: str, **env: str) -> Command:
        return self.run("start_instance.py", *arguments, **env)

    def stop(self, *arguments: str) -> Command:
        return self.run("stop_instance.py", *arguments)


class ReadyServer(http.server.ThreadingHTTPServer):
    """Stands for the services of all instances."""

    is_ready = False


class Ready(http.server.BaseHTTPRequestHandler):
    """Answers whether it is ready."""

    server: ReadyServer

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" and self.server.is_ready else 503)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def floating_host(
    openstack: OpenStack,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ReadyServer]:
    """This machine, as the host of every floating address."""
    for addresses in FLOATING_RANGE:
        subprocess.run(["ip", "route", "replace", "local", addresses, "dev", "lo"], check=True)
    server = ReadyServer(("0.0.0.0", 5100), Ready)
    pair = make_pair(tmp_path_factory.mktemp("tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        for addresses in FLOATING_RANGE:
            subprocess.run(["ip", "route", "del", "local", addresses, "dev", "lo"], check=True)


@pytest.fixture
def ready_service(floating_host: ReadyServer) -> Iterator[None]:
    """Services that are ready at port 5100 of every floating address."""
    floating_host.is_ready = True
    yield
    floating_host.is_ready = False


@pytest.fixture
def launcher(project: OpenStackProject, tmp_path: Path) -> Launcher:  # noqa: F811
    return Launcher(project, tmp_path)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """A repository that has this checkout's HEAD."""
    subprocess.run(
        ["git", "clone", "--quiet", "--bare", str(ROOT), str(tmp_path / "celeriac.git")], check=True
    )
    with git_daemon(tmp_path) as url:
        yield ("--repository", f"{url}/celeriac.git")


def test_an_instance_is_launched_converged_listed_and_stopped(
    launcher: Launcher, source: tuple[str, ...], ready_service: None
) -> None:
    wanted = ("lab", *FLAVOR, *source, "--json")

    first = launcher.start(*wanted).json()
    second = launcher.start(*wanted).json()
    (listed,) = launcher.start("list", "--json").json()["instances"]
    others = launcher.stop("other", "--yes")
    stopped = launcher.stop("lab", "--yes", "--json").json()

    assert first["url"].startswith("https://172.24.4.")
    assert (second["server_id"], second["url"]) == (first["server_id"], first["url"])
    assert (listed["name"], listed["status"], listed["url"]) == ("lab", "ACTIVE", first["url"])
    assert others.code == 3
    assert stopped["deleted"]["servers"] == [first["server_id"]]
    assert launcher.project.leftovers() == []


def test_what_was_lost_is_made_anew(launcher: Launcher, source: tuple[str, ...], ready_service: None) -> None:
    wanted = ("lab", *FLAVOR, *source, "--json")
    first = launcher.start(*wanted).json()
    with launcher.project.as_user() as user:
        (address,) = user.network.ips()
        user.network.delete_ip(address)
        user.compute.stop_server(first["server_id"])
        wait_until(lambda: user.compute.get_server(first["server_id"]).status == "SHUTOFF", what="it is off")

    again = launcher.start(*wanted, "--allow-from", "192.0.2.0/24").json()

    assert again["server_id"] == first["server_id"]
    with launcher.project.as_user() as user:
        assert user.compute.get_server(first["server_id"]).status == "ACTIVE"
        (group,) = [each for each in user.network.security_groups() if each.name == "celeriac-lab"]
        ports = {
            rule["port_range_min"] for rule in group.security_group_rules if rule["direction"] == "ingress"
        }
    assert ports == {22, 5100}


def test_two_names_at_once_get_an_instance_each(
    launcher: Launcher, source: tuple[str, ...], ready_service: None
) -> None:
    processes = [
        launcher.begin("start_instance.py", name, *FLAVOR, *source, "--json") for name in ("one", "two")
    ]
    answers = [process.communicate(timeout=FIVE_MINUTES_S) for process in processes]

    assert [process.returncode for process in processes] == [0, 0], "\n".join(err for _, err in answers)
    assert len({json.loads(stdout)["server_id"] for stdout, _ in answers}) == 2
    assert len(launcher.start("list", "--json").json()["instances"]) == 2


def test_one_name_twice_at_once_gets_one_instance(
    launcher: Launcher, source: tuple[str, ...], ready_service: None
) -> None:
    processes = [launcher.begin("start_instance.py", "lab", *FLAVOR, *source, "--json") for _ in range(2)]
    answers = [process.communicate(timeout=FIVE_MINUTES_S) for process in processes]

    assert [process.returncode for process in processes] == [0, 0], "\n".join(err for _, err in answers)
    assert len({json.loads(stdout)["server_id"] for stdout, _ in answers}) == 1
    assert sorted(what.split()[0] for what in launcher.project.leftovers()) == [
        "floating",
        "security",
        "server",
    ]


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("image", "image: expected one of debian-12, got 'gone'"),
        ("flavor", "flavor: expected one of "),
        ("network", "network: expected one of "),
        ("keypair", "keypair: expected one of laptop, got 'gone'"),
        ("floating-network", "floating-network: expected one of public, got 'gone'"),
    ],
)
def test_what_does_not_exist_is_refused_before_anything_is_made(
    launcher: Launcher, source: tuple[str, ...], option: str, says: str
) -> None:
    flavor = () if option == "flavor" else FLAVOR
    ended = launcher.start("lab", *flavor, *source, f"--{option}", "gone")

    assert ended.code == 3
    assert ended.errors[0] == "error: lab cannot be launched; nothing was made"
    assert ended.errors[1].startswith(f"error: {says}")
    assert launcher.project.leftovers() == []


def test_every_quota_that_is_used_up_is_told_at_once(launcher: Launcher, source: tuple[str, ...]) -> None:
    with launcher.project.limits(instances=0, cores=0, memory_mb=0, floating_addresses=0, security_groups=1):
        ended = launcher.start("lab", *FLAVOR, *source)

    assert ended.code == 3
    assert [line.split(": ")[1] for line in ended.errors[1:]] == ["quota"] * 5
    assert launcher.project.leftovers() == []


def test_a_wrong_password_is_told_in_one_line(launcher: Launcher, tmp_path: Path) -> None:
    launcher.project.write_config(tmp_path / "clouds.yaml", password="wrong")

    ended = launcher.start("lab", *FLAVOR, OS_CLIENT_CONFIG_FILE=str(tmp_path / "clouds.yaml"))

    assert ended.code == 3
    assert len(ended.errors) == 1
    assert "wrong" not in ended.stderr.replace("wrong password", "")


@pytest.mark.parametrize("given", ["none", "openrc", "application credential"])
def test_credentials_come_as_everywhere_in_openstack(launcher: Launcher, tmp_path: Path, given: str) -> None:
    env = {"OS_CLIENT_CONFIG_FILE": "", "OS_CLOUD": ""}
    if given == "openrc":
        names = {f"OS_{name.upper()}": value for name, value in launcher.project.auth.items()}
        env |= names | {"OS_REGION_NAME": "RegionOne", "OS_IDENTITY_API_VERSION": "3"}
    elif given == "application credential":
        with launcher.project.as_user() as user:
            credential = user.identity.create_application_credential(user.current_user_id, "celeriac")
        launcher.project.write_config(
            tmp_path / "clouds.yaml",
            kind="v3applicationcredential",
            username=None,
            password=None,
            project_name=None,
            user_domain_name=None,
            project_domain_name=None,
            application_credential_id=credential.id,
            application_credential_secret=credential.secret,
        )
        env = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml"), "OS_CLOUD": "rig"}

    ended = launcher.start("list", "--json", **env)

    assert ended.code == (2 if given == "none" else 0), ended.stderr
    assert len(ended.stderr.splitlines()) == (1 if given == "none" else 0)


def test_a_server_that_ends_in_error_is_told_and_undone(launcher: Launcher, source: tuple[str, ...]) -> None:
    with launcher.project.failing_flavor() as flavor:
        ended = launcher.start("lab", "--flavor", flavor, *source)

    assert ended.code == 5, ended.stderr
    assert "No valid host was found" in ended.errors[0]
    assert launcher.project.leftovers() == []


def test_an_empty_pool_of_floating_addresses_is_told_and_undone(
    launcher: Launcher, source: tuple[str, ...]
) -> None:
    with launcher.project.empty_pool() as network:
        ended = launcher.start("lab", *FLAVOR, *source, "--floating-network", network)

    assert ended.code == 3
    assert "address" in ended.errors[0].lower()
    assert launcher.project.leftovers() == []


def test_a_service_that_never_answers_is_told_and_undone(launcher: Launcher, source: tuple[str, ...]) -> None:
    ended = launcher.start("lab", *FLAVOR, *source, "--timeout", "40")

    assert ended.code == 5
    assert "FAKE CONSOLE OUTPUT" in ended.stderr
    assert "error: time is up after " in ended.stderr
    assert launcher.project.leftovers() == []


def test_a_kept_failure_is_found_by_the_next_run(
    launcher: Launcher, source: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    failed = launcher.start("lab", *FLAVOR, *source, "--timeout", "40", "--keep")
    request.getfixturevalue("ready_service")

    again = launcher.start("lab", *FLAVOR, *source, "--json").json()

    assert failed.code == 5
    assert len(launcher.project.leftovers()) == 3
    assert launcher.start("list", "--json").json()["instances"][0]["server_id"] == again["server_id"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_by_a_signal_leaves_nothing_or_what_the_next_finds(
    launcher: Launcher, source: tuple[str, ...], number: signal.Signals, request: pytest.FixtureRequest
) -> None:
    process = launcher.begin("start_instance.py", "lab", *FLAVOR, *source)
    assert process.stderr is not None
    for line in process.stderr:
        if "asking for server" in line:
            break
    process.send_signal(number)
    _, rest = process.communicate(timeout=FIVE_MINUTES_S)

    if number != signal.SIGKILL:
        assert process.returncode == 130, rest
        assert launcher.project.leftovers() == []
        return
    request.getfixturevalue("ready_service")
    again = launcher.start("lab", *FLAVOR, *source)
    assert again.code == 0, again.stderr
    assert len(launcher.project.leftovers()) == 3


DEVELOPMENT = ("--role", "development", "--flavor", "m1.large")


def test_a_machine_for_development_is_booted_listed_and_stopped(
    launcher: Launcher, source: tuple[str, ...]
) -> None:
    started = launcher.start("trainer", *DEVELOPMENT, *source, "--no-wait", "--json").json()
    again = launcher.start("trainer", *DEVELOPMENT, *source, "--no-wait", "--json").json()
    other = launcher.start("trainer", "--flavor", "m1.large", *source, "--no-wait")
    (listed,) = launcher.start("list", "--json").json()["instances"]
    with launcher.project.as_user() as user:
        (group,) = [each for each in user.network.security_groups() if each.name == "celeriac-trainer"]
        ports = {
            rule["port_range_min"] for rule in group.security_group_rules if rule["direction"] == "ingress"
        }
    stopped = launcher.stop("trainer", "--yes")

    assert again["server_id"] == started["server_id"]
    assert other.errors[1].startswith("error: role: expected development, as trainer was launched")
    assert (listed["role"], listed["url"], ports) == ("development", None, {22})
    assert stopped.code == 0, stopped.stderr
    assert launcher.project.leftovers() == []


PAIR = (*FLAVOR, "--with-development", "--development-flavor", "m1.large")


def test_both_machines_are_found_and_stopped_together_after_one_never_got_ready(
    launcher: Launcher, source: tuple[str, ...], ready_service: None
) -> None:
    """Nothing in a server without a guest sets anything up: its console never says that it is ready."""
    failed = launcher.start("lab", *PAIR, *source, "--timeout", "75", "--keep")
    kept = launcher.start("list", "--json").json()["instances"]
    stopped = launcher.stop("lab", "--with-development", "--yes", "--json").json()

    assert failed.code == 5
    assert "asking for server lab\n" in failed.stderr
    assert "asking for server lab-development\n" in failed.stderr
    assert [(each["name"], each["role"]) for each in kept] == [
        ("lab", "production"),
        ("lab-development", "development"),
    ]
    assert set(stopped["deleted"]["servers"]) == {each["server_id"] for each in kept}
    assert launcher.project.leftovers() == []


def test_nobody_trains_for_an_instance_that_is_not_there(launcher: Launcher, source: tuple[str, ...]) -> None:
    ended = launcher.start("trainer", *DEVELOPMENT, *source, "--production", "lab")

    assert (ended.code, ended.errors) == (3, ["error: there is no instance called lab to push models to"])
    assert launcher.project.leftovers() == []


def _unheard(_said: object) -> None:
    pass


class Interrupted:
    """A cloud whose user presses Ctrl-C at one moment."""

    def __init__(self, cloud: Cloud, operation: str, *, after: bool) -> None:
        self._cloud = cloud
        self._operation: str | None = operation
        self._after = after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._cloud, name)
        if name != self._operation:
            return method

        def interrupted(*args: Any, **kwargs: Any) -> None:
            self._operation = None
            if self._after:
                method(*args, **kwargs)
            raise KeyboardInterrupt

        return interrupted


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "operation", ["create_floating_address", "create_security_group", "create_server", "server", "attach"]
)
def test_nothing_is_left_wherever_a_launch_is_interrupted(
    launcher: Launcher,
    source: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    after: bool,
) -> None:
    with contextlib.closing(launcher.project.connect(monkeypatch)) as cloud:
        clock = Clock(120)
        report = TimedReport(lambda: clock.elapsed_s, show=_unheard, note=_unheard, warn=_unheard)
        interrupted: Any = Interrupted(cloud, operation, after=after)
        tools = Tools(interrupted, Outside("lab"), clock, report)
        request = LaunchRequest("lab", flavor="m1.small", code=CodeRequest(source[1]), waits=False)

        with pytest.raises(KeyboardInterrupt):
            launch(request, tools)

    assert launcher.project.leftovers() == []


def test_a_cloud_that_refuses_in_the_middle_leaves_nothing(
    launcher: Launcher, source: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quota is there at preflight and gone when the server is asked for."""
    with contextlib.ExitStack() as stack:
        cloud = stack.enter_context(contextlib.closing(launcher.project.connect(monkeypatch)))
        clock = Clock(120)

        def show(stage: Any) -> None:
            if stage.text == "asking for server lab":
                stack.enter_context(launcher.project.limits(instances=0))

        report = TimedReport(lambda: clock.elapsed_s, show=show, note=_unheard, warn=_unheard)
        request = LaunchRequest("lab", flavor="m1.small", code=CodeRequest(source[1]), waits=False)

        with pytest.raises(ClientError) as refusal:
            launch(request, Tools(cloud, Outside("lab"), clock, report))

    assert getattr(refusal.value, "code", "") == "quota_exceeded"
    assert launcher.project.leftovers() == []
