"""A certificate that somebody has, without Caddy: `TLS_DIR`."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from testing.certificates import Pair, make_pair
from testing.compose_project import ComposeProject
from testing.processes import free_ports, wait_until
from testing.web_service import predict

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Secured:
    """The service that speaks https itself, and a Prometheus that watches it."""

    project: ComposeProject
    pair: Pair
    prometheus_port: int

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.project.port}"


@pytest.fixture(scope="module")
def secured(shared_project: ComposeProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    pair = make_pair(folder)
    for file, name in ((pair.cert, "cert.pem"), (pair.key, "key.pem")):
        (folder / name).write_bytes(file.read_bytes())
        (folder / name).chmod(0o644)
    folder.chmod(0o755)
    (port,) = free_ports(1)
    checkout = shared_project.checkout
    settings = {"TLS_DIR": str(folder), "COMPOSE_PROFILES": "monitoring", "PROMETHEUS_PORT": str(port)}
    settings["FLOWER_PORT"] = str(free_ports(1)[0])
    checkout.env |= settings
    said = checkout.run("make", "up").stdout
    secured = Secured(shared_project, pair, port)
    assert f"Celeriac answers at {secured.url}; the first key is in" in said
    yield secured
    checkout.compose("rm", "--stop", "--force", "flower", "prometheus")
    for name in settings:
        del checkout.env[name]
    shared_project.up()
    shared_project.wait_until_ready()


def test_a_prediction_comes_by_https_from_whoever_has_that_certificate(secured: Secured) -> None:
    row = ("6", "148", "72", "35", "0", "33.6", "0.627", "50")
    key, fingerprint = secured.project.key, secured.pair.fingerprint

    assert "diabetes" in predict(secured.url, "--model", "diabetes", *row, key=key, fingerprint=fingerprint)


def test_the_port_has_no_other_way_in(secured: Secured) -> None:
    trusting = ssl.create_default_context(cafile=str(secured.pair.cert))

    assert httpx.get(f"http://127.0.0.1:{secured.project.port}/livez").status_code == 400
    assert httpx.get(f"{secured.url}/livez", verify=trusting).status_code == 200


def test_prometheus_finds_it_all_the_same(secured: Secured) -> None:
    def is_up() -> bool:
        query = {"query": 'up{job="web"}'}
        answer = httpx.get(
            f"http://127.0.0.1:{secured.prometheus_port}/api/v1/query", params=query, timeout=30
        )
        return [series["value"][1] for series in answer.json()["data"]["result"]] == ["1"]

    wait_until(is_up, what="Prometheus reaches web")
