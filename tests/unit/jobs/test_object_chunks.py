"""Objects wait in the database, chunk by chunk; on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from production_server.errors import StorageUnavailable
from production_server.jobs.away import note_answer, note_away, waiting_for, why_away
from production_server.jobs.claim import claim, finish
from production_server.jobs.database import Database, now
from production_server.jobs.object_chunks import (
    ObjectChunk,
    adopt,
    end,
    miss,
    put_back,
    renew,
    take,
)
from production_server.jobs.read import every_item, get_job
from production_server.jobs.reconcile import freed_chunks, unpublished_chunks
from production_server.jobs.records import Chunk, Failure, Job, NewObjects, NewScan
from production_server.jobs.scans import Listed, claim_scan, fail_for_now, note_page
from production_server.jobs.statistics import statistics
from production_server.jobs.submit import start_scan, submit_objects
from production_server.jobs.tables import away_bucket, object_chunk
from production_server.storage.objects import Reference


def accept(database: Database, *urls: str, chunk_items: int = 2) -> Job:
    references = [Reference(url, "1", 5) for url in urls]
    new = NewObjects("picture", "1", references, source="event", client="c")
    job = submit_objects(database, new, chunk_items=chunk_items)
    assert job is not None
    return job


def try_take(database: Database, **options: Any) -> ObjectChunk | None:
    return take(database, **({"lease_s": 60, "patience_s": 600} | options))


def must_take(database: Database, **options: Any) -> ObjectChunk:
    held = try_take(database, **options)
    assert held is not None
    return held


def let_time_pass(database: Database, seconds: float) -> None:
    with database.write() as connection:
        for table, names in ((object_chunk, ("created_at", "missing_since", "lease_until")),
                             (away_bucket, ("since", "next_try_at", "lease_until"))):  # fmt: skip
            connection.execute(update(table).values({name: table.c[name] - seconds for name in names}))


def count(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(object_chunk)).scalar_one()


def fail_all(database: Database, held: ObjectChunk) -> None:
    claimed = claim(database, held.job_id, held.start, held.stop, lease_s=60, max_attempts=3)
    assert claimed is not None
    finish(
        database,
        claimed,
        [Failure(index=index, error_code="x", error_message="x") for index in claimed.indexes],
    )


def test_objects_wait_in_chunks_of_one_bucket_each(database: Database) -> None:
    job = accept(database, "s3://bbb/1", "s3://aaa/2", "s3://bbb/3", "s3://bbb/4", "s3://aaa/5")

    held = [must_take(database) for _ in range(3)]

    assert [(each.start, each.stop, each.bucket) for each in held] == [
        (0, 2, "s3://aaa"),
        (2, 4, "s3://bbb"),
        (4, 5, "s3://bbb"),
    ]
    assert {each.job_id for each in held} == {job.id}
    assert try_take(database) is None
    assert [item.url for item in every_item(database, job.id)] == [
        "s3://aaa/2", "s3://aaa/5", "s3://bbb/1", "s3://bbb/3", "s3://bbb/4",
    ]  # fmt: skip


def test_two_who_take_at_once_get_different_chunks(database: Database) -> None:
    accept(database, *[f"s3://aaa/{number}" for number in range(16)])

    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: try_take(database), range(12)))

    starts = [each.start for each in taken if each is not None]
    assert sorted(starts) == list(range(0, 16, 2))


def test_a_page_of_a_scan_waits_with_the_scans_priority_whoever_dies(database: Database) -> None:
    asked = NewScan(url="s3://aaa/", pattern="*", model="picture", version="1", priority="high")
    low, _ = start_scan(
        database, NewScan(url="s3://bbb/", pattern="*", model="picture", version="1"), client="c"
    )
    high, _ = start_scan(database, asked, client="c")
    for bucket in ("bbb", "aaa"):
        held = claim_scan(database, lease_s=60)
        assert held is not None
        found = [Reference(f"s3://{bucket}/{name}", "1", 5) for name in "abc"]
        note_page(database, held, Listed(3, found, "c"), lease_s=60, chunk_items=2)

    held_chunks = [must_take(database) for _ in range(4)]

    assert [each.job_id for each in held_chunks] == [high.id, high.id, low.id, low.id]
    assert not list(unpublished_chunks(database, chunk_items=2, grace_s=0, is_queue_empty=True))


def test_buckets_that_have_their_share_are_left_out(database: Database) -> None:
    accept(database, "s3://aaa/1", "s3://bbb/1")

    assert must_take(database, without=["s3://aaa"]).bucket == "s3://bbb"
    assert try_take(database, without=["s3://aaa"]) is None


def test_who_is_silent_for_too_long_loses_a_chunk_and_who_renews_does_not(database: Database) -> None:
    accept(database, "s3://aaa/1")
    held = must_take(database)
    let_time_pass(database, 100)
    renew(database, [held], lease_s=60)
    assert try_take(database) is None

    freed_chunks(database, [held.token], chunk_items=2)
    again = must_take(database)
    end(database, held)

    assert (again.start, count(database)) == (0, 1)


def test_what_a_process_that_is_gone_had_in_hand_is_free_when_another_one_begins(database: Database) -> None:
    accept(database, "s3://aaa/1")
    must_take(database)

    freed_chunks(database, None, chunk_items=2)

    assert try_take(database) is not None


def test_a_chunk_is_gone_when_all_of_it_is_done_and_not_before(database: Database) -> None:
    job = accept(database, "s3://aaa/1", "s3://aaa/2")
    held = must_take(database)
    end(database, held)
    between = count(database)
    let_time_pass(database, 100)
    held = must_take(database)
    fail_all(database, held)
    end(database, held)

    assert (between, count(database)) == (1, 0)
    assert get_job(database, job.id, whose=None).state == "finished"


def test_a_chunk_that_is_put_back_is_free_at_once(database: Database) -> None:
    accept(database, "s3://aaa/1")
    held = must_take(database)

    put_back(database, held)

    assert must_take(database).tries == 0


def test_of_a_bucket_that_is_away_one_chunk_asks_when_the_pause_is_over(database: Database) -> None:
    accept(database, *[f"s3://aaa/{number}" for number in range(6)])
    first = must_take(database)
    note_away(database, first, "no answer")
    assert try_take(database) is None

    let_time_pass(database, 1.5)
    probe = must_take(database)

    assert (probe.is_probe, probe.is_last, probe.message) == (True, False, "no answer")
    # Another chunk than the one that has asked before.
    assert probe.start != first.start
    assert try_take(database) is None
    note_answer(database, "s3://aaa")
    assert must_take(database).is_probe is False


def test_a_probe_whose_holder_has_died_is_followed_by_another(database: Database) -> None:
    accept(database, *[f"s3://aaa/{number}" for number in range(6)])
    note_away(database, must_take(database), "no answer")
    let_time_pass(database, 1.5)
    probe = must_take(database)

    freed_chunks(database, [probe.token], chunk_items=2)

    assert must_take(database).is_probe


def test_a_probe_that_found_nothing_to_ask_for_lets_others_ask(database: Database) -> None:
    accept(database, *[f"s3://aaa/{number}" for number in range(6)])
    note_away(database, must_take(database), "no answer")
    let_time_pass(database, 1.5)

    end(database, must_take(database))

    assert must_take(database).is_probe


def test_two_who_would_probe_at_once_are_one(database: Database) -> None:
    accept(database, *[f"s3://aaa/{number}" for number in range(20)])
    note_away(database, must_take(database), "no answer")
    let_time_pass(database, 1.5)

    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: try_take(database), range(8)))

    assert len([each for each in taken if each is not None]) == 1


@pytest.mark.parametrize(("tries", "pause_s"), [(1, 1), (2, 2), (3, 4), (9, 60)])
def test_the_pause_grows_with_each_probe_in_vain(database: Database, tries: int, pause_s: int) -> None:
    accept(database, "s3://aaa/1")
    note_away(database, must_take(database), "no answer")
    for _ in range(tries - 1):
        let_time_pass(database, 61)
        note_away(database, must_take(database), "no answer")

    with database.read() as connection:
        left = connection.execute(select(away_bucket.c.next_try_at - now())).scalar_one()

    assert left == pytest.approx(pause_s, abs=pause_s / 4)


def test_who_asked_at_the_same_time_as_the_first_makes_the_pause_no_longer(database: Database) -> None:
    accept(database, *[f"s3://aaa/{number}" for number in range(4)])
    both = [must_take(database), must_take(database)]

    for held in both:
        note_away(database, held, "no answer")

    with database.read() as connection:
        assert connection.execute(select(away_bucket.c.tries)).scalar_one() == 1


def test_what_has_waited_for_long_enough_need_not_be_asked_for(database: Database) -> None:
    accept(database, *[f"s3://aaa/{number}" for number in range(4)])
    note_away(database, must_take(database), "no answer")
    let_time_pass(database, 601)
    probe = must_take(database)
    note_away(database, probe, "still no answer")

    left = must_take(database)

    assert (probe.is_probe, probe.is_last, probe.is_hopeless) == (True, True, False)
    assert (left.is_probe, left.is_last, left.is_hopeless) == (False, True, True)
    assert left.message == "still no answer"


def test_what_is_missing_of_a_bucket_that_answers_is_tried_by_itself_later_and_later(
    database: Database,
) -> None:
    accept(database, "s3://aaa/1", "s3://aaa/2", "s3://aaa/3")
    miss(database, must_take(database), "busy")

    others = must_take(database)
    assert try_take(database) is None
    let_time_pass(database, 1.5)
    again = must_take(database)

    assert (others.start, others.is_probe) == (2, False)
    assert (again.start, again.tries, again.is_last) == (0, 1, False)
    fail_all(database, others)
    end(database, others)
    miss(database, again, "busy")
    let_time_pass(database, 601)
    assert must_take(database).is_last


def test_a_job_says_what_it_waits_for_and_only_as_long_as_it_does(database: Database) -> None:
    away, busy, fine = (accept(database, f"s3://{name}/1") for name in ("away", "busy", "fine"))
    held = {each.job_id: each for each in (must_take(database) for _ in range(3))}
    note_away(database, held[away.id], "no answer")
    miss(database, held[busy.id], "too busy")
    ids: Sequence[UUID] = [away.id, busy.id, fine.id]

    found = waiting_for(database, ids)

    assert {job_id: (each.bucket, each.message) for job_id, each in found.items()} == {
        away.id: ("s3://away", "no answer"),
        busy.id: ("s3://busy", "too busy"),
    }
    assert (statistics(database).away_buckets, why_away(database, "s3://away")) == (1, "no answer")
    note_answer(database, "s3://away")
    assert set(waiting_for(database, ids)) == {busy.id}
    assert waiting_for(database, []) == {}
    assert (statistics(database).object_chunks, statistics(database).away_buckets) == (3, 0)


def test_a_scan_that_does_not_go_on_is_what_its_job_waits_for(database: Database) -> None:
    begun, _ = start_scan(
        database, NewScan(url="s3://aaa/in", pattern="*", model="picture", version="1"), client="c"
    )
    held = claim_scan(database, lease_s=60)
    assert held is not None

    fail_for_now(database, held, error=StorageUnavailable("no answer"), after_s=5)

    waiting = waiting_for(database, [begun.id])[begun.id]
    assert (waiting.bucket, waiting.message) == ("s3://aaa/in", "no answer")


def test_objects_whose_worker_was_lost_are_free_again_and_no_message_is_sent_of_them(
    database: Database,
) -> None:
    job = accept(database, "s3://aaa/1", "s3://aaa/2")
    held = must_take(database)
    claim(database, job.id, held.start, held.stop, lease_s=60, max_attempts=3)

    assert freed_chunks(database, None, chunk_items=2) == []
    assert {item.state for item in every_item(database, job.id)} == {"queued"}
    assert not list(unpublished_chunks(database, chunk_items=2, grace_s=0, is_queue_empty=True))


def test_a_job_of_objects_of_which_none_waits_though_some_are_not_done_is_found(database: Database) -> None:
    job = accept(database, "s3://aaa/1", "s3://aaa/2")
    with database.write() as connection:
        connection.execute(object_chunk.delete())

    found = list(unpublished_chunks(database, chunk_items=2, grace_s=0, is_queue_empty=True))

    assert found == [(job.id, [Chunk(job.id, 0, 2, "high")])]


def test_objects_that_a_release_before_has_sent_messages_of_wait_once(database: Database) -> None:
    job = accept(database, *[f"s3://aaa/{number}" for number in range(5)], *["s3://bbb/1"] * 1)
    with database.write() as connection:
        connection.execute(object_chunk.delete().where(object_chunk.c.start != 2))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: adopt(database, job.id, chunk_items=2), range(2)))

    found = [must_take(database) for _ in range(4)]
    assert try_take(database) is None
    assert [(each.start, each.stop, each.bucket) for each in found] == [
        (0, 2, "s3://aaa"),
        (2, 4, "s3://aaa"),
        (4, 5, "s3://aaa"),
        (5, 6, "s3://bbb"),
    ]


def test_a_bucket_that_nobody_asks_any_more_is_not_taken_for_away_for_ever(database: Database) -> None:
    accept(database, "s3://aaa/1")
    held = must_take(database)
    note_away(database, held, "no answer")
    fail_all(database, held)
    let_time_pass(database, 61)
    end(database, must_take(database))

    assert why_away(database, "s3://aaa") == ""
    assert statistics(database).away_buckets == 0
