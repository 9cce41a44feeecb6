"""Scans become jobs page by page, each object once for a version of a model; on both databases."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import update

from production_server.errors import NotFound, ObjectOutOfReach, StorageUnavailable
from production_server.jobs.cancel import cancel
from production_server.jobs.claim import claim, finish
from production_server.jobs.database import Database, now
from production_server.jobs.read import every_item, get_input, get_job
from production_server.jobs.reconcile import freed_chunks
from production_server.jobs.records import Failure, NewScan, Scan, Success
from production_server.jobs.scans import (
    Listed,
    ScanClaim,
    cancel_scan,
    claim_scan,
    end_scan,
    fail_for_now,
    get_scan,
    list_scans,
    note_page,
)
from production_server.jobs.submit import start_scan
from production_server.jobs.tables import scan
from production_server.storage.objects import Reference


def new_scan(**changes: object) -> NewScan:
    asked = {"url": "s3://photos/", "pattern": "*", "model": "picture", "version": "1"}
    return NewScan(**(asked | changes))  # type: ignore[arg-type]


def begin(database: Database, **changes: object) -> Scan:
    return start_scan(database, new_scan(**changes), client="somebody")[0]


def take(database: Database) -> ScanClaim:
    held = claim_scan(database, lease_s=60)
    assert held is not None
    return held


def references(*names: str, etag: str = "1") -> list[Reference]:
    return [Reference(f"s3://photos/{name}", etag, 5) for name in names]


def note(database: Database, held: ScanClaim, found: Sequence[Reference], cursor: str = "") -> range | None:
    return note_page(database, held, Listed(len(found) + 1, found, cursor), lease_s=60, chunk_items=256)


def scan_all(database: Database, *names: str, etag: str = "1", **changes: object) -> list[str]:
    """Scan those objects from beginning to end; returns the names of the items that came of it."""
    begun = begin(database, **changes)
    held = take(database)
    note(database, held, references(*names, etag=etag))
    end_scan(database, held)
    return [str(item.name) for item in every_item(database, begun.id)]


def work_off(database: Database, job_id: UUID, *, error: str | None = None) -> None:
    total = get_job(database, job_id, whose=None).total
    held = claim(database, job_id, 0, total, lease_s=60, max_attempts=3)
    assert held is not None
    finish(
        database,
        held,
        [
            Success(index=index, label="dark", score=1.0, output=(1.0, 0.0), ms=1.0)
            if error is None
            else Failure(index=index, error_code=error, error_message="…")
            for index in held.indexes
        ],
    )


def test_a_scans_job_grows_page_by_page_and_is_over_when_all_is_listed_and_done(database: Database) -> None:
    begun = begin(database)
    held = take(database)

    first = note(database, held, references("a", "b"), cursor="b")
    work_off(database, begun.id)
    between = get_job(database, begun.id, whose=None)
    second = note(database, held, references("c"), cursor="c")
    work_off(database, begun.id)
    end_scan(database, held)

    job, found = get_job(database, begun.id, whose=None), get_scan(database, begun.id, whose=None)
    assert (first, second) == (range(2), range(2, 3))
    assert (between.state, between.is_over, between.done) == ("running", False, 2)
    assert (job.state, job.total, job.succeeded, job.is_over) == ("finished", 3, 3, True)
    assert (found.state, found.listed, found.matched, found.skipped, found.cursor) == ("listed", 5, 3, 0, "c")


def test_a_job_is_over_with_the_listing_where_its_items_were_done_before(database: Database) -> None:
    begun = begin(database)
    held = take(database)
    note(database, held, references("a"))
    work_off(database, begun.id)

    end_scan(database, held)

    job = get_job(database, begun.id, whose=None)
    assert (job.state, job.finished_at is not None) == ("finished", True)


def test_a_scan_that_finds_nothing_is_a_finished_job_of_no_items(database: Database) -> None:
    begun = begin(database)

    end_scan(database, take(database))

    assert (get_job(database, begun.id, whose=None).state, get_job(database, begun.id, whose=None).total) == (
        "finished",
        0,
    )


def test_an_item_refers_to_its_object(database: Database) -> None:
    begun = begin(database)
    note(database, take(database), references("ä/b c+d.png"))

    (item,) = every_item(database, begun.id)
    held = claim(database, begun.id, 0, 1, lease_s=60, max_attempts=3)

    assert held is not None
    assert (item.name, item.url) == ("b c+d.png", "s3://photos/ä/b c+d.png")
    assert held.inputs == (Reference("s3://photos/ä/b c+d.png", "1", 5),)
    assert get_input(database, begun.id, 0) == held.inputs[0]


def test_what_was_classified_before_is_left_out(database: Database) -> None:
    assert scan_all(database, "a", "b") == ["a", "b"]

    assert scan_all(database, "a", "c", "b", "d") == ["c", "d"]

    newest = list_scans(database, limit=1, whose=None)[0]
    assert (newest.matched, newest.skipped) == (2, 2)
    assert [item.index for item in every_item(database, newest.id)] == [0, 1]


def test_an_object_with_another_etag_is_another_one(database: Database) -> None:
    scan_all(database, "a", etag="1")

    assert scan_all(database, "a", etag="2") == ["a"]


def test_another_version_of_the_model_has_not_classified_it(database: Database) -> None:
    scan_all(database, "a", version="1")

    assert scan_all(database, "a", version="2") == ["a"]
    assert scan_all(database, "a", model="other") == ["a"]


def test_again_classifies_everything_anew_once(database: Database) -> None:
    scan_all(database, "a", "b")
    begun = begin(database, again=True)
    held = take(database)

    first = note(database, held, references("a", "b"))
    repeated = note(database, held, references("a", "b", "c"))

    assert (first, repeated) == (range(2), range(2, 3))
    assert get_job(database, begun.id, whose=None).total == 3


@pytest.mark.parametrize(
    "code", ["storage_unavailable", "object_forbidden", "object_too_slow", "worker_lost"]
)
def test_what_failed_for_a_passing_reason_is_tried_again(database: Database, code: str) -> None:
    scan_all(database, "a")
    work_off(database, list_scans(database, limit=1, whose=None)[0].id, error=code)

    assert scan_all(database, "a") == ["a"]


def test_what_failed_for_good_is_left_out(database: Database) -> None:
    scan_all(database, "a")
    work_off(database, list_scans(database, limit=1, whose=None)[0].id, error="not_an_image")

    assert scan_all(database, "a") == []


def test_what_was_cancelled_is_classified_by_the_next_scan(database: Database) -> None:
    begun = begin(database)
    note(database, take(database), references("a"))
    cancel_scan(database, begun.id, whose=None)

    assert scan_all(database, "a") == ["a"]


def test_whoever_asks_again_for_what_is_being_listed_gets_that_scan(database: Database) -> None:
    first = start_scan(database, new_scan(), client="a")
    second = start_scan(database, new_scan(), client="a")
    somebody = start_scan(database, new_scan(), client="b")
    other = start_scan(database, new_scan(pattern="*.jpg"), client="a")
    end_scan(database, take(database))
    later = start_scan(database, new_scan(), client="a")

    assert (second[0].id, second[1]) == (first[0].id, False)
    assert [other[1], later[1], somebody[1]] == [True, True, True]


def test_a_scan_that_is_asked_for_twice_at_once_is_one(database: Database) -> None:
    ready = threading.Barrier(4)

    def ask(_: int) -> UUID:
        ready.wait()
        return begin(database).id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(4)))) == 1


def test_objects_that_two_scans_find_at_once_are_classified_once(database: Database) -> None:
    scans = [begin(database, pattern=pattern) for pattern in ("*", "*.png", "?*", "**")]
    claims = [take(database) for _ in scans]
    names = [f"{number}.png" for number in range(200)]
    ready = threading.Barrier(len(claims))

    def add(number: int) -> int:
        ready.wait()
        order = names if number % 2 else names[::-1]
        added = note(database, claims[number], references(*order))
        return len(added or ())

    with ThreadPoolExecutor(len(claims)) as pool:
        counts = list(pool.map(add, range(len(claims))))

    found = [item.name for each in scans for item in every_item(database, each.id)]
    assert sum(counts) == 200
    assert sorted(map(str, found)) == sorted(names)
    for each in scans:
        indexes = [item.index for item in every_item(database, each.id)]
        assert indexes == list(range(get_job(database, each.id, whose=None).total))


def test_a_scan_is_in_the_hands_of_one_at_a_time(database: Database) -> None:
    begin(database)
    take(database)

    assert claim_scan(database, lease_s=60) is None


def test_who_has_lost_a_scan_adds_nothing_and_who_has_it_goes_on_behind_the_cursor(
    database: Database,
) -> None:
    begun = begin(database)
    lost = take(database)
    note(database, lost, references("a", "b"), cursor="b")
    freed_chunks(database, [lost.token], chunk_items=9)
    held = take(database)

    vain = note(database, lost, references("c"), cursor="c")
    end_scan(database, lost)

    assert vain is None
    assert held.scan.cursor == "b"
    assert (
        get_scan(database, begun.id, whose=None).state,
        get_job(database, begun.id, whose=None).total,
    ) == ("listing", 2)


def test_who_looks_for_a_scan_in_vain_does_not_wait_for_who_writes(database: Database) -> None:
    with database.write():
        assert claim_scan(database, lease_s=60) is None


def test_a_scan_that_is_put_back_waits_for_its_time(database: Database) -> None:
    begin(database)
    fail_for_now(database, take(database), error=StorageUnavailable("no answer"), after_s=60)
    assert claim_scan(database, lease_s=60) is None

    with database.write() as connection:
        connection.execute(update(scan).values(lease_until=now() - 1))

    assert claim_scan(database, lease_s=60) is not None


def test_a_scan_that_cannot_go_on_says_why_and_its_job_ends(database: Database) -> None:
    begun = begin(database)
    held = take(database)
    note(database, held, references("a"))
    end_scan(database, held, error=ObjectOutOfReach("there is no such bucket", code="object_missing"))
    work_off(database, begun.id)

    found = get_scan(database, begun.id, whose=None)
    assert (found.state, found.error_code, found.error_message) == (
        "failed",
        "object_missing",
        "there is no such bucket",
    )
    assert get_job(database, begun.id, whose=None).state == "finished"


@pytest.mark.parametrize(
    "by", [partial(cancel, whose=None), partial(cancel_scan, whose=None)], ids=["job", "scan"]
)
@pytest.mark.parametrize("has_items", [True, False])
def test_a_scan_can_be_cancelled_and_nothing_more_is_listed(
    database: Database, by: object, *, has_items: bool
) -> None:
    begun = begin(database)
    held = take(database)
    if has_items:
        note(database, held, references("a", "b"))

    by(database, begun.id)  # type: ignore[operator]

    job = get_job(database, begun.id, whose=None)
    assert note(database, held, references("c")) is None
    assert (get_scan(database, begun.id, whose=None).state, job.state, job.is_over) == (
        "cancelled",
        "cancelled",
        True,
    )
    assert job.cancelled == job.total == (2 if has_items else 0)


def test_a_dry_run_counts_and_makes_nothing(database: Database) -> None:
    begun = begin(database, dry_run=True)
    held = take(database)
    note(database, held, references("a", "b"))
    end_scan(database, held)

    found = get_scan(database, begun.id, whose=None)
    assert (found.state, found.listed, found.matched) == ("listed", 3, 2)
    with pytest.raises(NotFound):
        get_job(database, begun.id, whose=None)


def test_a_dry_run_counts_what_was_classified_before_as_a_scan_would(database: Database) -> None:
    scan_all(database, "a", "b", "c")
    work_off(database, list_scans(database, limit=1, whose=None)[0].id, error="storage_unavailable")
    scan_all(database, "a")
    for again, expected in ((False, (3, 1)), (True, (4, 0))):
        begun = begin(database, dry_run=True, again=again)
        held = take(database)
        note(database, held, references("a", "b", "c", "d"))
        end_scan(database, held)

        found = get_scan(database, begun.id, whose=None)
        assert (found.matched, found.skipped) == expected


def test_a_dry_run_can_be_cancelled(database: Database) -> None:
    begun = begin(database, dry_run=True)

    assert cancel_scan(database, begun.id, whose=None).state == "cancelled"


def test_a_scan_that_is_not_there_says_so(database: Database) -> None:
    with pytest.raises(NotFound) as refused:
        get_scan(database, UUID(int=0), whose=None)

    assert refused.value.code == "scan_not_found"
