"""How the adapter finds its credentials and speaks: patiently when it reads, once when it changes something."""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING

import keystoneauth1.exceptions
import pytest
from flask import Flask, request
from werkzeug.serving import make_server

from client.errors import InputError, Unavailable
from client.launcher.openstack.cloud import connect
from client.launcher.openstack.session import PatientSession, open_connection
from testing.processes import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPENRC = {
    "OS_USERNAME": "alice",
    "OS_PASSWORD": "secret",
    "OS_PROJECT_NAME": "demo",
    "OS_USER_DOMAIN_NAME": "Default",
    "OS_PROJECT_DOMAIN_NAME": "Default",
}


@dataclass
class Service:
    """An HTTP server that answers with the given statuses, then 200; it is no OpenStack."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    """Of the requests so far."""


@pytest.fixture
def service() -> Iterator[Service]:
    memory, app = Service(), Flask(__name__)

    @app.before_request
    def answer() -> tuple[str, int, dict[str, str]]:
        memory.agents.append(request.headers.get("User-Agent", ""))
        return "hello", memory.statuses.pop(0) if memory.statuses else 200, {"Retry-After": "0"}

    server = make_server("127.0.0.1", 0, app, threaded=True)
    memory.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield memory
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """One without credentials."""
    for name in tuple(os.environ):
        if name.startswith("OS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_read_is_repeated_while_the_cloud_is_busy(service: Service, status: int) -> None:
    service.statuses = [status, status]

    with contextlib.closing(PatientSession()) as session:
        assert session.get(service.url, authenticated=False).text == "hello"

    assert len(service.agents) == 3


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_change_is_asked_for_once(service: Service, method: str) -> None:
    service.statuses = [503]

    refusal = pytest.raises(keystoneauth1.exceptions.ServiceUnavailable)
    with contextlib.closing(PatientSession()) as session, refusal:
        session.request(service.url, method, authenticated=False)

    assert len(service.agents) == 1


def test_the_cloud_is_told_who_asks(service: Service, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OS_AUTH_TYPE", "none")
    environment.setenv("OS_ENDPOINT", service.url)

    connection = open_connection(None)
    with contextlib.closing(connection.session):
        connection.session.get(service.url, authenticated=False)

    assert service.agents[0].startswith("celeriac ")


@pytest.mark.parametrize(
    ("env", "cloud", "words"),
    [
        ({}, None, "OS_CLOUD.*openrc"),
        ({}, "nowhere", "Cloud nowhere was not found.*clouds.yaml"),
        ({"OS_CLOUD": "nowhere"}, None, "Cloud nowhere was not found.*clouds.yaml"),
        ({"OS_AUTH_URL": "https://cloud.example", "OS_USERNAME": "alice"}, None, "a password"),
        ({"OS_AUTH_URL": "https://cloud.example", "OS_PASSWORD": "secret"}, None, "a user"),
        ({"OS_AUTH_URL": "https://cloud.example", "OS_AUTH_TYPE": "magic"}, None, "magic"),
    ],
)
def test_incomplete_credentials_are_told_before_anything_is_sent(
    environment: pytest.MonkeyPatch, env: dict[str, str], cloud: str | None, words: str
) -> None:
    for name, value in env.items():
        environment.setenv(name, value)

    with pytest.raises(InputError, match=words) as error:
        connect(cloud)

    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("scheme", "path", "words"),
    [
        ("http", "", "check auth_url"),
        ("http", "/v3", "not as OpenStack does"),
        ("https", "/v3", "https:// in auth_url"),
    ],
)
def test_what_answers_is_no_openstack(
    service: Service, environment: pytest.MonkeyPatch, scheme: str, path: str, words: str
) -> None:
    address = service.url.replace("http", scheme) + path
    for name, value in {**OPENRC, "OS_AUTH_URL": address}.items():
        environment.setenv(name, value)

    with connect() as cloud, pytest.raises((InputError, Unavailable), match=words):
        cloud.belongings()


def test_nothing_answers(environment: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    (port,) = free_ports(1)
    for name, value in {**OPENRC, "OS_AUTH_URL": f"http://127.0.0.1:{port}/v3"}.items():
        environment.setenv(name, value)

    with connect() as cloud, pytest.raises(Unavailable, match=f"127.0.0.1:{port}.*refused") as failure:
        cloud.belongings()

    assert failure.value.is_passing
    assert capfd.readouterr().err == ""


def test_a_users_own_logging_gets_the_libraries_warnings(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InputError):
        connect("nowhere")

    logging.getLogger("keystoneauth").warning("slow")

    assert "slow" in caplog.text
