"""Series: results that belong together, of one version of a model by one front door; counts are of one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, select

from production_server.jobs.database import Database, dialect_of
from production_server.jobs.tables import series

_NAMES = ("model", "version", "source")
_CHOSEN_BY = (*_NAMES, "client")


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """A version of a model, and the front door by which its items came."""

    model: str
    version: str
    source: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """Whose results to look at; None: all."""

    model: str | None = None
    version: str | None = None
    source: str | None = None
    client: str | None = None


def list_series(database: Database, *, whose: str | None) -> list[Series]:
    """All series of a client, or of all, that ever had a result, in order.

    Raises:
        Unavailable: the database does not answer.
    """
    with database.read() as connection:
        return sorted(set(find_series(connection, Chosen(client=whose)).values()))


def find_series(connection: Connection, chosen: Chosen) -> dict[int, Series]:
    """Those that were chosen, by the number that results and counts have."""
    query = select(series.c.id, *(series.c[name] for name in _NAMES)).where(*is_chosen(chosen, series))
    return {row.id: Series(row.model, row.version, row.source) for row in connection.execute(query)}


def is_chosen(chosen: Chosen, table: Table) -> list[ColumnElement[bool]]:
    """What rows of a table with models, versions and sources have to fulfil."""
    asked = {name: getattr(chosen, name) for name in _CHOSEN_BY}
    return [table.c[name] == value for name, value in asked.items() if value is not None]


def is_series_of(jobs: Table) -> ColumnElement[bool]:
    """Whether the results of a job are counted among a series."""
    return and_(*(series.c[name] == jobs.c[name] for name in _CHOSEN_BY))


def enter_series(connection: Connection, asked: Any) -> int:
    """The number of a series, with its first result; two may enter the same at once.

    `asked` is a row with its model, version, source and client.
    """
    told = {name: getattr(asked, name) for name in _CHOSEN_BY}
    connection.execute(dialect_of(connection).insert(series).values(told).on_conflict_do_nothing())
    (entered,) = find_series(connection, Chosen(**told))
    return entered
