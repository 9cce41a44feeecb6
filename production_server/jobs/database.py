"""The one place that knows how to reach the database: engine, transactions, clock."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Double, Engine, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from production_server.errors import Unavailable
from production_server.jobs.records import Job
from production_server.jobs.writing import Writing, first_line, is_refusal
from production_server.settings import redact

AtEnd = Callable[[Connection, Job], None]
"""Writes what is to become true together with a job's end."""
AT_END = "celeriac_at_end"
"""The execution option under which a transaction that writes carries them to `settle`."""
BUSY_TIMEOUT_S = 30
MIN_FREE_BYTES = 16 * 2**20
"""A disk with less room than this counts as full: one job may need as much."""


class now(FunctionElement[float]):  # noqa: N801  # named like the SQL function that it stands for
    """Seconds since the Unix epoch by the database's clock: leases must not depend on the clocks of many machines."""

    type = Double()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_in_sqlite(_element: now, _compiler: Any, **_kw: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_in_postgresql(_element: now, _compiler: Any, **_kw: Any) -> str:
    return "CAST(extract(epoch from clock_timestamp()) AS double precision)"


class Database:
    """Connections to one database; safe to share between threads, not between processes."""

    def __init__(self, url: str, *, at_end: Sequence[AtEnd] = ()) -> None:
        """`url`: sqlite:////path or postgresql://user:password@host/name; nothing is opened yet.

        `at_end` are called in the transaction in which a job ends, with the job as it stands then: what they write is
        there if the end is, and an exception of theirs undoes both.
        """
        self._url = make_url(url)
        if self._url.get_backend_name() == "postgresql":
            self._url = self._url.set(drivername="postgresql+psycopg")
        self.engine = _create_engine(self._url.render_as_string(hide_password=False))
        self.writing = Writing(str(self))
        self._at_end = tuple(at_end)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads.

        Raises:
            Unavailable: the database does not answer.
        """
        with _translated(self), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes: committed at the end, rolled back on any exception.

        Raises:
            Unavailable: the database does not answer, stays locked, or cannot write (a full disk, say).
        """
        with (
            _translated(self),
            self.writing.watched(),
            self.engine.connect().execution_options(is_write=True, **{AT_END: self._at_end}) as connection,
            connection.begin(),
        ):
            yield connection

    def migrate(self) -> None:
        """Bring the schema to the newest revision; does nothing if it is there, or at one of a newer release.

        Safe to run twice at once.

        Raises:
            Unavailable: the database does not answer.
        """
        from production_server.jobs import schema

        if self.is_sqlite and self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
        with self.write() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(5100)"))
            schema.upgrade(connection)

    def check(self) -> None:
        """Answer quickly, or raise.

        Raises:
            Unavailable: the database does not answer, its file was removed, nothing can be written, or its schema is
                older than this code expects; a newer one holds all that the code needs.
        """
        from production_server.jobs import schema

        expected = schema.expected_revision()
        with self.read() as connection:
            found = schema.found_revision(connection)
        if found != expected and not schema.is_newer(found):
            raise Unavailable(
                f"the database schema is at revision {found}, this code needs {expected}: run migrate"
            )
        if self.is_sqlite:
            self._check_file(Path(self._url.database or ""))
        self.writing.check(self.write)

    def close(self) -> None:
        self.engine.dispose()

    def _check_file(self, file: Path) -> None:
        if not file.exists():
            # Open connections still work on the removed file, and all that they store is lost with them.
            raise Unavailable(f"the file of {self} was removed: stop the server")
        # Before anything fails, and for processes in which nothing has: asking the file system costs microseconds.
        free = shutil.disk_usage(file.parent).free
        if free < MIN_FREE_BYTES:
            detail = f"{free // 2**20} MiB are left on its disk, it needs {MIN_FREE_BYTES // 2**20}"
            raise Unavailable(f"the database {self} cannot grow: {detail}")

    def __str__(self) -> str:
        return redact(self._url.render_as_string(hide_password=False))


def dialect_of(connection: Connection) -> Any:
    """SQLAlchemy's module of what only some databases know: inserting what may be there already."""
    return sqlite if connection.dialect.name == "sqlite" else postgresql


def _create_engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(
            url,
            pool_pre_ping=True,
            pool_size=10,
            max_overflow=20,
            pool_timeout=10,
            connect_args={"connect_timeout": 5},
        )
    engine = create_engine(url, pool_size=10, max_overflow=50, connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # SQLAlchemy emits BEGIN itself (below): sqlite3's own comes too late for reads and never says IMMEDIATE.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: a commit survives a power cut, not only a crash of the process ("accepted means durable").
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    # A read transaction that turns into a write one fails at once if another wrote in between; IMMEDIATE waits.
    is_write = connection.get_execution_options().get("is_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


@contextmanager
def _translated(database: Database) -> Iterator[None]:
    try:
        yield
    except PoolTimeout as exc:
        raise Unavailable(f"the database {database} does not answer: {first_line(exc)}") from exc
    except DBAPIError as exc:
        if is_refusal(exc):
            raise Unavailable(f"the database {database} cannot be written to: {first_line(exc)}") from exc
        if isinstance(exc, OperationalError | InterfaceError):
            raise Unavailable(f"the database {database} does not answer: {first_line(exc)}") from exc
        if exc.connection_invalidated:
            raise Unavailable(f"the connection to {database} was lost") from exc
        # The class itself, none of its children: SQLite says so of a file that is damaged or no database at all.
        if type(exc) is DatabaseError:
            raise Unavailable(f"the database {database} cannot be read: {first_line(exc)}") from exc
        raise
