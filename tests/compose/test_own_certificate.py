"""A certificate that somebody has, without Caddy: `TLS_DIR`."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from testing.compose_project import ComposeProject
from testing.web_service import predict
from tests.compose.conftest import certificate_in, certified

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testing.certificates import Pair


@dataclass(frozen=True, slots=True)
class Secured:
    """The service that speaks https itself."""

    project: ComposeProject
    pair: Pair

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.project.port}"


@pytest.fixture(scope="module")
def secured(shared_project: ComposeProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    secured = Secured(shared_project, certificate_in(folder))
    with certified(shared_project, folder) as said:
        assert f"Celeriac answers at {secured.url}; the first key is in" in said
        yield secured
    shared_project.wait_until_ready()


def test_a_prediction_comes_by_https_from_whoever_has_that_certificate(secured: Secured) -> None:
    row = ("6", "148", "72", "35", "0", "33.6", "0.627", "50")
    key, fingerprint = secured.project.key, secured.pair.fingerprint

    assert "diabetes" in predict(secured.url, "--model", "diabetes", *row, key=key, fingerprint=fingerprint)


def test_the_port_has_no_other_way_in(secured: Secured) -> None:
    trusting = ssl.create_default_context(cafile=str(secured.pair.cert))

    assert httpx.get(f"http://127.0.0.1:{secured.project.port}/livez").status_code == 400
    assert httpx.get(f"{secured.url}/livez", verify=trusting).status_code == 200
