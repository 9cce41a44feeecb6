"""Who holds something and renews it keeps it, whatever the database's clock says; who does not loses it."""

from __future__ import annotations

import pytest
from sqlalchemy import Table, update

from production_server.errors import StorageUnavailable
from production_server.jobs import object_chunks
from production_server.jobs.away import note_away, why_away
from production_server.jobs.claim import finish, renew
from production_server.jobs.database import Database
from production_server.jobs.leases import Watch
from production_server.jobs.reconcile import unpublished_chunks
from production_server.jobs.records import NewScan
from production_server.jobs.scans import claim_scan, fail_for_now
from production_server.jobs.submit import start_scan
from production_server.jobs.tables import away_bucket, item, job, object_chunk, scan, worker
from production_server.jobs.workers import alive_workers, beat
from tests.unit.jobs.test_jobs import accept, must_take, success
from tests.unit.jobs.test_object_chunks import accept as accept_objects
from tests.unit.jobs.test_object_chunks import must_take as take_objects
from tests.unit.jobs.test_object_chunks import try_take as try_take_objects

LEASE_S = 30
STEP_S = 10.0
TIMES: dict[Table, tuple[str, ...]] = {
    job: ("created_at", "published_at", "unpublished_since"),
    item: ("lease_until",),
    object_chunk: ("created_at", "missing_since", "lease_until"),
    away_bucket: ("since", "next_try_at", "lease_until"),
    scan: ("lease_until",),
    worker: ("seen_at",),
}


class Clock:
    """A process's own."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def set_clock(database: Database, by_s: float) -> None:
    """Set the database's clock forward, or back: as if all that is stored were so much older, or younger."""
    with database.write() as connection:
        for table, names in TIMES.items():
            connection.execute(update(table).values({name: table.c[name] - by_s for name in names}))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> Watch:
    return Watch(LEASE_S, clock=clock)


def test_who_renews_nothing_is_lost_when_a_lease_has_passed(
    database: Database, watch: Watch, clock: Clock
) -> None:
    held = must_take(database, accept(database, 2))
    chunk = take_objects_of_a_new_job(database)
    start_scan(database, NewScan(url="s3://aaa/in", pattern="*", model="m", version="1"), client="c")
    listing = claim_scan(database, lease_s=LEASE_S)
    assert listing is not None

    seen = []
    for _ in range(5):
        seen.append(watch.lost(database))
        clock.at += STEP_S

    assert seen == [frozenset()] * 3 + [{held.token, chunk.token, listing.token}] * 2


@pytest.mark.parametrize("by_s", [600.0, -600.0])
def test_whichever_way_the_clock_is_set_who_renews_is_not_lost_and_who_does_not_is(
    database: Database, watch: Watch, clock: Clock, by_s: float
) -> None:
    lives, lost = (must_take(database, accept(database, 2)) for _ in range(2))
    seen = []
    for number in range(8):
        renew(database, lives, lease_s=LEASE_S)
        seen.append(watch.lost(database))
        clock.at += STEP_S
        if number == 1:
            set_clock(database, by_s)

    # As the test sets it, all that is stored changes; a clock would leave it as it was.
    assert seen == [frozenset()] * 5 + [{lost.token}] * 3


def test_a_time_in_which_nobody_could_renew_does_not_count(
    database: Database, watch: Watch, clock: Clock
) -> None:
    held = must_take(database, accept(database, 2))
    watch.lost(database)

    clock.at += 3600
    seen = []
    for _ in range(3):
        seen.append(watch.lost(database))
        clock.at += STEP_S

    assert seen == [frozenset()] * 2 + [{held.token}]


def test_what_is_done_of_a_claim_renews_it_and_what_is_all_done_is_not_lost(
    database: Database, watch: Watch, clock: Clock
) -> None:
    held = must_take(database, accept(database, 2))
    for index in range(2):
        watch.lost(database)
        clock.at += STEP_S
        finish(database, held, [success(index)], renew_s=LEASE_S)

    for _ in range(5):
        clock.at += STEP_S
        assert watch.lost(database) == frozenset()


def test_what_waits_for_its_time_does_not_wait_longer_when_the_clock_is_set_back(database: Database) -> None:
    accept_objects(database, "s3://aaa/1", "s3://bbb/1")
    away, missing = take_objects(database), take_objects(database)
    note_away(database, away, "no answer")
    object_chunks.miss(database, missing, "busy")
    start_scan(database, NewScan(url="s3://ccc/in", pattern="*", model="m", version="1"), client="c")
    listing = claim_scan(database, lease_s=LEASE_S)
    assert listing is not None
    fail_for_now(database, listing, error=StorageUnavailable("no answer"), after_s=60)
    assert (try_take_objects(database), claim_scan(database, lease_s=LEASE_S)) == (None, None)

    set_clock(database, -600)

    assert why_away(database, away.bucket) == ""
    assert {take_objects(database).bucket for _ in range(2)} == {away.bucket, missing.bucket}
    assert claim_scan(database, lease_s=LEASE_S) is not None


@pytest.mark.parametrize("by_s", [600.0, -600.0])
def test_what_was_never_published_is_found_whichever_way_the_clock_is_set(
    database: Database, by_s: float
) -> None:
    accepted = accept(database, 2)
    assert not list(unpublished_chunks(database, chunk_items=9, grace_s=10, is_queue_empty=False))

    set_clock(database, by_s)

    found = unpublished_chunks(database, chunk_items=9, grace_s=10, is_queue_empty=False)
    assert [job_id for job_id, _ in found] == [accepted.id]


def test_a_lost_worker_does_not_live_on_because_the_clock_was_set_back(database: Database) -> None:
    beat(database, "lost", warm=[], items_done=0)
    set_clock(database, -600)
    beat(database, "lives", warm=[], items_done=0)

    assert [each.name for each in alive_workers(database)] == ["lives"]


def take_objects_of_a_new_job(database: Database) -> object_chunks.ObjectChunk:
    accept_objects(database, "s3://bbb/1")
    return take_objects(database)
