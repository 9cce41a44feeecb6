from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, select, text

from production_server.errors import Unavailable
from production_server.jobs.bulk import insert_many
from production_server.jobs.database import Database, now
from production_server.jobs.tables import metadata, worker
from production_server.jobs.workers import alive_workers, beat, leave


def test_the_migrations_make_the_tables_that_the_code_describes(database: Database) -> None:
    with database.read() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)

    assert differences == []


def test_migrating_twice_and_at_once_is_harmless(database: Database) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: database.migrate(), range(3)))

    database.check()


def test_a_database_that_a_newer_release_has_migrated_still_serves(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    database.migrate()

    database.check()
    with database.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
    assert [record.getMessage() for record in caplog.records] == [
        "the database is at revision 9999, of a newer release than this: left as it is"
    ]


def test_the_databases_clock_tells_seconds_since_the_epoch(database: Database) -> None:
    with database.read() as connection:
        told = connection.execute(select(now())).scalar_one()

    assert told == pytest.approx(time.time(), abs=60)


def test_a_database_without_its_schema_is_not_ready(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'empty.sqlite3'}")

    with pytest.raises(Unavailable, match="run migrate"):
        database.check()
    database.close()


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def fail_halfway() -> None:
        with database.write() as connection:
            connection.execute(
                insert(worker).values(name="w", started_at=0, seen_at=now(), warm=[], items_done=0)
            )
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()

    assert alive_workers(database) == []


def test_a_database_that_does_not_answer_is_unavailable_and_shows_no_password() -> None:
    database = Database("postgresql://somebody:s3cret@127.0.0.1:1/nothing")

    with pytest.raises(Unavailable) as caught, database.read():
        pass

    assert str(caught.value) == "the database does not answer"
    assert "s3cret" not in caught.value.with_place
    assert "127.0.0.1:1" in caught.value.with_place and "refused" in caught.value.with_place


def test_a_driver_that_finds_no_room_for_a_file_is_unavailable(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psycopg opens one for each wait, and tells of it as the system does."""

    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(database.engine, "connect", fail)

    with pytest.raises(Unavailable, match="cannot be asked: Too many open files"), database.read():
        pass
    with pytest.raises(Unavailable, match="cannot be asked"), database.write():
        pass


def test_an_sqlite_folder_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.sqlite3'}")

    with pytest.raises(Unavailable), database.read():
        pass


def test_an_sqlite_file_that_was_removed_is_no_database_though_connections_still_work(tmp_path: Path) -> None:
    file = tmp_path / "jobs.sqlite3"
    database = Database(f"sqlite:///{file}")
    database.migrate()
    database.check()

    file.unlink()

    with pytest.raises(Unavailable, match="was removed"):
        database.check()
    with pytest.raises(Unavailable, match="was removed"), database.write():
        pass
    file.touch()
    with pytest.raises(Unavailable, match="was removed"), database.write():
        pass
    database.close()


def test_a_database_that_is_lost_while_rows_go_in_is_unavailable(database_url: str) -> None:
    database = Database(database_url)
    database.migrate()

    def insert_and_lose() -> None:
        with database.write() as connection:
            pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            same = {"seen_at": 0.0, "warm": [], "items_done": 0}
            insert_many(connection, worker, same, ("name", "started_at"), rows(pid))

    def rows(pid: int) -> Iterator[tuple[str, float]]:
        yield ("first", 0.0)
        with database.write() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        for number in range(100_000):
            yield (f"worker {number}", 0.0)

    with pytest.raises(Unavailable):
        insert_and_lose()

    assert alive_workers(database) == []
    database.close()


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    file = tmp_path / "jobs.sqlite3"
    file.write_bytes(b"no database" * 1000)

    with pytest.raises(Unavailable, match="not a database"):
        Database(f"sqlite:///{file}").migrate()


def test_a_worker_is_alive_from_its_first_heartbeat_until_it_leaves(database: Database) -> None:
    beat(database, "w1", warm=["table/1"], items_done=0)
    beat(database, "w1", warm=["table/1"], items_done=7)

    (alive,) = alive_workers(database)
    leave(database, "w1")

    assert (alive.name, alive.warm, alive.items_done) == ("w1", ("table/1",), 7)
    assert alive_workers(database) == []


def test_a_worker_that_fell_silent_is_not_alive_and_is_forgotten_later(database: Database) -> None:
    beat(database, "w1", warm=[], items_done=0)
    with database.write() as connection:
        connection.execute(text("UPDATE worker SET seen_at = seen_at - 4000"))

    beat(database, "w2", warm=[], items_done=0)

    with database.read() as connection:
        names = connection.execute(text("SELECT name FROM worker")).scalars().all()
    assert [each.name for each in alive_workers(database)] == names == ["w2"]


def test_an_sqlite_file_is_made_where_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "new" / "jobs.sqlite3"
    database = Database(f"sqlite:///{path}")

    database.migrate()

    assert stat.S_ISREG(path.stat().st_mode)
    database.close()
