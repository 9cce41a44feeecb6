"""Inserting and changing many rows at once, by the driver itself: SQLAlchemy names each row's parameters anew."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import JSON, Connection, Table
from sqlalchemy.exc import DBAPIError

from production_server.jobs.tables import item


def insert_many(
    connection: Connection,
    table: Table,
    same: Mapping[str, Any],
    names: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    """Insert a row for each of `rows`, which hold the columns `names`; the columns in `same` are alike in all rows."""
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


def update_items(
    connection: Connection,
    job_id: UUID,
    same: Mapping[str, Any],
    names: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    """Change items of a job: each of `rows` holds an item's place and its columns `names`; those in `same` are alike.

    There is a row at least, and the rows are in the order of their places.
    """
    dialect = connection.dialect
    to_driver = {name: item.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in same}
    told = [_convert(to_driver[name], value) for name, value in same.items()]
    job_key = _convert(item.c.job_id.type.dialect_impl(dialect).bind_processor(dialect), job_id)
    columns = ("idx", *names)
    new = _as_one_text(columns, rows) if dialect.name == "postgresql" else None
    if new is not None:
        # One statement for all of them. The bounds keep it from looking through all of a large job.
        types = ", ".join(f"{name} {item.c[name].type.compile(dialect)}" for name in columns)
        changed = ", ".join([*(f"{name} = %s" for name in same), *(f"{name} = new.{name}" for name in names)])
        statement = (
            f"UPDATE item SET {changed} FROM json_to_recordset(%s::json) AS new ({types}) "  # noqa: S608
            "WHERE item.job_id = %s AND item.idx = new.idx AND item.idx BETWEEN %s AND %s"
        )
        connection.exec_driver_sql(statement, (*told, new, job_key, rows[0][0], rows[-1][0]))
    else:
        mark = "%s" if dialect.name == "postgresql" else "?"
        changed = ", ".join(f"{name} = {mark}" for name in (*same, *names))
        statement = f"UPDATE item SET {changed} WHERE job_id = {mark} AND idx = {mark}"  # noqa: S608
        processors = [_written if isinstance(item.c[name].type, JSON) else None for name in names]
        connection.exec_driver_sql(
            statement, [(*told, *map(_convert, processors, row[1:]), job_key, row[0]) for row in rows]
        )


def _as_one_text(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> str | None:
    """Rows as JSON, for which PostgreSQL's driver needs a sixth of the time that an array of each column takes.

    None: there is NUL or half a character in them, which PostgreSQL keeps in JSON, and takes out of none.
    """
    try:
        text = orjson.dumps([dict(zip(columns, row, strict=True)) for row in rows]).decode()
    except orjson.JSONEncodeError:
        return None
    return None if r"\u0000" in text else text


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


def _written(value: Any) -> str | None:
    """As JSON, a quarter of the time that SQLAlchemy's own way takes; nothing stays nothing."""
    if value is None:
        return None
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return json.dumps(value)  # which has halves of characters
