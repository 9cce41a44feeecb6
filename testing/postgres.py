"""A PostgreSQL cluster of the tests' own, which they may stop, kill and start."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil
import psycopg
from psycopg import sql

from testing.processes import (
    ServiceError,
    end,
    free_ports,
    spawn,
    temporary_directory,
    unprivileged_user,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# A test's data need not survive the machine: without fsync a commit is quick, and as safe from kill -9.
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
}


def find_postgres() -> Path | None:
    """The directory of the newest installed PostgreSQL's programs (Debian keeps them off PATH)."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    initdb = installed[-1] if installed else shutil.which("initdb")
    return None if initdb is None else Path(initdb).parent


class PostgresCluster:
    """One cluster with its own port, password and data; under root it runs as another user, as it must."""

    def __init__(self, directory: Path, programs: Path, *, run_as: str | None) -> None:
        self.directory = directory
        self.user, self.password = "tests", secrets.token_urlsafe(16)
        (self.port,) = free_ports(1)
        self._programs = programs
        self._run_as = run_as
        self._process: subprocess.Popen[bytes] | None = None
        self._initialise()

    @property
    def pid(self) -> int | None:
        """The process that a test may signal; None while the cluster is down."""
        return None if self._process is None else self._process.pid

    def url(self, database: str = "postgres") -> str:
        """Where SQLAlchemy finds a database, password included."""
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> Self:
        """Start the cluster, with what it stored before, and wait until it takes connections."""
        if self._process is None or self._process.poll() is not None:
            options = [f"--{name}={value}" for name, value in OPTIONS.items()]
            command = [
                str(self._programs / "postgres"),
                "-D",
                str(self._data),
                "-p",
                str(self.port),
                *options,
            ]
            self._process = spawn(command, directory=self.directory, env=self._env(), user=self._run_as)
            wait_until(self._takes_connections, what="PostgreSQL takes connections")
        return self

    def stop(self) -> None:
        """Stop the cluster without waiting for its clients."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End the cluster without a shutdown (SIGKILL would leave orphans); a start recovers."""
        self._end(signal.SIGQUIT)

    def pause(self) -> None:
        """Freeze all its processes: connections stay, and nobody is answered."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let all its processes go on where they were."""
        self._signal_all(signal.SIGCONT)

    def add_database(self, name: str, *, template: str = "template0") -> None:
        """Make a database: empty, or a copy of another one that nobody uses."""
        self._execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )

    def drop_database(self, name: str) -> None:
        """Remove a database; its connections are closed."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _initialise(self) -> None:
        password_file = self.directory / "password"
        password_file.write_text(self.password)
        initdb = [str(self._programs / "initdb"), "--pgdata", str(self._data), "--pwfile", str(password_file)]
        options = [
            "--username",
            self.user,
            "--auth",
            "scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]
        process = spawn([*initdb, *options], directory=self.directory, env=self._env(), user=self._run_as)
        if process.wait(timeout=120):
            raise ServiceError(f"initdb failed:\n{self._output()}")

    def _takes_connections(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise ServiceError(f"PostgreSQL did not start:\n{self._output()}")
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        main = psutil.Process(self._process.pid)
        for process in (main, *main.children()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _output(self) -> str:
        return (self.directory / "output.log").read_text()

    def _end(self, by: signal.Signals) -> None:
        if self._process is not None:
            end(self._process, by=by)
            self._process = None

    def _env(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC", "HOME": str(self.directory)}


@contextlib.contextmanager
def postgres_cluster(programs: Path) -> Iterator[PostgresCluster]:
    """A running cluster; afterwards its processes and files are gone."""
    run_as = unprivileged_user("postgres")
    with temporary_directory("postgres", owner=run_as) as directory:
        cluster = PostgresCluster(directory, programs, run_as=run_as)
        try:
            yield cluster.start()
        finally:
            cluster.stop()


@contextlib.contextmanager
def new_database(cluster: PostgresCluster, *, template: str = "template0") -> Iterator[str]:
    """DATABASE_URL of a database that is empty, or a copy of another one; afterwards it is gone."""
    name = f"test_{secrets.token_hex(6)}"
    cluster.start().add_database(name, template=template)
    try:
        yield cluster.url(name)
    finally:
        cluster.start().drop_database(name)
