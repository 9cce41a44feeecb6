"""What the profile `tls` adds: Caddy in front, the one way in from elsewhere."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from testing import docker
from testing.compose_project import ComposeProject
from testing.processes import free_ports, wait_until
from testing.web_service import predict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT_CERTIFICATE = "caddy:/var/lib/caddy/pki/authorities/local/root.crt"


@dataclass(frozen=True, slots=True)
class Secured:
    """The service behind Caddy, whose own authority is in `authority`."""

    project: ComposeProject
    http_port: int
    https_port: int
    authority: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.https_port}"

    def client(self) -> httpx.Client:
        trusting = ssl.create_default_context(cafile=str(self.authority))
        return httpx.Client(base_url=self.url, verify=trusting, headers=self.project.with_key, timeout=60)


@pytest.fixture(scope="module")
def secured(shared_project: ComposeProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    checkout = shared_project.checkout
    http_port, https_port = free_ports(2)
    settings = {"COMPOSE_PROFILES": "tls", "HTTP_PORT": str(http_port), "HTTPS_PORT": str(https_port)}
    checkout.env |= settings
    said = checkout.run("make", "up").stdout
    authority = tmp_path_factory.mktemp("caddy") / "root.crt"
    checkout.compose("cp", ROOT_CERTIFICATE, str(authority))
    secured = Secured(shared_project, http_port, https_port, authority)
    assert f"... and at {secured.url}\n" in said
    yield secured
    checkout.compose("rm", "--stop", "--force", "caddy")
    for name in settings:
        del checkout.env[name]


def test_it_is_published_on_loopback_until_somebody_says_where(secured: Secured) -> None:
    published = {
        (port, binding["HostIp"])
        for container in docker.inspect(secured.project.containers())
        for port, bindings in container["NetworkSettings"]["Ports"].items()
        for binding in bindings or ()
    }

    assert published == {(f"{port}/tcp", "127.0.0.1") for port in (5100, 8080, 8443)}


def test_a_prediction_comes_by_https(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secured.authority))

    row = ("6", "148", "72", "35", "0", "33.6", "0.627", "50")
    said = predict(secured.url, "--model", "diabetes", *row, key=secured.project.key)

    assert "diabetes" in said


def test_nobody_vouches_for_its_own_authority_by_default(secured: Secured) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(secured.url)


def test_http_leads_to_https_at_the_port_that_is_published(secured: Secured) -> None:
    answer = httpx.get(f"http://localhost:{secured.http_port}/jobs?a=b")

    assert (answer.status_code, answer.headers["location"]) == (308, f"{secured.url}/jobs?a=b")


def test_events_come_as_they_are(secured: Secured) -> None:
    job = secured.project.submit("diabetes", [[6, 148, 72, 35, 0, 33.6, 0.627, 50]])
    with secured.client() as web, web.stream("GET", job["links"]["events"]) as stream:
        assert "finished" in next(line for line in stream.iter_lines() if "finished" in line)


def test_its_certificates_outlive_the_container(secured: Secured) -> None:
    checkout = secured.project.checkout
    before = secured.authority.read_text()

    checkout.compose("rm", "--stop", "--force", "caddy")
    checkout.run("make", "up")
    checkout.compose("cp", ROOT_CERTIFICATE, str(secured.authority))

    assert secured.authority.read_text() == before
    with secured.client() as web:
        assert web.get("/livez").is_success


def test_web_may_be_restarted_beneath_it(secured: Secured) -> None:
    secured.project.compose("restart", "web")

    with secured.client() as web:
        wait_until(lambda: web.get("/livez").is_success, what="Caddy finds web again")
