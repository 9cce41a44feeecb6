"""A service that somebody abuses, in both modes, and what others see of it meanwhile."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from testing.celeriac import Celeriac, celeriac
from testing.neighbours import Neighbours, Seen
from testing.postgres import PostgresCluster, new_database
from testing.rabbitmq import RabbitMQNode, new_vhost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EMBEDDED, BROKER = "embedded-sqlite", "rabbitmq-postgres"
TABLE = pytest.StashKey[list[str]]()


@pytest.fixture(scope="module", params=[EMBEDDED, BROKER])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def service(
    mode: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Celeriac]:
    """One service for the tests of a file, with the built-in models."""
    with contextlib.ExitStack() as stack:
        settings: dict[str, str] = {}
        if mode == BROKER:
            rabbitmq: RabbitMQNode = request.getfixturevalue("rabbitmq")
            postgres: PostgresCluster = request.getfixturevalue("postgres")
            settings["BROKER_URL"] = rabbitmq.url(stack.enter_context(new_vhost(rabbitmq)))
            settings["DATABASE_URL"] = stack.enter_context(new_database(postgres))
        running = stack.enter_context(celeriac(tmp_path_factory.mktemp("abused"), **settings))
        yield running
        assert "Traceback" not in running.log


@pytest.fixture
def neighbours(
    service: Celeriac, mode: str, request: pytest.FixtureRequest
) -> Callable[[], contextlib.AbstractContextManager[Seen]]:
    """`with neighbours():` what the abuser does; afterwards others have nothing to complain of."""

    @contextlib.contextmanager
    def watch() -> Iterator[Seen]:
        with Neighbours(service) as others:
            yield others.seen
        seen = others.seen
        name = (
            request.node.name.removeprefix("test_")
            .replace("_", " ")
            .replace(f"[{mode}", "")
            .replace("-", " ")
            .strip("] ")
        )
        request.config.stash.setdefault(TABLE, []).append(row_of(name, mode, seen))
        assert seen.faults() == []

    return watch


def row_of(name: str, mode: str, seen: Seen) -> str:
    """A row of the table in docs/reliability.md."""
    kinds = [f"{seen.p99_s(kind):.2f} s" for kind in seen.answers]
    refused = f"{max(seen.share_refused(kind) for kind in seen.answers):.0%}"
    memory = f"{max(seen.most_mb - seen.before_mb, 0):.0f} MB"
    return f"| {name} | {mode} | {' | '.join(kinds)} | {refused} | {memory} | {seen.recovered_s:.1f} s |"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what others saw: quiet and with `-n 0` that is the table in docs/reliability.md."""
    rows: list[str] = config.stash.get(TABLE, default=[])
    for row in sorted(rows):
        terminalreporter.write_line(row)
