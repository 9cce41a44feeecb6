"""A service in containers that the tests share, made as a newcomer makes it: git clone, make up."""

from __future__ import annotations

import contextlib
import html
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testing.certificates import Pair, make_pair
from testing.compose_project import ComposeProject, compose_project
from testing.docker import running_engine
from testing.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = {"LEASE_S": "3", "DRAIN_S": "5", "CHUNK_ITEMS": "32", "BATCH_ITEMS": "16", "EXTRAS": "kafka"}
"""Small chunks, so that many messages are on their way; short leases, so that a dead worker's items wait not long. The
extra is for the tests of streams; the others do not notice it."""


TIMEOUT_S = 1500
"""Whichever test is the first waits until all images are built."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test here more time than others have."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    """Docker's engine; skipped where there is none and no rig to start one."""
    with running_engine():
        yield


@pytest.fixture(scope="session")
def shared_project(engine: None) -> Iterator[ComposeProject]:
    with compose_project(**SETTINGS) as project:
        yield project


@pytest.fixture
def project(shared_project: ComposeProject) -> ComposeProject:
    """The service that the tests share, ready; a test that stops something starts it again, with one worker."""
    shared_project.wait_until_ready()
    return shared_project


def wait_until_healthy(project: ComposeProject, service: str) -> None:
    """Wait until the engine says that every container of a service is healthy."""
    wait_until(
        lambda: all(state == "healthy" for state in health(project, service)), what=f"{service} is healthy"
    )


def health(project: ComposeProject, service: str) -> list[str]:
    """What the engine says of the containers of a service."""
    return project.compose("ps", "--format", "{{.Health}}", service).split()


def items_done(welcome_page: str) -> dict[str, int]:
    """The workers that the page shows as alive, and the items that each has done."""
    found = re.findall(
        r">(\S+-worker-\d+)</span>\s*<span[^>]*>([\d\s]+)items? done", html.unescape(welcome_page)
    )
    return {name: int("".join(re.findall(r"\d", count))) for name, count in found}


def certificate_in(folder: Path) -> Pair:
    """A certificate and its key, as `TLS_DIR` wants them; containers may read them."""
    pair = make_pair(folder)
    for file, name in ((pair.cert, "cert.pem"), (pair.key, "key.pem")):
        (folder / name).write_bytes(file.read_bytes())
        (folder / name).chmod(0o644)
    folder.chmod(0o755)
    return pair


@contextlib.contextmanager
def certified(project: ComposeProject, folder: Path) -> Iterator[str]:
    """A project whose web has the certificate of that folder; gives what `make up` has said."""
    checkout = project.checkout
    checkout.env["TLS_DIR"] = str(folder)
    try:
        yield checkout.run("make", "up").stdout
    finally:
        del checkout.env["TLS_DIR"]
        project.up()
