"""What running containers may do and see: held against the engine, not against what the Compose file says."""

from __future__ import annotations

import json
import re
import stat

import pytest

from testing.compose_project import ComposeProject
from testing.docker import docker, inspect

SERVICES = ("db", "rabbit", "web", "worker")
OURS = ("web", "worker")
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3)"


def container(project: ComposeProject, service: str) -> str:
    return project.containers(service)[0]


def networks(project: ComposeProject, service: str) -> dict[str, dict[str, str]]:
    """The networks of a service's container, by their names in the Compose file."""
    (found,) = inspect([container(project, service)])
    prefix = f"{project.name}_"
    return {name.removeprefix(prefix): each for name, each in found["NetworkSettings"]["Networks"].items()}


@pytest.mark.parametrize("service", SERVICES)
def test_no_process_is_root_or_can_become_it(project: ComposeProject, service: str) -> None:
    name = container(project, service)

    status = project.execute(name, "cat", "/proc/1/status").stdout

    told = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
    assert "0" not in told["Uid"].split()
    assert {int(told[each], 16) for each in ("CapEff", "CapPrm", "CapBnd")} == {0}
    assert told["NoNewPrivs"] == "1"
    assert project.execute(name, "id", "-u").stdout.strip() == told["Uid"].split()[0]


@pytest.mark.parametrize("service", SERVICES)
def test_the_file_system_is_read_only(project: ComposeProject, service: str) -> None:
    for path in ("/x", "/etc/x", "/usr/bin/x", "/opt/x", "/var/x"):
        refused = project.execute(container(project, service), "touch", path)

        assert refused.returncode != 0
        assert "Read-only file system" in refused.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_every_container_has_a_healthcheck_that_passes(project: ComposeProject, service: str) -> None:
    (found,) = inspect([container(project, service)])

    test = found["Config"]["Healthcheck"]["Test"]

    assert test[0] == "CMD"
    assert project.execute(found["Id"], *test[1:]).returncode == 0


@pytest.mark.parametrize("service", OURS)
def test_our_image_has_nothing_that_installs_compiles_or_downloads(
    project: ComposeProject, service: str
) -> None:
    programs = "gcc cc make pip pip3 apt apt-get dpkg perl curl wget git sudo"
    searched = project.execute(container(project, service), "bash", "-c", f"type -P {programs}")
    modules = "pip setuptools ensurepip tensorflow keras flower"
    found = project.execute(
        container(project, service),
        "python",
        "-c",
        f"import importlib.util as u; print([m for m in '{modules}'.split() if u.find_spec(m)])",
    )
    setuid = project.execute(
        container(project, service), "find", "/", "-xdev", "-type", "f", "-perm", "/6000"
    )

    assert searched.stdout == ""
    assert found.stdout.strip() == "[]"
    assert setuid.stdout == ""


def test_our_image_holds_no_git_history_tests_or_passwords(project: ComposeProject) -> None:
    listing = project.execute(container(project, "web"), "find", "/opt/celeriac", "-maxdepth", "2").stdout

    assert {line.removeprefix("/opt/celeriac/").split("/")[0] for line in listing.split()[1:]} == {
        "production_server"
    }


def test_only_the_web_service_is_published_and_only_on_loopback(project: ComposeProject) -> None:
    command = ["ps", "--filter", f"label=com.docker.compose.project={project.name}"]
    listing = docker(*command, "--format", "{{.Names}}\t{{.Ports}}").stdout

    published = [line for line in listing.splitlines() if "->" in line]

    assert published == [f"{project.name}-web-1\t127.0.0.1:{project.port}->5100/tcp"]


def test_a_worker_cannot_reach_the_outside(project: ComposeProject) -> None:
    outside = networks(project, "web")["frontend"]["Gateway"]
    with_a_way = project.execute(container(project, "web"), "python", "-c", CONNECT, outside, "9")

    without = project.execute(container(project, "worker"), "python", "-c", CONNECT, outside, "9")

    assert "Connection refused" in with_a_way.stderr, "an address outside that answers"
    assert "Network is unreachable" in without.stderr


def test_a_worker_cannot_reach_the_machine_that_it_runs_on(project: ComposeProject) -> None:
    (network,) = json.loads(docker("network", "inspect", f"{project.name}_backend").stdout)
    machine = network["IPAM"]["Config"][0]["Gateway"]

    refused = project.execute(container(project, "worker"), "python", "-c", CONNECT, machine, "9")

    # Where the machine has an address, it says that nothing listens there.
    assert "timed out" in refused.stderr or "No route to host" in refused.stderr


@pytest.mark.parametrize("service", ["db", "rabbit", "worker"])
def test_only_the_web_service_has_a_network_with_a_way_out(project: ComposeProject, service: str) -> None:
    routes = project.execute(container(project, service), "cat", "/proc/net/route").stdout

    assert networks(project, service).keys() == {"backend"} | ({"storage"} if service == "worker" else set())
    assert "\t00000000\t" not in re.sub(r"(?m)^(\S+)\t(\S+)\t.*", r"\t\2\t", routes), "no default route"


def test_passwords_are_in_files_only_and_those_for_their_owner(project: ComposeProject) -> None:
    folder = project.checkout.secrets
    told_once = "\n".join(project.checkout.passwords().values())
    passwords = re.findall(r"[0-9a-f]{48}|cel_[0-9A-Za-z]{36}", told_once)
    assert len(set(passwords)) == 6

    containers = project.containers(all_states=True)
    images = sorted({each["Image"] for each in inspect(containers)})
    told = json.dumps(inspect([*containers, *images]))
    told += "".join(docker("history", "--no-trunc", image).stdout for image in images)
    told += project.compose("logs", "--no-color")

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [password for password in passwords if password in told] == []
    assert project.checkout.run("git", "status", "--porcelain").stdout == ""


def test_the_broker_has_no_guest_and_knows_its_user_only_with_the_password(project: ComposeProject) -> None:
    rabbit = container(project, "rabbit")
    users = project.execute(rabbit, "rabbitmqctl", "-q", "list_users", "--formatter", "json")

    assert {each["user"] for each in json.loads(users.stdout)} == {"celeriac", "admin"}
    refused = project.execute(rabbit, "rabbitmqctl", "-q", "authenticate_user", "celeriac", "celeriac")
    assert refused.returncode != 0


def test_nothing_of_the_broker_listens_beyond_its_container_but_amqp_and_http(
    project: ComposeProject,
) -> None:
    tables = project.execute(container(project, "rabbit"), "cat", "/proc/net/tcp", "/proc/net/tcp6").stdout
    listening = re.findall(r"^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ 0A", tables, re.MULTILINE)
    loopback = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}

    open_ports = {int(port, 16) for address, port in listening if address not in loopback}

    assert open_ports - engine_ports(listening) <= {5672, 15672, 15692}


def engine_ports(listening: list[tuple[str, str]]) -> set[int]:
    """The port of the engine's own name server, at 127.0.0.11."""
    return {int(port, 16) for address, port in listening if address == "0B00007F"}
