"""Inserting many rows at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table


def insert_many(
    connection: Connection,
    table: Table,
    same: Mapping[str, Any],
    names: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    """Insert a row for each of `rows`, which hold the columns `names`; the columns in `same` are alike in all rows.

    The driver's own `executemany`: SQLAlchemy's spends most of a bulk job's insertion on naming parameters.
    """
    dialect = connection.dialect
    to_driver = {
        name: table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in (*same, *names)
    }
    first = [_convert(to_driver[name], value) for name, value in same.items()]
    columns = ", ".join(dialect.identifier_preparer.quote(name) for name in to_driver)
    marks = ", ".join(["?" if dialect.paramstyle == "qmark" else "%s"] * len(to_driver))
    processors = [to_driver[name] for name in names]
    connection.exec_driver_sql(
        f"INSERT INTO {dialect.identifier_preparer.format_table(table)} ({columns}) VALUES ({marks})",  # noqa: S608
        [(*first, *map(_convert, processors, row)) for row in rows],
    )


def _convert(process: Any, value: Any) -> Any:
    return value if process is None else process(value)
