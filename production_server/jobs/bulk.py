"""Inserting many rows at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError


def insert_many(
    connection: Connection,
    table: Table,
    same: Mapping[str, Any],
    names: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    """Insert a row for each of `rows`, which hold the columns `names`; the columns in `same` are alike in all rows.

    By the driver itself: SQLAlchemy spends most of a bulk job's insertion on naming parameters.
    """
    dialect = connection.dialect
    to_driver = {
        name: table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in (*same, *names)
    }
    first = [_convert(to_driver[name], value) for name, value in same.items()]
    processors = [to_driver[name] for name in names]
    columns = ", ".join(dialect.identifier_preparer.quote(name) for name in to_driver)
    into = f"{dialect.identifier_preparer.format_table(table)} ({columns})"
    converted = ((*first, *map(_convert, processors, row)) for row in rows)
    if dialect.name == "postgresql":
        _copy(connection, into, converted)
    else:
        marks = ", ".join("?" * len(to_driver))
        connection.exec_driver_sql(f"INSERT INTO {into} VALUES ({marks})", list(converted))  # noqa: S608


def _copy(connection: Connection, into: str, rows: Iterable[Sequence[Any]]) -> None:
    """PostgreSQL's own way for many rows, much faster than one statement for each; SQLAlchemy does not know it."""
    dbapi = connection.dialect.loaded_dbapi
    statement = f"COPY {into} FROM STDIN"
    try:
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except dbapi.Error as exc:
        raise DBAPIError.instance(statement, None, exc, dbapi.Error, dialect=connection.dialect) from exc


def _convert(process: Any, value: Any) -> Any:
    return value if process is None else process(value)
