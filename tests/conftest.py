"""Fixtures for all tests: real services on free ports, with a virtual host or database for each test."""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as properties
from xdist.scheduler import LoadScopeScheduling

from testing.azure_storage import AzureStorage, azure_storage, find_azurite
from testing.google_storage import GoogleStorage, google_storage
from testing.postgres import PostgresCluster, find_postgres, new_database, postgres_cluster
from testing.rabbitmq import RabbitMQNode, find_rabbitmq, new_vhost, rabbitmq_node
from testing.s3 import S3, s3_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from testing.store import Store

T = TypeVar("T")

TESTS = Path(__file__).parent
SPREAD = {"tests/integration/test_scans.py"}
"""Files whose tests boot services of their own, for minutes in all."""
MARKER_OF_FIXTURE = {"rabbitmq": "rabbitmq", "postgres": "postgres", "browser": "browser"}

# No property fails because the machine is busy: neither by how long an example takes nor by how long it takes to make
# one. CI tries the same examples each time, so that what fails there fails at home with CI=true; at home they differ.
properties.register_profile(
    "celeriac",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
properties.load_profile("celeriac")


def pytest_configure() -> None:
    """Let Ctrl-C reach what the tests start, also where a shell runs them in the background and has it ignored."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes `make test` runs the tests in: two a core, for much of them waits.

    For some files, or tests, that would take longer to start than it saves.
    """
    if all(Path(name.partition("::")[0]).is_file() for name in config.args):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 2 * cores


class ByWhatTheyShare(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives the tests of one file to one process, for what they share; those of some files one by one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file in SPREAD else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByWhatTheyShare:
    """Called by xdist where there are several processes."""
    return ByWhatTheyShare(config, log)


@pytest.hookimpl(trylast=True)  # after the order is random
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the services that its fixtures start, so that `-m "not rabbitmq"` works unaided.

    Files that take long come first, so that no process has one left when all others are done.
    """
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in MARKER_OF_FIXTURE:
                item.add_marker(MARKER_OF_FIXTURE[fixture])
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    folder = item.path.relative_to(TESTS).parts
    takes_long = (
        ("abuse",),
        ("integration",),
        ("deploy", "test_launch.py"),
        ("deploy", "test_openstack_cloud.py"),
        ("deploy",),
        ("compose",),
        ("browser",),
        ("unit", "training"),
        ("contract",),
    )
    return next((n for n, first in enumerate(takes_long) if folder[: len(first)] == first), len(takes_long))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add the reasons for which tests were skipped to the file that SKIPPED names: `make check` ends with them."""
    if name := os.environ.get("SKIPPED"):
        skipped = terminalreporter.stats.get("skipped", [])
        reasons = Counter(str(each.longrepr[2]).removeprefix("Skipped: ") for each in skipped)
        with Path(name).open("a") as file:
            file.writelines(f"{count} skipped: {reason}\n" for reason, count in reasons.items())


def must_have(found: T | None, what: str) -> T:
    """A service's program; where it is missing the test is skipped, and on CI it fails."""
    if found is not None:
        return found
    reason = f"{what} is not installed: `make test` installs it where it may"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQNode]:
    """The node that the tests share; a test that stops or kills it starts it again."""
    with rabbitmq_node(must_have(find_rabbitmq(), "RabbitMQ")) as node:
        yield node


@pytest.fixture(scope="session")
def rabbitmq_url(rabbitmq: RabbitMQNode) -> str:
    """The node's default virtual host."""
    return rabbitmq.url()


@pytest.fixture
def vhost(rabbitmq: RabbitMQNode) -> Iterator[str]:
    """The name of an empty virtual host of this test's own."""
    with new_vhost(rabbitmq) as name:
        yield name


@pytest.fixture
def broker_url(rabbitmq: RabbitMQNode, vhost: str) -> str:
    """BROKER_URL of an empty virtual host of this test's own."""
    return rabbitmq.url(vhost)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    """The cluster that the tests share; a test that stops or kills it starts it again."""
    with postgres_cluster(must_have(find_postgres(), "PostgreSQL")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres_url(postgres: PostgresCluster) -> str:
    """The cluster's maintenance database."""
    return postgres.url()


@pytest.fixture
def database_url(postgres: PostgresCluster) -> Iterator[str]:
    """DATABASE_URL of an empty PostgreSQL database of this test's own."""
    with new_database(postgres) as url:
        yield url


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    """A store that speaks Amazon's protocol; this process' own environment leads to it."""
    with s3_store() as store:
        yield store


@pytest.fixture(scope="module")
def gs() -> Iterator[GoogleStorage]:
    """A store that speaks Google's protocol; this process' own environment leads to it."""
    with google_storage() as store:
        yield store


@pytest.fixture(scope="module")
def az() -> Iterator[AzureStorage]:
    """A store that speaks Azure's protocol; this process' own environment leads to it."""
    with azure_storage(must_have(find_azurite(), "Azurite")) as store:
        yield store


@pytest.fixture(params=["s3", "gs", "az"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each kind of store that is reached over the network."""
    found: Store = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, driven by Playwright."""
    from playwright.sync_api import sync_playwright

    chromium = must_have(shutil.which("chromium"), "Chromium")
    # In a container /dev/shm is small; for root, Chromium's own sandbox does not work.
    arguments = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.getuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page in a profile of its own."""
    context = browser.new_context()
    yield context.new_page()
    context.close()
