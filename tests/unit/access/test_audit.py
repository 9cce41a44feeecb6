"""The audit on both databases: a line is there if what it tells of is, and is found again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from production_server.access.audit import (
    Act,
    Noted,
    Wanted,
    every_line,
    list_lines,
    noting,
    write_line,
)
from production_server.access.cancelling import cancel_job, cancel_scan
from production_server.access.keys import create_key, revoke_key, rotate_key
from production_server.access.known_keys import KnownKeys
from production_server.access.records import Actor, NewKey
from production_server.access.scopes import Scope
from production_server.access.sessions import end_session, open_session
from production_server.errors import Conflict, NotFound
from production_server.jobs.database import Database
from production_server.jobs.records import NewItem, NewJob, NewScan
from production_server.jobs.submit import start_scan, submit
from production_server.jobs.tables import api_key, audit

ROOT = Actor("root", "cel_root0000", "192.0.2.1", "r1")
ANNA = NewKey(name="anna's", client="anna", scopes=frozenset({Scope.READ}))


def acts(database: Database) -> list[tuple[str, str]]:
    """What was done to what, the oldest first."""
    return [(line.act, line.object) for line in reversed(list_lines(database, Wanted(), limit=100))]


def test_a_line_tells_who_did_what_to_which_key_and_how_that_was_before(database: Database) -> None:
    made, text = create_key(database, ANNA, by=ROOT)
    replacement, new_text = rotate_key(database, made.id, overlap_s=0, by=ROOT)
    revoke_key(database, replacement.id, by=ROOT)

    revoked, rotated, created = list_lines(database, Wanted(), limit=100)
    anna = {"name": "anna's", "client": "anna", "scopes": ["read"], "expires": None}
    assert (created.act, created.object, created.before, created.after) == (
        "key.created",
        made.id,
        None,
        anna,
    )
    assert (rotated.act, rotated.object, rotated.before) == ("key.rotated", made.id, anna)
    assert rotated.after is not None
    assert rotated.after["replaced_by"] == replacement.id
    assert rotated.after["expires"].startswith("20")
    assert (revoked.act, revoked.object, revoked.before, revoked.after) == (
        "key.revoked", replacement.id, anna, None,
    )  # fmt: skip
    assert {line.by for line in (created, rotated, revoked)} == {ROOT}
    assert not any(
        secret[12:] in repr(line) for line in (created, rotated, revoked) for secret in (text, new_text)
    )


def test_what_changes_nothing_leaves_no_line(database: Database) -> None:
    made, _ = create_key(database, ANNA, by=ROOT)
    revoke_key(database, made.id, by=ROOT)

    revoke_key(database, made.id, by=ROOT)
    with pytest.raises(NotFound):
        revoke_key(database, "cel_nothing0", by=ROOT)
    with pytest.raises(Conflict):
        rotate_key(database, made.id, overlap_s=0, by=ROOT)

    assert acts(database) == [("key.created", made.id), ("key.revoked", made.id)]


def test_a_session_is_told_when_it_is_opened_and_once_when_it_is_ended(database: Database) -> None:
    _, key = create_key(database, ANNA, by=ROOT)
    keys = KnownKeys(database)
    keys.look_again()
    client = keys.find(key)

    session = open_session(database, client, by=client.acting("192.0.2.2", "r2"))
    for _ in range(2):
        end_session(database, session[:12], by=client.acting("192.0.2.2", "r3"))

    assert acts(database)[1:] == [("session.opened", session[:12]), ("session.ended", session[:12])]
    ended = list_lines(database, Wanted(), limit=1)[0]
    assert ended.by == Actor("anna", key[:12], "192.0.2.2", "r3")


def job_of(database: Database, client: str) -> Any:
    items = [NewItem(b"[1, 2]", None, None, ())]
    return submit(database, NewJob(model="m", version="1", items=items, source="http", client=client))[0].id


def scan_of(database: Database, client: str, *, dry_run: bool = False) -> Any:
    new = NewScan(url=f"file:///{client}/{dry_run}", pattern="*", model="m", version="1", dry_run=dry_run)
    return start_scan(database, new, client=client)[0].id


def test_cancelling_leaves_a_line_where_it_was_another_client_s_and_still_ran(database: Database) -> None:
    theirs, own = job_of(database, "anna"), job_of(database, "root")
    scan, dry_run = scan_of(database, "anna"), scan_of(database, "anna", dry_run=True)

    for _ in range(2):
        cancel_job(database, theirs, whose=None, by=ROOT)
        cancel_job(database, own, whose=None, by=ROOT)
        cancel_scan(database, scan, whose=None, by=ROOT)
        cancel_scan(database, dry_run, whose=None, by=ROOT)

    assert acts(database) == [
        ("job.cancelled", str(theirs)), ("scan.cancelled", str(scan)), ("scan.cancelled", str(dry_run)),
    ]  # fmt: skip
    assert {line.before["client"] for line in every_line(database, Wanted()) if line.before} == {"anna"}


def test_however_many_do_the_same_at_once_there_is_one_line(database: Database) -> None:
    key, _ = create_key(database, ANNA, by=ROOT)
    job, scan, dry_run = (
        job_of(database, "anna"),
        scan_of(database, "anna"),
        scan_of(database, "anna", dry_run=True),
    )
    doing: list[Callable[[], object]] = [
        partial(revoke_key, database, key.id, by=ROOT),
        partial(cancel_job, database, job, whose=None, by=ROOT),
        partial(cancel_scan, database, scan, whose=None, by=ROOT),
        partial(cancel_scan, database, dry_run, whose=None, by=ROOT),
    ]

    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(do) for _ in range(6) for do in doing]
    for each in done:
        each.result()

    assert sorted(acts(database)[1:]) == sorted(
        [("key.revoked", key.id), ("job.cancelled", str(job)), ("scan.cancelled", str(scan)),
         ("scan.cancelled", str(dry_run))]
    )  # fmt: skip


def test_an_act_that_fails_leaves_no_line_and_the_log_does_not_tell_of_it(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def fail_halfway() -> None:
        with noting(ROOT) as notes, database.write() as connection:
            connection.execute(update(api_key).values(name="changed"))
            notes.write(connection, Act.KEY_REVOKED, "cel_whatever")
            raise ZeroDivisionError

    with caplog.at_level(logging.INFO), pytest.raises(ZeroDivisionError):
        fail_halfway()

    assert acts(database) == []
    assert caplog.records == []


def test_no_key_is_made_where_its_line_cannot_be_written(database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE audit")

    with pytest.raises(Exception, match="audit"):
        create_key(database, ANNA, by=ROOT)

    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(api_key)).scalar_one() == 0


def test_the_log_has_the_same_line_whatever_is_in_it(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    by = Actor("eve\nERROR forged", "cel_root0000", "192.0.2.1\r", "r1")
    with caplog.at_level(logging.INFO), noting(by) as notes, database.write() as connection:
        notes.write(connection, Act.KEY_CREATED, "a\u2028b", after={"name": "x\ny"})

    (record,) = caplog.records
    assert record.getMessage() == (
        'key.created a\\u2028b by eve\\nERROR forged (cel_root0000…) from 192.0.2.1\\r after {"name": "x\\ny"}'
    )
    told = {name: record.__dict__[name] for name in ("act", "client", "key", "request_id", "after")}
    assert told == {
        "act": "key.created", "client": by.client, "key": "cel_root0000", "request_id": "r1", "after": {"name": "x\ny"},
    }  # fmt: skip


@pytest.fixture
def five(database: Database) -> Database:
    """Five lines, a minute after each other; the last one is a minute old."""
    with database.write() as connection:
        for number in range(5):
            by = Actor("anna" if number % 2 else "bert")
            act = Act.KEY_CREATED if number < 3 else Act.KEY_REVOKED
            write_line(
                connection, Noted(by=by, act=act, object=str(number)), at=time.time() - 60 * (5 - number)
            )
    return database


def found(database: Database, **wanted: Any) -> str:
    return "".join(line.object for line in every_line(database, Wanted(**wanted), page=2))


def test_lines_are_found_by_who_and_what_and_when(five: Database) -> None:
    at = {line.object: line.at for line in every_line(five, Wanted())}

    assert found(five) == "43210"
    assert (found(five, client="anna"), found(five, act="key.revoked")) == ("31", "43")
    assert (found(five, since=at["2"]), found(five, until=at["2"])) == ("432", "10")
    assert found(five, since=at["1"], until=at["4"], client="anna", act="key.created") == "1"
    assert found(five, client="ANNA") == found(five, client="nobody") == ""


def test_pages_follow_each_other_also_where_lines_are_of_the_same_moment(five: Database) -> None:
    with five.write() as connection:
        connection.execute(update(audit).values(at=1.0))

    pages, after = [], None
    while page := list_lines(five, Wanted(), after=after, limit=2):
        pages += [line.object for line in page]
        after = page[-1].id

    assert sorted(pages) == list("01234")
    assert list_lines(five, Wanted(), after=uuid4(), limit=2) == []
