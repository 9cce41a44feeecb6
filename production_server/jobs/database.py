"""The one place that knows how to reach the database: engine, transactions, clock."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Double, exists, literal, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from production_server.descriptors import EXHAUSTED
from production_server.errors import Unavailable
from production_server.jobs.engines import (
    CONNECTIONS,
    FOREIGN_LOCK_S,
    TURN_S,
    create_engine_of,
    is_standby,
    let_take_long,
)
from production_server.jobs.records import Job
from production_server.jobs.refusals import BUSY, READ_ONLY, first_line, state_told_by, was_not_reached
from production_server.jobs.silence import Silence
from production_server.jobs.tables import metadata
from production_server.jobs.writing import Writing
from production_server.settings import redact

AtEnd = Callable[[Connection, Job], None]
"""Writes what is to become true together with a job's end."""
AT_END = "celeriac_at_end"
"""The execution option under which a transaction that writes carries them to `settle`."""
MIN_FREE_BYTES = 16 * 2**20
"""A disk with less room than this counts as full: one job may need as much."""


_LOOK_INTO_EACH_TABLE = select(
    *(exists(select(literal(1)).select_from(each)) for each in metadata.sorted_tables)
)
"""Whether somebody took a table away, or our right to it."""


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

    def __init__(
        self,
        url: str,
        *,
        at_end: Sequence[AtEnd] = (),
        connections: int = CONNECTIONS,
        lock_s: float = FOREIGN_LOCK_S,
    ) -> None:
        """`url`: sqlite:////path or postgresql://user:password@host/name; nothing is opened yet.

        `connections` is how many threads may use it at once; others wait a little. `lock_s` is how long another process
        that writes into SQLite is waited for.

        `at_end` are called in the transaction in which a job ends, with the job as it stands then: what they write is
        there if the end is, and an exception of theirs undoes both.
        """
        self._url = make_url(url)
        if self._url.get_backend_name() == "postgresql":
            self._url = self._url.set(drivername="postgresql+psycopg")
        self.silence = Silence(str(self))
        self.engine = create_engine_of(self._url, self.silence, connections=connections, lock_s=lock_s)
        self.writing = Writing(str(self))
        self._at_end = tuple(at_end)
        self._turn = threading.Lock()
        self._file = Path(self._url.database) if self.is_sqlite and self._url.database else None
        self._inode: tuple[int, int] | None = None

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads.

        Raises:
            Unavailable: the database does not answer.
        """
        self.silence.check()
        with _translated(self), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, may_take_long: bool = False) -> Iterator[Connection]:
        """A transaction that writes: committed at the end, rolled back on any exception.

        `may_take_long`: one statement changes as many rows as a job, or a table, may have.

        Raises:
            Unavailable: the database does not answer, stays locked, or cannot write (a full disk, say).
        """
        self.silence.check()
        with (
            _translated(self),
            self.writing.watched(),
            self.engine.connect().execution_options(is_write=True, **{AT_END: self._at_end}) as connection,
            self._turn_to_write(),
            connection.begin(),
        ):
            if may_take_long and not self.is_sqlite:
                let_take_long(connection)
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
        with self.write(may_take_long=True) as connection:
            if not self.is_sqlite:
                # Whoever migrates already is waited for, however long that takes.
                connection.execute(text("SET LOCAL lock_timeout = 0"))
                connection.execute(text("SELECT pg_advisory_xact_lock(5100)"))
            schema.upgrade(connection)

    def check(self) -> None:
        """Answer quickly, or raise.

        Raises:
            Unavailable: the database does not answer, its file was removed, nothing can be written, its schema is
                older than this code expects (a newer one holds all that the code needs), or a table is missing.
        """
        from production_server.jobs import schema

        expected = schema.expected_revision()
        with self.read() as connection:
            found = schema.found_revision(connection)
            is_read_only = not self.is_sqlite and is_standby(connection)
            is_known = found == expected or schema.is_newer(found)
            if is_known:
                connection.execute(_LOOK_INTO_EACH_TABLE)
        if not is_known:
            raise Unavailable(
                f"the database schema is at revision {found}, this code needs {expected}: run migrate"
            )
        if is_read_only:
            raise Unavailable(f"the database {READ_ONLY}: it only reads, as a standby does", place=str(self))
        if self._file is not None:
            self._check_is_there(self._file)
            self._check_has_room(self._file)
        self.writing.check(self.write)

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _turn_to_write(self) -> Iterator[None]:
        """SQLite has one writer at a time, and those who wait look again and again: within a process they queue."""
        if not self.is_sqlite:
            yield
            return
        if not self._turn.acquire(timeout=TURN_S):
            raise Unavailable(f"the database {BUSY}: others write for too long", place=str(self))
        try:
            if self._file is not None:
                self._check_is_there(self._file)
            yield
        finally:
            self._turn.release()

    def _check_is_there(self, file: Path) -> None:
        """Open connections still work on a file that was removed, and all that they store is lost with them."""
        try:
            found = file.stat()
        except FileNotFoundError:
            inode = None
        else:
            inode = found.st_dev, found.st_ino
        self._inode = self._inode or inode
        if inode is None or inode != self._inode:
            raise Unavailable("the file of the database was removed: stop the server", place=str(self))

    def _check_has_room(self, file: Path) -> None:
        # Before anything fails, and for processes in which nothing has: asking the file system costs microseconds.
        free = shutil.disk_usage(file.parent).free
        if free < MIN_FREE_BYTES:
            detail = f"{free // 2**20} MiB are left on its disk, it needs {MIN_FREE_BYTES // 2**20}"
            raise Unavailable(f"the database cannot grow: {detail}", place=str(self))

    def __str__(self) -> str:
        return redact(self._url.render_as_string(hide_password=False))


def dialect_of(connection: Connection) -> Any:
    """SQLAlchemy's module of what only some databases know: inserting what may be there already."""
    return sqlite if connection.dialect.name == "sqlite" else postgresql


@contextmanager
def _translated(database: Database) -> Iterator[None]:
    try:
        yield
    except PoolTimeout as exc:
        database.silence.begins()
        raise Unavailable(
            "the database does not answer: too many wait for it already", place=str(database)
        ) from exc
    except DBAPIError as exc:
        state = state_told_by(exc)
        if state is None:
            raise
        if state == READ_ONLY and not database.is_sqlite:
            # A primary that has become a standby keeps our connections; new ones may lead to the primary of now.
            database.engine.dispose()
        # Where it was looked for, a socket's path say, stands in what a driver says that was not let in.
        where = first_line(exc) if was_not_reached(exc) else ""
        reason = "" if where else f": {first_line(exc)}"
        place = f"{database}{f', {where}' if where else ''}"
        raise Unavailable(f"the database {state}{reason}", place=place) from exc
    except OSError as exc:
        # The driver needs a file for each connection, and for each wait.
        if exc.errno not in EXHAUSTED:
            raise
        raise Unavailable(f"the database cannot be asked: {exc.strerror}", place=str(database)) from exc
    database.silence.ends()
