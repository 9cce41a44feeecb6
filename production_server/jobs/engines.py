"""How each kind of database is connected to: how many at once, and how long anybody waits."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from production_server.jobs.silence import Silence

CONNECTIONS = 12
"""A process has no more, unless it says otherwise."""
CONNECTION_S = 1.0
"""How long to wait for one of them."""
TURN_S = 2.5
"""How long whoever writes into SQLite waits for others of this process that do."""
FOREIGN_LOCK_S = 1.5
"""How long SQLite waits for another process that writes. All three together: 5 s, in which a client is told."""


def create_engine_of(
    url: URL, silence: Silence, *, connections: int, lock_s: float = FOREIGN_LOCK_S
) -> Engine:
    """An engine of at most so many connections, which notice when the database is silent; opens none.

    `lock_s` is how long SQLite waits for another process that writes.
    """
    bounds: dict[str, Any] = {
        "pool_size": connections,
        "max_overflow": 0,
        "pool_timeout": CONNECTION_S,
    }
    is_sqlite = url.get_backend_name() == "sqlite"
    return _create_sqlite(url, bounds, lock_s) if is_sqlite else _create_postgresql(url, bounds, silence)


def is_standby(connection: Connection) -> bool:
    """Whether a PostgreSQL only reads, for this and all other clients."""
    return bool(connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "on")


def let_take_long(connection: Connection) -> None:
    """In PostgreSQL, let the statements of this transaction take as long as they need."""
    driver: Any = connection.connection.driver_connection
    driver.may_take_long = True
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


def _create_postgresql(url: URL, bounds: dict[str, Any], silence: Silence) -> Engine:
    # Imported here: whoever has SQLite needs no psycopg.
    from production_server.jobs.postgresql import PARAMETERS, WatchedConnection

    engine = create_engine(url, pool_pre_ping=True, **bounds)

    @event.listens_for(engine, "do_connect")
    def connect(
        _dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]
    ) -> WatchedConnection:
        return WatchedConnection.open(silence, **PARAMETERS | parameters)

    @event.listens_for(engine, "checkin")
    def reset(driver: WatchedConnection | None, _record: Any) -> None:
        if driver is not None:
            driver.may_take_long = False

    return engine


def _create_sqlite(url: URL, bounds: dict[str, Any], lock_s: float) -> Engine:
    engine = create_engine(url, connect_args={"timeout": lock_s}, **bounds)
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
