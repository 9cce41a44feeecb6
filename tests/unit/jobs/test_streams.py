"""Messages of streams become items once, and what becomes of them is told; on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from production_server.jobs.arrivals import Taken, count_unfinished, refuse_messages, take_messages
from production_server.jobs.cancel import cancel
from production_server.jobs.claim import finish
from production_server.jobs.database import Database
from production_server.jobs.deliveries import LOST_S, Turn, forget, next_deliveries
from production_server.jobs.object_chunks import take as take_objects
from production_server.jobs.read import list_items, list_jobs
from production_server.jobs.records import Failure, Job, NewArrival, NewItem, NewRefusal
from production_server.jobs.stream_members import leave, members, tell
from production_server.storage.objects import Reference
from tests.unit.jobs.test_jobs import must_take, new_job, success

STREAM = replace(new_job(0), source="kafka", stream="photos", tells_results=True)


def message(place: int, items: int = 1) -> Taken:
    told = NewArrival(
        digest=bytes([place]) * 32,
        place=f"photos/0/{place}",
        key=f"key {place}".encode(),
        request_id=f"request {place}",
        sent_at=1000.0 + place,
    )
    return Taken(told, [NewItem(f"[{place},{each}]".encode()) for each in range(items)])


def take(database: Database, *taken: Taken) -> Job:
    job = take_messages(database, STREAM, taken, chunk_items=64)
    assert job is not None
    return job


def test_messages_become_the_items_of_one_job_in_their_order(database: Database) -> None:
    job = take(database, message(1), message(2, items=3), message(3))

    assert (job.total, job.source, job.state) == (5, "kafka", "queued")
    assert count_unfinished(database, "photos") == 5
    assert count_unfinished(database, "others") == 0


def test_a_message_that_comes_again_makes_no_second_item(database: Database) -> None:
    take(database, message(1), message(2))

    again = take(database, message(2), message(3), message(3))

    assert again.total == 1
    assert take_messages(database, STREAM, [message(1), message(3)], chunk_items=64) is None
    assert len(list_jobs(database, limit=9, whose=None)) == 2


def test_two_who_take_the_same_messages_at_once_make_one_item_of_each(database: Database) -> None:
    taken = [message(place) for place in range(1, 60)]

    with ThreadPoolExecutor(4) as threads:
        jobs = list(threads.map(lambda _: take_messages(database, STREAM, taken, chunk_items=64), range(4)))

    assert sum(job.total for job in jobs if job) == 59


def test_a_stream_is_told_of_items_in_the_order_in_which_they_are_done(database: Database) -> None:
    job = take(database, message(1), message(2, items=2), message(3))
    held = must_take(database, job)

    finish(database, held, [success(2)])
    finish(database, held, [success(0), success(1), Failure(index=3, error_code="x", error_message="why")])

    first, second = next_deliveries(database, "photos", limit=9)
    assert [(each.request_id, each.item and each.item.index) for each in first.told] == [("request 2", 2)]
    assert [(each.request_id, each.item and each.item.state) for each in second.told] == [
        ("request 1", "succeeded"),
        ("request 2", "succeeded"),
        ("request 3", "failed"),
    ]
    assert second.told[0].key == b"key 1"
    assert next_deliveries(database, "others", limit=9) == []
    forget(database, [first.id])
    assert [each.id for each in next_deliveries(database, "photos", limit=9)] == [second.id]


def test_a_stream_is_told_of_items_that_were_cancelled(database: Database) -> None:
    job = take(database, message(1), message(2))

    cancel(database, job.id, whose=None)

    (told,) = next_deliveries(database, "photos", limit=9)
    assert [(each.place, each.item and each.item.state) for each in told.told] == [
        ("photos/0/1", "cancelled"),
        ("photos/0/2", "cancelled"),
    ]


def test_who_wants_no_results_leaves_nothing_to_tell(database: Database) -> None:
    job = take_messages(database, replace(STREAM, tells_results=False), [message(1)], chunk_items=64)
    assert job is not None

    finish(database, must_take(database, job), [success(0)])

    assert list_items(database, job.id, limit=9)[0].state == "succeeded"
    assert next_deliveries(database, "photos", limit=9) == []


def test_a_message_is_refused_once_and_told_with_what_it_said(database: Database) -> None:
    refused = NewRefusal(
        arrival=message(7).arrival,
        error_code="invalid_input",
        error_message="value: expected JSON",
        message=b"\x00garbage",
        headers={"a": "b"},
    )

    assert refuse_messages(database, "photos", [refused], tell=True) == 1
    assert refuse_messages(database, "photos", [refused], tell=True) == 0

    ((told,),) = [each.told for each in next_deliveries(database, "photos", limit=9)]
    assert (told.message, told.headers, told.request_id) == (b"\x00garbage", {"a": "b"}, "request 7")
    assert (told.error_code, told.error_message) == ("invalid_input", "value: expected JSON")


def test_one_process_at_a_time_tells_a_stream(database: Database) -> None:
    times = {"now": 0.0}
    one, two = (Turn(database, "photos", clock=lambda: times["now"]) for _ in range(2))
    one.is_mine()

    assert (one.is_mine(), two.is_mine()) == (True, False)
    times["now"] = LOST_S + 1
    assert (one.is_mine(), two.is_mine()) == (True, False), "who goes on keeps it, however late it is"
    times["now"] = 2 * LOST_S + 2
    assert two.is_mine(), "who does not go on has lost it"
    assert not one.is_mine()
    two.leave()
    one.is_mine()
    assert one.is_mine()


def test_who_reads_is_listed_until_he_leaves(database: Database) -> None:
    tell(database, "photos", "a-1", {"partitions": {"0": 5}})
    tell(database, "photos", "a-1", {"partitions": {"0": 4, "1": None}})
    tell(database, "photos", "b-2", {"partitions": {}})

    assert [(each.process, each.told) for each in members(database)] == [
        ("a-1", {"partitions": {"0": 4, "1": None}}),
        ("b-2", {"partitions": {}}),
    ]
    leave(database, "photos", "a-1")
    assert [each.process for each in members(database)] == ["b-2"]


@pytest.mark.parametrize("items", [1, 40])
def test_small_hands_travel_before_bulk_jobs(database: Database, items: int) -> None:
    job = take(database, message(1, items=items))

    assert job.effective_priority == ("high" if items == 1 else "normal")


def test_objects_that_messages_name_wait_to_be_fetched_each_as_often_as_it_is_named(
    database: Database,
) -> None:
    named = [
        replace(message(place), items=[Reference(f"s3://photos/{place % 2}.png")]) for place in range(1, 5)
    ]

    job = take(database, *named)

    assert [each.name for each in list_items(database, job.id, limit=9)] == [
        "1.png",
        "0.png",
        "1.png",
        "0.png",
    ]
    held = take_objects(database, lease_s=60, patience_s=60)
    assert held is not None and (held.job_id, held.start, held.stop) == (job.id, 0, 4)
