"""A database that answers and takes nothing: a full disk, or one that only reads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, event

from production_server.errors import Unavailable
from production_server.jobs import database as database_module
from production_server.jobs.database import Database
from production_server.jobs.read import list_jobs
from production_server.jobs.records import NewItem
from production_server.jobs.submit import submit
from production_server.jobs.workers import alive_workers
from tests.unit.jobs.test_jobs import new_job

BIG = [NewItem(bytes(2**20), name="big")]


class Limits:
    """What is wrong with a database's disk, for each transaction that writes; nothing at first."""

    def __init__(self, database: Database) -> None:
        self.statement = ""
        event.listen(database.engine, "begin", self._apply)

    def _apply(self, connection: Connection) -> None:
        if self.statement and connection.get_execution_options().get("is_write"):
            connection.exec_driver_sql(self.statement)


FULL = {
    # As many pages as there are: as if the disk had room for no other.
    "sqlite": "PRAGMA max_page_count = 1",
    "postgresql": "DO $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left' USING ERRCODE = '53100'; END $$",
}
LIFTED = {"sqlite": "PRAGMA max_page_count = 1000000", "postgresql": ""}
READ_ONLY = {"sqlite": "PRAGMA query_only = 1", "postgresql": "SET TRANSACTION READ ONLY"}


@pytest.fixture
def limits(database: Database) -> Iterator[Limits]:
    database.writing.probe_every_s = 0
    limits = Limits(database)
    yield limits
    limits.statement = LIFTED[database.engine.dialect.name]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[str, bool]]]:
    """Level of each line so far, and whether it says that nothing can be written."""
    caplog.set_level(logging.INFO, "production_server")
    return lambda: [(each.levelname, "cannot be written to" in each.getMessage()) for each in caplog.records]


def test_a_full_disk_is_told_to_the_log_once_and_the_database_is_not_ready(
    database: Database, limits: Limits, lines: Callable[[], list[tuple[str, bool]]]
) -> None:
    dialect = database.engine.dialect.name
    database.check()
    limits.statement = FULL[dialect]

    for _ in range(3):
        with pytest.raises(Unavailable, match="cannot be written to"):
            submit(database, new_job(items=BIG))
    while_full = lines()
    with pytest.raises(Unavailable, match="cannot be written to"):
        database.check()
    limits.statement = LIFTED[dialect]
    database.check()

    assert while_full == [("ERROR", True)]
    assert lines() == [("ERROR", True), ("INFO", False)]
    assert list_jobs(database, limit=9, whose=None) == []
    assert alive_workers(database) == []


def test_a_full_disk_is_not_probed_for_each_who_asks(database: Database, limits: Limits) -> None:
    dialect = database.engine.dialect.name
    limits.statement = FULL[dialect]
    with pytest.raises(Unavailable):
        submit(database, new_job(items=BIG))
    with pytest.raises(Unavailable):
        database.check()
    limits.statement = LIFTED[dialect]

    database.writing.probe_every_s = 3600

    with pytest.raises(Unavailable, match="cannot be written to"):
        database.check()


def test_a_database_that_only_reads_is_unavailable_and_not_broken(
    database: Database, limits: Limits, lines: Callable[[], list[tuple[str, bool]]]
) -> None:
    limits.statement = READ_ONLY[database.engine.dialect.name]

    with pytest.raises(Unavailable, match="cannot be written to"):
        submit(database, new_job())

    assert lines() == [("ERROR", True)]
    with pytest.raises(Unavailable, match="cannot be written to"):
        database.check()


def test_a_disk_that_is_nearly_full_is_told_before_anything_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}")
    database.migrate()
    database.check()

    monkeypatch.setattr(database_module, "MIN_FREE_BYTES", 2**62)

    with pytest.raises(Unavailable, match=r"cannot grow: \d+ MiB are left on its disk"):
        database.check()
    database.close()
