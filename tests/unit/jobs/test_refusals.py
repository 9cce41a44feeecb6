"""Which errors of a database's driver are a state of the server, and which are mistakes of ours."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from production_server.errors import Unavailable
from production_server.jobs import refusals
from production_server.jobs.database import Database

_CODES = [code if len(code) == 5 else f"{code}000" for code in refusals._POSTGRESQL]  # the table


def write(database: Database, statement: str) -> None:
    with database.write() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize(
    "code", [*_CODES, "57P01", "57P02", "57P03", "53200", "53300", "40001", "40P01", "55P03"]
)
def test_what_postgresql_says_of_its_state_is_unavailable(postgresql_database: Database, code: str) -> None:
    state = refusals._POSTGRESQL.get(code) or refusals._POSTGRESQL[code[:2]]

    with pytest.raises(Unavailable, match=f"{state}: provoked"):
        write(postgresql_database, f"DO $$ BEGIN RAISE EXCEPTION 'provoked' USING ERRCODE = '{code}'; END $$")


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        ("SELECT * FROM nothing_of_ours", refusals.FOREIGN),
        ("SELECT nothing_of_ours FROM job", refusals.FOREIGN),
        ("SET LOCAL statement_timeout = 10; SELECT pg_sleep(10)", refusals.BUSY),
        ("SET LOCAL transaction_read_only = on; DELETE FROM job", refusals.READ_ONLY),
        ("SET LOCAL ROLE pg_monitor; DELETE FROM job", refusals.FOREIGN),
        ("SELECT pg_terminate_backend(pg_backend_pid())", refusals.SILENT),
        ("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(10)", refusals.BUSY),
        ("SET LOCAL idle_in_transaction_session_timeout = 10; SELECT pg_sleep(0.01)", ""),
    ],
)
def test_what_postgresql_does_is_understood(
    postgresql_database: Database, statement: str, state: str
) -> None:
    def provoke() -> None:
        with postgresql_database.write() as connection:
            connection.exec_driver_sql(statement)
            if not state:
                threading.Event().wait(0.5)
                connection.exec_driver_sql("SELECT 1")

    with pytest.raises(Unavailable, match=state or refusals.SILENT):
        provoke()


def test_a_lock_that_somebody_else_keeps_is_not_waited_for_without_end(postgresql_database: Database) -> None:
    with postgresql_database.write() as other:
        other.execute(text("LOCK TABLE job"))
        with pytest.raises(Unavailable, match=refusals.BUSY):
            write(postgresql_database, "SET LOCAL lock_timeout = 50; DELETE FROM job")


def test_two_who_wait_for_each_other_are_told_to_come_again(postgresql_database: Database) -> None:
    both_hold_one = threading.Barrier(2)

    def lock(first: str, second: str) -> str:
        try:
            with postgresql_database.write() as connection:
                connection.execute(text(f"LOCK TABLE {first}"))
                both_hold_one.wait()
                connection.execute(text(f"LOCK TABLE {second}"))
        except Unavailable as exc:
            return str(exc)
        return ""

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lock, ("job", "item"), ("item", "job")))

    (why,) = filter(None, told)
    assert refusals.BUSY in why


@pytest.mark.parametrize("statement", ["SELEKT 1", "SELECT 1/0", "INSERT INTO job (id) VALUES (NULL)"])
def test_a_mistake_of_ours_stays_one(postgresql_database: Database, statement: str) -> None:
    with pytest.raises(DBAPIError):
        write(postgresql_database, statement)


@pytest.mark.parametrize("statement", ["SELEKT 1", "INSERT INTO job (id) VALUES (NULL)"])
def test_a_mistake_of_ours_stays_one_in_sqlite(sqlite_database: Database, statement: str) -> None:
    with pytest.raises(DBAPIError):
        write(sqlite_database, statement)


def test_a_table_that_sqlite_does_not_have_is_told(sqlite_database: Database) -> None:
    with pytest.raises(Unavailable, match=refusals.FOREIGN):
        write(sqlite_database, "DELETE FROM nothing_of_ours")


@pytest.mark.parametrize("name", ["job", "tally_minute"])
def test_a_database_without_one_of_its_tables_is_not_ready(database: Database, name: str) -> None:
    database.check()
    write(database, f"ALTER TABLE {name} RENAME TO taken_away")

    with pytest.raises(Unavailable, match=refusals.FOREIGN):
        database.check()


def test_a_postgresql_that_only_reads_is_not_ready(postgresql_database: Database) -> None:
    with postgresql_database.engine.connect() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        connection.commit()
    postgresql_database.engine.dispose()

    with pytest.raises(Unavailable, match=refusals.READ_ONLY):
        postgresql_database.check()


def test_a_file_that_another_process_writes_is_busy_and_not_waited_for_without_end(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite3'}"
    database, other = Database(url), Database(url)
    database.migrate()

    with other.write(), pytest.raises(Unavailable, match=refusals.BUSY):
        write(database, "DELETE FROM job")

    write(database, "DELETE FROM job")
    database.close()
    other.close()
