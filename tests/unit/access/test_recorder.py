"""What writes the audit beside requests, on both databases: refusals, and an end for what is old."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from production_server.access import recorder
from production_server.access.audit import Act, Noted, Wanted, every_line, write_line
from production_server.access.keys import create_key
from production_server.access.known_keys import KnownKeys
from production_server.access.recorder import DAY_S, Recorder
from production_server.access.records import Actor
from production_server.access.refusals import refusal_of
from production_server.errors import Unavailable
from production_server.jobs.database import Database
from tests.unit.access.test_audit import ANNA, ROOT

REFUSED = refusal_of(Actor("", "", "192.0.2.1", "r1"), "jobs.index", "unauthorized")


def known(database: Database) -> KnownKeys:
    keys = KnownKeys(database)
    keys.look_again()
    return keys


def recorder_of(database: Database, *, keep_days: int = 0) -> Recorder:
    """One of a service that needs keys."""
    create_key(database, ANNA, by=ROOT)
    return Recorder(database, known(database), keep_days=keep_days)


def lines(database: Database) -> list[Noted]:
    stored = every_line(database, Wanted(act="request.refused"))
    return [
        Noted(by=each.by, act=each.act, object=each.object, after=each.after, count=each.count)
        for each in stored
    ]


def test_what_was_refused_is_written_and_logged_once(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    writer = recorder_of(database)
    writer.refuse(REFUSED)
    assert lines(database) == []

    with caplog.at_level(logging.INFO):
        assert [writer.step(), writer.step()] == [False, False]

    assert lines(database) == [REFUSED]
    assert [record.getMessage() for record in caplog.records] == [
        'request.refused jobs.index by somebody from 192.0.2.1 after {"code": "unauthorized"}'
    ]


def test_a_service_without_keys_notes_nothing(sqlite_database: Database) -> None:
    for keys in (KnownKeys(sqlite_database), known(sqlite_database)):
        writer = Recorder(sqlite_database, keys, keep_days=0)
        writer.refuse(REFUSED)
        writer.step()

    assert lines(sqlite_database) == []


def test_an_end_writes_what_there_is(database: Database) -> None:
    writer = recorder_of(database)
    for _ in range(1000):
        writer.refuse(REFUSED)

    writer.close()

    assert sum(line.count for line in lines(database)) == 1000


class Away:
    """A database that may be away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_away = True

    @contextmanager
    def write(self) -> Iterator[Any]:
        if self.is_away:
            raise Unavailable("away")
        with self._database.write() as connection:
            yield connection


def test_while_the_database_is_away_refusals_wait_and_none_is_logged_twice(
    sqlite_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    create_key(sqlite_database, ANNA, by=ROOT)
    database = Away(sqlite_database)
    writer = Recorder(database, known(sqlite_database), keep_days=0)  # type: ignore[arg-type]  # it has what is used
    writer.refuse(REFUSED)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            with pytest.raises(Unavailable):
                writer.step()

        database.is_away = False
        writer.step()

    assert lines(sqlite_database) == [REFUSED]
    assert len(caplog.records) == 1


def test_an_address_that_is_none_keeps_no_line_from_being_written(database: Database) -> None:
    writer = recorder_of(database)
    for address in ("a\0b", "x" * 1000, "\ud800", "192.0.2.1"):
        writer.refuse(refusal_of(Actor("", address=address), "jobs.index", "unauthorized"))

    writer.step()

    assert sorted(line.by.address for line in lines(database)) == sorted(
        ["a\\x00b", "x" * 64, "\\ud800", "192.0.2.1"]
    )


def test_a_line_that_cannot_be_written_is_not_tried_for_ever(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_told: object) -> None:
        raise ZeroDivisionError

    writer = recorder_of(sqlite_database)
    writer.refuse(REFUSED)
    with monkeypatch.context() as broken:
        broken.setattr(recorder, "write_line", fail)
        with pytest.raises(ZeroDivisionError):
            writer.step()

    writer.refuse(REFUSED)
    writer.step()

    assert lines(sqlite_database) == [REFUSED]


def test_one_that_ends_while_the_database_is_away_says_what_is_in_the_log_alone(
    sqlite_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    create_key(sqlite_database, ANNA, by=ROOT)
    writer = Recorder(Away(sqlite_database), known(sqlite_database), keep_days=0)  # type: ignore[arg-type]  # it has what is used
    writer.refuse(REFUSED)

    writer.close()

    assert caplog.records[-1].getMessage() == "1 refusals are told by this log alone: away"


def write_days_ago(database: Database, *days: float) -> None:
    with database.write() as connection:
        for each in days:
            write_line(
                connection,
                Noted(by=ROOT, act=Act.KEY_CREATED, object=str(each)),
                at=time.time() - each * DAY_S,
            )


def kept(database: Database) -> list[str]:
    return [line.object for line in every_line(database, Wanted()) if not line.object.startswith("cel_")]


def test_what_is_old_is_cleared_away_in_small_batches(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "CLEARED_AT_ONCE", 2)
    write_days_ago(database, 12, 11, 10.5, 9.9, 1)
    writer = recorder_of(database, keep_days=10)

    assert writer.step()
    assert kept(database) == ["1", "9.9", "10.5"]
    assert not writer.step()
    assert kept(database) == ["1", "9.9"]


def test_it_is_looked_for_rarely(sqlite_database: Database) -> None:
    writer = recorder_of(sqlite_database, keep_days=10)
    writer.step()
    write_days_ago(sqlite_database, 11)

    writer.step()

    assert kept(sqlite_database) == ["11"]


def test_lines_may_be_kept_for_ever(sqlite_database: Database) -> None:
    write_days_ago(sqlite_database, 10_000)

    recorder_of(sqlite_database, keep_days=0).step()

    assert kept(sqlite_database) == ["10000"]
