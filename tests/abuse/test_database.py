"""A database that is neither dead nor alive: frozen, out of reach, locked, read-only."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import psycopg
import pytest

from testing.celeriac import Celeriac, celeriac
from testing.neighbours import MODEL, ROW, Answer, answered
from testing.network import Network, network
from testing.postgres import PostgresCluster, new_database
from testing.processes import wait_until
from testing.rabbitmq import RabbitMQNode, new_vhost
from tests.abuse.conftest import BROKER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from testing.neighbours import Seen

    Watch = Callable[[], AbstractContextManager[Seen]]

AWAY_S = 7.0
LATE_S = 10.0
"""The aim is 5 s; a busy machine may take longer."""
NEEDS_DATABASE = ("/", "/stats", "/api/jobs", "/readyz")
CLOCK = """
    CREATE SCHEMA shadow;
    CREATE TABLE shadow.step AS SELECT 0 AS seconds;
    CREATE FUNCTION shadow.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
        'SELECT pg_catalog.clock_timestamp() + make_interval(secs => (SELECT seconds FROM shadow.step))'
"""
"""Stands before PostgreSQL's own function of that name, and can be set."""
NEEDS_NONE = ("/docs", "/openapi.json", "/static/page.css")


@dataclass
class Server:
    """The PostgreSQL of a service, and the network to it."""

    cluster: PostgresCluster
    way: Network
    database: str

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        self.cluster.pause()
        try:
            yield
        finally:
            self.cluster.resume()

    @contextlib.contextmanager
    def cut_off(self) -> Iterator[None]:
        """Within an answer."""
        self.way.cut_after(100)
        try:
            yield
        finally:
            self.way.mend()

    @contextlib.contextmanager
    def forgotten(self) -> Iterator[None]:
        """Connections are lost without a word; new ones work."""
        self.way.forget_connections()
        yield

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        with psycopg.connect(self.cluster.url(self.database)) as other:
            other.execute("LOCK TABLE job IN ACCESS EXCLUSIVE MODE")
            yield

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """As a primary is that became a standby."""
        with self._changed("ALTER SYSTEM SET default_transaction_read_only = {}", "on", "off"):
            yield

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """It takes no connections, and ends those there are."""
        with self._changed(f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS {{}}", "false", "true"):
            yield

    @contextlib.contextmanager
    def foreign(self) -> Iterator[None]:
        """Somebody took a table away."""
        with self._changed("ALTER TABLE {}", "job RENAME TO jobs", "jobs RENAME TO job"):
            yield

    def set_clock(self, by_s: int) -> None:
        """Set its clock forward, or back, from what is right."""
        with psycopg.connect(self.cluster.url(self.database), autocommit=True) as connection:
            connection.execute("UPDATE shadow.step SET seconds = %s", (by_s,))

    @contextlib.contextmanager
    def _changed(self, statement: str, there: str, back: str) -> Iterator[None]:
        self._execute(statement.format(there))
        try:
            yield
        finally:
            self._execute(statement.format(back))

    def _execute(self, statement: str) -> None:
        name = self.database if "TABLE" in statement else "postgres"
        with psycopg.connect(self.cluster.url(name), autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(statement.encode())
            connection.execute("SELECT pg_reload_conf()")
            if "ALLOW" in statement:
                query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                connection.execute(query, (self.database,))


@dataclass
class Swarm:
    """Many clients that submit a row again and again; `accepted` has the paths of their jobs."""

    url: str
    size: int = 20
    answers: list[Answer] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    _is_over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        with ThreadPoolExecutor(self.size) as clients:
            for _ in range(self.size):
                clients.submit(self._submit)
            try:
                yield
            finally:
                self._is_over.set()

    def _submit(self) -> None:
        with httpx.Client(base_url=self.url, timeout=30) as web:
            while not self._is_over.wait(1):
                self.answers.append(answered(lambda: self._ask(web)))

    def _ask(self, web: httpx.Client) -> httpx.Response:
        told = web.post("/api/jobs", json={"model": MODEL, "inputs": [ROW]})
        if told.status_code == 202:
            self.accepted.append(told.json()["links"]["self"])
        return told


@pytest.fixture(scope="module")
def server(mode: str, request: pytest.FixtureRequest) -> Iterator[Server | None]:
    if mode != BROKER:
        yield None
        return
    cluster: PostgresCluster = request.getfixturevalue("postgres")
    with new_database(cluster) as url, network(cluster.port) as way:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(CLOCK)
            connection.execute("SELECT set_config('search_path', 'public, shadow, pg_catalog', false)")
            connection.execute(
                f"ALTER DATABASE {url.rpartition('/')[2]} SET search_path FROM CURRENT".encode()
            )
        yield Server(cluster, way, url.rpartition("/")[2])


@pytest.fixture(scope="module")
def service(
    server: Server | None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Celeriac]:
    """One service for the tests of this file; its PostgreSQL is behind a network that can be cut."""
    with contextlib.ExitStack() as stack:
        settings: dict[str, str] = {}
        if server is not None:
            rabbitmq: RabbitMQNode = request.getfixturevalue("rabbitmq")
            settings["BROKER_URL"] = rabbitmq.url(stack.enter_context(new_vhost(rabbitmq)))
            url = server.cluster.url(server.database)
            settings["DATABASE_URL"] = url.replace(f":{server.cluster.port}/", f":{server.way.port}/")
        running = stack.enter_context(celeriac(tmp_path_factory.mktemp("abused"), **settings))
        yield running
        assert "Traceback" not in running.log


@contextlib.contextmanager
def locked_file(service: Celeriac) -> Iterator[None]:
    other = sqlite3.connect(service.directory / "state" / "celeriac.sqlite3", isolation_level=None)
    with contextlib.closing(other):
        other.execute("BEGIN IMMEDIATE")
        yield


@pytest.mark.parametrize("fault", ["frozen", "cut_off", "forgotten", "locked"])
def test_a_database_that_is_silent(
    fault: str, server: Server | None, service: Celeriac, neighbours: Watch
) -> None:
    if server is None and fault != "locked":
        pytest.skip("SQLite is a file")
    # Where connections are only forgotten, all jobs are accepted: no more of them than a busy machine can do.
    swarm = Swarm(service.url, size=3 if fault == "forgotten" else 20)
    in_hand = service.submit(MODEL, [ROW] * 5000)
    away = locked_file(service) if server is None else getattr(server, fault)()
    with neighbours() as seen, away, swarm.at_work():
        until = time.monotonic() + AWAY_S
        time.sleep(1)  # until all threads know
        while time.monotonic() < until:
            assert_served_without_database(service)

    assert {each.status for each in seen.answers["call"]} == {200}, "calls need no database"
    assert [each for each in swarm.answers if not each.is_served or each.seconds > LATE_S] == []
    # What is only forgotten is found out before it is used.
    assert any(each.status == 503 for each in swarm.answers) == (fault != "forgotten")
    assert service.wait_for(in_hand)["succeeded"] == in_hand["total"]
    assert_all_end(service, swarm.accepted)


@pytest.mark.parametrize("fault", ["read_only", "closed", "foreign"])
def test_a_database_that_takes_nothing(
    fault: str, server: Server | None, service: Celeriac, neighbours: Watch
) -> None:
    if server is None:
        pytest.skip("SQLite is a file")
    in_hand = service.submit(MODEL, [ROW] * 2000)
    with neighbours():
        with getattr(server, fault)():
            wait_until(lambda: ready(service)[0] == 503, what="/readyz says 503", timeout_s=15)
            told = ready(service)[1]
            until = time.monotonic() + 3
            while time.monotonic() < until:
                assert (
                    service.web.post("/api/jobs", json={"model": MODEL, "inputs": [ROW]}).status_code == 503
                )
                assert_served_without_database(service)
        wait_until(lambda: ready(service)[0] == 200, what="/readyz says 200", timeout_s=LATE_S)

    assert not told["checks"]["database"]["ok"]
    assert service.wait_for(in_hand)["succeeded"] == in_hand["total"]


def test_the_clock_of_the_database_is_set_back(server: Server | None, service: Celeriac) -> None:
    if server is None:
        pytest.skip("nobody shares a SQLite database, and at the start of its one process it holds nothing")
    job = service.submit(MODEL, [ROW] * 10_000)
    service.wait_for(job, done=1)
    try:
        server.set_clock(-600)
        (worker,) = service.children("worker")
        os.kill(worker, signal.SIGKILL)
        assert service.wait_for(job)["succeeded"] == job["total"]
        wait_until(lambda: ready(service)[0] == 200, what="/readyz says 200", timeout_s=LATE_S)
    finally:
        server.set_clock(0)


def test_clients_with_all_the_connections(service: Celeriac, neighbours: Watch) -> None:
    web = psutil.Process(next(iter(service.children("web")), service.pid))
    with neighbours(), httpx.Client(base_url=service.url) as known, few_files(web, more=60):
        known.get("/livez")
        with contextlib.ExitStack() as crowd:
            for _ in range(100):
                crowd.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            wait_until(lambda: ready(service, known)[0] == 503, what="/readyz says 503")
            told = ready(service, known)[1]
            refused = [answered(lambda: httpx.get(service.url + "/docs")) for _ in range(10)]
            served = [known.get(path).status_code for path in (*NEEDS_NONE, "/", "/api/jobs")]

    assert not told["checks"]["files"]["ok"]
    assert {(each.status, each.is_told_when) for each in refused} == {(503, True)}
    assert set(served) == {200}


def test_no_file_can_be_opened(service: Celeriac, neighbours: Watch) -> None:
    processes = [psutil.Process(pid) for pid in (service.pid, *service.children())]
    with (
        neighbours() as seen,
        contextlib.ExitStack() as fault,
        httpx.Client(base_url=service.url, timeout=30) as known,
    ):
        known.get("/livez")
        wait_until(lambda: all(seen.answers.values()), what="all are connected")
        for process in processes:
            fault.enter_context(few_files(process, more=-3))
        told = when_short(known, processes)
        until = time.monotonic() + 5
        answers = []
        while time.monotonic() < until:
            answers += [known.get(path) for path in (*NEEDS_NONE, "/", "/api/jobs", "/results")]
            answers.append(known.post("/api/jobs", json={"model": MODEL, "inputs": [ROW]}))

    assert told.status_code == 503
    assert {each.status_code for each in answers} <= {200, 202, 503}
    assert all("retry-after" in each.headers for each in answers if each.status_code == 503)


def when_short(known: httpx.Client, processes: Sequence[psutil.Process]) -> httpx.Response:
    """What /readyz says when it says that no file can be opened: what a process closes meanwhile must not help it."""
    told: list[httpx.Response] = []

    def is_short() -> bool:
        for process in processes:
            limit, most = process.rlimit(psutil.RLIMIT_NOFILE)
            process.rlimit(psutil.RLIMIT_NOFILE, (min(limit, process.num_fds() - 3), most))
        told.append(known.get("/readyz"))
        return not told[-1].json()["checks"]["files"]["ok"]

    wait_until(is_short, what="/readyz says that no file can be opened")
    return told[-1]


@contextlib.contextmanager
def few_files(process: psutil.Process, *, more: int) -> Iterator[None]:
    """Let a process have only so many more files and connections than it has."""
    before = process.rlimit(psutil.RLIMIT_NOFILE)
    process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + more, before[1]))
    try:
        yield
    finally:
        process.rlimit(psutil.RLIMIT_NOFILE, before)


def ready(service: Celeriac, web: httpx.Client | None = None) -> tuple[int, dict[str, Any]]:
    answer = (web or service.web).get("/readyz")
    return answer.status_code, answer.json()


def assert_served_without_database(service: Celeriac) -> None:
    with httpx.Client(base_url=service.url, timeout=30) as web:
        needed = {path: answered(lambda path=path: web.get(path)) for path in NEEDS_DATABASE}  # type: ignore[misc]
        others = {path: answered(lambda path=path: web.get(path)) for path in NEEDS_NONE}  # type: ignore[misc]
    late = {path: each for path, each in needed.items() if not each.is_served or each.seconds > LATE_S}
    assert {path: each for path, each in late.items() if path != "/readyz" or each.status != 503} == {}
    assert {
        path: each for path, each in others.items() if each.status != 200 or each.seconds > LATE_S / 2
    } == {}


def assert_all_end(service: Celeriac, jobs: list[str]) -> None:
    """Whatever was accepted is done, once."""
    for path in jobs:
        job = service.wait_for({"id": path, "links": {"self": path}, "total": 1})
        assert (job["state"], job["succeeded"]) == ("finished", 1)
