"""A job ends once, however it ends, and what others write at its end is there if the end is; on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Column, Connection, MetaData, String, Table, Uuid, insert, select

from production_server.jobs.cancel import cancel
from production_server.jobs.claim import claim, finish, give_back, give_up
from production_server.jobs.database import Database
from production_server.jobs.read import get_job
from production_server.jobs.records import Failure, Job, NewScan
from production_server.jobs.scans import Listed, claim_scan, end_scan, note_page
from production_server.jobs.submit import start_scan
from production_server.storage.objects import Reference
from tests.unit.jobs.test_jobs import accept, lose_leases, must_take, success, take

# A small outbox: what somebody else would write at the end of a job.
told = Table("told", MetaData(), Column("job_id", Uuid, primary_key=True), Column("state", String(9)))


def tell(connection: Connection, job: Job) -> None:
    assert job.is_over and job.finished_at is not None
    connection.execute(insert(told).values(job_id=job.id, state=job.state))


@pytest.fixture
def telling(database: Database) -> Iterator[Database]:
    """The database, as those use it who write a row at each end; a second row for the same job would fail."""
    with database.write() as connection:
        told.create(connection)
    telling = Database(database.engine.url.render_as_string(hide_password=False), at_end=[tell])
    yield telling
    telling.close()


def what_was_told(database: Database) -> dict[object, str]:
    with database.read() as connection:
        return {row.job_id: row.state for row in connection.execute(select(told))}


def by_results(database: Database) -> Job:
    job = accept(database, 2)
    held = must_take(database, job)
    finish(database, held, [success(0)])
    assert what_was_told(database) == {}
    finish(database, held, [Failure(index=1, error_code="inference_failed", error_message="…")])
    return job


def by_lost_workers(database: Database) -> Job:
    job = accept(database, 1)
    must_take(database, job, max_attempts=1)
    lose_leases(database, job)
    assert take(database, job, max_attempts=1) is None
    return job


def by_giving_up(database: Database) -> Job:
    job = accept(database, 2)
    held = must_take(database, job, max_attempts=1)
    give_up(database, held, max_attempts=1, error_code="broken_version", error_message="…")
    return job


def by_a_listing(database: Database) -> Job:
    scan, _ = start_scan(
        database, NewScan(url="s3://photos/", pattern="*", model="picture", version="1"), client="c"
    )
    lister = claim_scan(database, lease_s=60)
    assert lister is not None
    note_page(
        database, lister, Listed(1, [Reference("s3://photos/a", "1", 5)], "a"), lease_s=60, chunk_items=256
    )
    job = get_job(database, scan.id, whose=None)
    finish(database, must_take(database, job), [success(0)])
    assert what_was_told(database) == {}
    end_scan(database, lister)
    return job


def by_cancelling(database: Database) -> Job:
    job = accept(database, 2)
    cancel(database, job.id, whose=None)
    return job


def by_cancelling_a_scan(database: Database) -> Job:
    scan, _ = start_scan(
        database, NewScan(url="s3://photos/", pattern="*", model="picture", version="1"), client="c"
    )
    cancel(database, scan.id, whose=None)
    return get_job(database, scan.id, whose=None)


def by_what_ran_when_it_was_cancelled(database: Database) -> Job:
    job = accept(database, 3)
    held = claim(database, job.id, 0, 2, lease_s=60, max_attempts=3)
    assert held is not None
    cancel(database, job.id, whose=None)
    finish(database, held, [success(0)])
    assert what_was_told(database) == {}
    give_back(database, held)
    assert take(database, job) is None
    return job


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (by_results, "finished"),
        (by_lost_workers, "finished"),
        (by_giving_up, "finished"),
        (by_a_listing, "finished"),
        (by_cancelling, "cancelled"),
        (by_cancelling_a_scan, "cancelled"),
        (by_what_ran_when_it_was_cancelled, "cancelled"),
    ],
)
def test_a_row_is_added_when_nothing_more_comes_and_only_then(
    telling: Database, end: Callable[[Database], Job], state: str
) -> None:
    job = end(telling)
    cancel(telling, job.id, whose=None)

    assert what_was_told(telling) == {job.id: state}
    assert (get_job(telling, job.id, whose=None).state, get_job(telling, job.id, whose=None).is_over) == (
        state,
        True,
    )


def test_an_end_whose_row_cannot_be_written_is_none(database: Database, telling: Database) -> None:
    job = accept(telling, 1)
    held = must_take(telling, job)
    with database.write() as connection:
        told.drop(connection)

    with pytest.raises(Exception, match="told"):
        finish(telling, held, [success(0)])

    assert (get_job(telling, job.id, whose=None).state, get_job(telling, job.id, whose=None).succeeded) == (
        "running",
        0,
    )
    finish(database, held, [success(0)])
    assert get_job(telling, job.id, whose=None).state == "finished"


def test_who_finish_the_last_items_at_once_end_the_job_once(telling: Database) -> None:
    job = accept(telling, 8)
    claims = [
        claim(telling, job.id, index, index + 1, lease_s=60, max_attempts=3) for index in range(job.total)
    ]
    together = threading.Barrier(4)

    def work(number: int) -> None:
        together.wait()
        for held in claims[number::4]:
            assert held is not None
            finish(telling, held, [success(held.indexes[0])])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    assert what_was_told(telling) == {job.id: "finished"}
