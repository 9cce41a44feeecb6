"""Promises of docs/architecture.md that jobs keep, on both databases."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import null, select

from production_server.errors import Conflict, NotFound
from production_server.jobs.cancel import cancel
from production_server.jobs.claim import claim, finish, give_back, give_up
from production_server.jobs.database import Database
from production_server.jobs.publication import chunks_of
from production_server.jobs.read import every_item, get_job, get_payload, get_payloads, list_items, list_jobs
from production_server.jobs.reconcile import freed_chunks, unpublished_chunks
from production_server.jobs.records import Chunk, Claim, Failure, Job, NewItem, NewJob, Success
from production_server.jobs.submit import submit
from production_server.jobs.tables import item
from production_server.models.tasks.task import Prediction


def new_job(count: int = 3, **changes: object) -> NewJob:
    told = {"model": "table", "version": "1", "source": "test", "client": "somebody"}
    items = [NewItem(f"[{n},1]".encode(), name=f"row {n}") for n in range(count)]
    return NewJob(**(told | {"items": items} | changes))  # type: ignore[arg-type]


def accept(database: Database, count: int = 3, **changes: object) -> Job:
    return submit(database, new_job(count, **changes))[0]


def take(database: Database, job: Job, *, lease_s: float = 60, max_attempts: int = 3) -> Claim | None:
    return claim(database, job.id, 0, job.total, lease_s=lease_s, max_attempts=max_attempts)


def must_take(database: Database, job: Job, **options: float) -> Claim:
    held = take(database, job, **options)  # type: ignore[arg-type]
    assert held is not None
    return held


def success(index: int) -> Success:
    return Success(index=index, label="yes", score=0.75, output=(0.25, 0.75), ms=1.5)


def lose_leases(database: Database, job: Job, *, chunk_items: int = 256) -> list[Chunk]:
    """Let the workers be found lost that hold items of a job; returns what is to be published."""
    with database.read() as connection:
        query = (
            select(item.c.lease_token).where(item.c.job_id == job.id, item.c.state == "running").distinct()
        )
        tokens = connection.execute(query).scalars().all()
    return freed_chunks(database, tokens, chunk_items=chunk_items)


def test_an_accepted_job_is_stored_with_its_items_in_order(database: Database) -> None:
    job = accept(database, 3)

    items = list(every_item(database, job.id, page=2))

    assert (job.state, job.total, job.done, job.id.version) == ("queued", 3, 0, 7)
    assert [(each.index, each.name, each.state) for each in items] == [
        (0, "row 0", "queued"), (1, "row 1", "queued"), (2, "row 2", "queued"),
    ]  # fmt: skip
    assert get_payload(database, job.id, 2) == b"[2,1]"
    assert get_payloads(database, job.id, after=0, limit=1) == [b"[1,1]"]


def test_a_job_that_does_not_exist_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound) as caught:
        get_job(database, UUID(int=0), whose=None)

    assert caught.value.code == "job_not_found"
    with pytest.raises(NotFound):
        get_payload(database, UUID(int=0), 0)


def test_jobs_are_listed_newest_first_in_keyset_pages(database: Database) -> None:
    jobs = [accept(database, 1, model=model) for model in ("a", "b", "a")]
    jobs.sort(key=lambda job: job.id, reverse=True)

    first = list_jobs(database, limit=2, whose=None)
    rest = list_jobs(database, after=first[-1].id, limit=2, whose=None)

    assert [job.id for job in first + rest] == [job.id for job in jobs]
    assert {job.model for job in list_jobs(database, model="a", limit=9, whose=None)} == {"a"}
    assert list_jobs(database, state="finished", limit=9, whose=None) == []


def test_the_same_idempotency_key_and_request_give_the_same_job(database: Database) -> None:
    first, is_first_new = submit(database, new_job(idempotency_key="k", request_digest="d"))

    second, is_second_new = submit(database, new_job(idempotency_key="k", request_digest="d"))

    assert (first.id, is_first_new, is_second_new) == (second.id, True, False)


def test_an_idempotency_key_with_another_request_is_a_conflict(database: Database) -> None:
    submit(database, new_job(idempotency_key="k", request_digest="d"))

    with pytest.raises(Conflict):
        submit(database, new_job(idempotency_key="k", request_digest="other"))


def test_an_idempotency_key_belongs_to_its_client(database: Database) -> None:
    first, _ = submit(database, new_job(idempotency_key="k", request_digest="d", client="one"))
    second, _ = submit(database, new_job(idempotency_key="k", request_digest="d", client="two"))

    assert first.id != second.id


def test_the_same_key_many_times_at_once_makes_one_job(database: Database) -> None:
    asked = new_job(idempotency_key="k", request_digest="d")
    together = threading.Barrier(4)

    def send(_: int) -> UUID:
        together.wait()
        return submit(database, asked)[0].id

    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(send, range(4)))

    assert len(ids) == 1


def test_a_claim_holds_all_waiting_items_and_their_inputs(database: Database) -> None:
    job = accept(database, 3)

    held = must_take(database, job)

    assert (held.indexes, held.inputs) == ((0, 1, 2), (b"[0,1]", b"[1,1]", b"[2,1]"))
    assert (held.model, held.version) == ("table", "1")
    assert take(database, job) is None
    assert get_job(database, job.id, whose=None).state == "running"


def test_results_are_stored_once_and_finish_the_job(database: Database) -> None:
    job = accept(database, 2)
    held = must_take(database, job)
    results: list[Success | Failure] = [
        success(0),
        Failure(index=1, error_code="inference_failed", error_message="why"),
    ]

    counts = finish(database, held, results), finish(database, held, results)

    done = get_job(database, job.id, whose=None)
    first, second = list_items(database, job.id, limit=9)
    assert counts == (2, 0)
    assert (done.state, done.succeeded, done.failed, done.is_over) == ("finished", 1, 1, True)
    assert done.finished_at is not None and done.finished_at >= done.created_at
    assert (first.label, first.score, first.output, first.ms) == ("yes", 0.75, (0.25, 0.75), 1.5)
    assert (second.state, second.error_code, second.error_message) == ("failed", "inference_failed", "why")


@pytest.mark.parametrize(
    "kept",
    [
        Prediction("b", 0.3, (0.05, 0.3, 0.1, 0.25, 0.05, 0.25)),
        Prediction("mug", 0.9, ((504, 0.9), (968, 0.05), (7, 0.0))),
        Prediction(None, 21.5, (21.5,)),
        Prediction(None, None, {"mask": [[0, 1], [1, 0]]}),
    ],
)
def test_a_prediction_is_read_as_the_task_had_it_stored(database: Database, kept: Prediction) -> None:
    job = accept(database, 2)
    result = Success(index=0, label=kept.label, score=kept.score, output=kept.output, ms=1)
    finish(database, must_take(database, job), [result])

    answered, waiting = list_items(database, job.id, limit=2)

    assert answered.prediction == kept
    assert (waiting.prediction, waiting.output) == (None, None)


def test_results_of_all_kinds_are_stored_together_in_whatever_order_they_come(database: Database) -> None:
    other, job = accept(database, 6), accept(database, 6)
    must_take(database, other)
    held = must_take(database, job)
    results: list[Success | Failure] = [
        Success(index=4, label=None, score=None, output=None, ms=0),
        Success(
            index=0,
            label='{"} \\N NULL, \n\u00e4\U0001f600',
            score=1,
            output={"a": [None, "\\", '"']},
            ms=0.1 + 0.2,
        ),
        Success(index=3, label="", score=-1e300, output=("NULL", 1.5), ms=2),
        Failure(index=1, error_code="inference_failed", error_message="why"),
        Success(index=2, label="NULL", score=5e-324, output=[], ms=1.5),
    ]

    assert finish(database, held, results) == 5

    stored = list_items(database, job.id, limit=9)
    assert [each.state for each in stored] == ["succeeded", "failed", *["succeeded"] * 3, "running"]
    for each in results:
        if isinstance(each, Success):
            found = stored[each.index]
            assert (found.label, found.score, found.ms) == (each.label, each.score, each.ms)
    assert [each.output for each in stored if each.state == "succeeded"] == [
        {"a": [None, "\\", '"']}, (), ("NULL", 1.5), None,
    ]  # fmt: skip
    with database.read() as connection:
        is_nothing = (item.c.job_id == job.id) & (item.c.state == "succeeded") & item.c.output.is_(null())
        assert connection.execute(select(item.c.idx).where(is_nothing)).scalars().all() == [4]
    assert {each.state for each in list_items(database, other.id, limit=9)} == {"running"}


@pytest.mark.parametrize("text", ["a\0b", "half a pair: \ud83d", "\\u0000 is none"])
def test_text_that_only_json_can_tell_is_kept_and_takes_nothing_from_its_neighbours(
    database: Database, text: str
) -> None:
    job = accept(database, 2)
    outputs: list[dict[str, Any]] = [{"told": [text, 2**64 - 1, -(2**63), 1e300]}, {"told": ["b"]}]
    results = [
        Success(index=place, label=None, score=None, output=output, ms=1)
        for place, output in enumerate(outputs)
    ]

    finish(database, must_take(database, job), results)

    assert [each.output for each in list_items(database, job.id, limit=9)] == [
        {"told": [text, 2**64 - 1, -(2**63), 1e300]},
        {"told": ["b"]},
    ]


def test_a_worker_that_lost_its_lease_changes_nothing(database: Database) -> None:
    job = accept(database, 1)
    slow = must_take(database, job)
    lose_leases(database, job)
    quick = must_take(database, job)

    late = finish(database, slow, [success(0)])
    in_time = finish(database, quick, [success(0)])

    assert (late, in_time, get_job(database, job.id, whose=None).succeeded) == (0, 1, 1)


def test_items_of_a_lost_worker_are_taken_one_by_one(database: Database) -> None:
    job = accept(database, 3)
    must_take(database, job)
    lose_leases(database, job)

    again = [must_take(database, job).indexes for _ in range(3)]

    assert again == [(0,), (1,), (2,)]
    assert take(database, job) is None


def test_an_item_that_kills_its_workers_fails_when_its_attempts_run_out(database: Database) -> None:
    job = accept(database, 2)
    for _ in range(2):
        must_take(database, job, max_attempts=2)
        lose_leases(database, job)
    neighbour = must_take(database, job, max_attempts=2)
    finish(database, neighbour, [success(1)])

    first, second = list_items(database, job.id, limit=9)

    assert (first.state, first.error_code) == ("failed", "worker_lost")
    assert second.state == "succeeded"
    assert get_job(database, job.id, whose=None).state == "finished"


def test_a_worker_that_stops_gives_back_what_it_had_without_an_attempt_lost(database: Database) -> None:
    job = accept(database, 3)
    held = must_take(database, job, max_attempts=1)
    finish(database, held, [success(0)])

    give_back(database, held)

    assert must_take(database, job, max_attempts=1).indexes == (1, 2)


def test_a_claim_is_renewed_for_what_is_left_of_it(database: Database) -> None:
    job = accept(database, 2)
    held = must_take(database, job)

    finish(database, held, [success(0)], renew_s=60)

    assert take(database, job) is None


def test_a_reason_that_concerns_all_items_sends_them_back_together_and_then_fails_them(
    database: Database,
) -> None:
    job = accept(database, 2)
    reason = {"max_attempts": 2, "error_code": "broken_version", "error_message": "why"}

    give_up(database, must_take(database, job, max_attempts=2), **reason)  # type: ignore[arg-type]
    second = must_take(database, job, max_attempts=2)
    give_up(database, second, **reason)  # type: ignore[arg-type]

    assert second.indexes == (0, 1)
    assert {(each.state, each.error_code) for each in every_item(database, job.id)} == {
        ("failed", "broken_version")
    }
    assert get_job(database, job.id, whose=None).state == "finished"


def test_cancelling_stops_what_waits_and_lets_what_runs_finish(database: Database) -> None:
    job = accept(database, 4)
    held = claim(database, job.id, 0, 2, lease_s=60, max_attempts=3)
    assert held is not None

    cancelled = cancel(database, job.id, whose=None)
    finish(database, held, [success(0), success(1)])

    after = get_job(database, job.id, whose=None)
    assert (cancelled.state, cancelled.cancelled, cancelled.is_over) == ("cancelled", 2, False)
    assert (after.state, after.succeeded, after.is_over) == ("cancelled", 2, True)
    assert take(database, job) is None


@pytest.mark.parametrize("is_lost", [False, True])
def test_what_a_worker_had_in_hand_when_its_job_was_cancelled_does_not_wait_for_ever(
    database: Database, is_lost: bool
) -> None:
    job = accept(database, 4)
    held = claim(database, job.id, 0, 2, lease_s=60, max_attempts=3)
    assert held is not None
    cancel(database, job.id, whose=None)
    if is_lost:
        assert lose_leases(database, job, chunk_items=9) == [Chunk(job.id, 0, 2, "high")]
    else:
        give_back(database, held)

    found = list(unpublished_chunks(database, chunk_items=9, grace_s=0, is_queue_empty=True))
    taken = take(database, job)

    after = get_job(database, job.id, whose=None)
    assert found == [(job.id, [Chunk(job.id, 0, 2, "high")])]
    assert taken is None
    assert (after.state, after.cancelled, after.is_over) == ("cancelled", 4, True)
    assert not list(unpublished_chunks(database, chunk_items=9, grace_s=0, is_queue_empty=True))


def test_cancelling_a_finished_job_changes_nothing(database: Database) -> None:
    job = accept(database, 1)
    finish(database, must_take(database, job), [success(0)])

    assert cancel(database, job.id, whose=None).state == "finished"


def test_claims_at_the_same_time_never_share_an_item(database: Database) -> None:
    job = accept(database, 40)
    together = threading.Barrier(4)

    def work(_: int) -> list[int]:
        together.wait()
        mine: list[int] = []
        for start in range(0, 40, 10):
            held = claim(database, job.id, start, start + 10, lease_s=60, max_attempts=3)
            if held is not None:
                finish(database, held, [success(index) for index in held.indexes])
                mine += held.indexes
        return mine

    with ThreadPoolExecutor(4) as pool:
        taken = [index for indexes in pool.map(work, range(4)) for index in indexes]

    assert sorted(taken) == list(range(40))
    assert get_job(database, job.id, whose=None).succeeded == 40


def test_small_jobs_travel_ahead_of_bulk_ones(database: Database) -> None:
    small, bulk = accept(database, 1), accept(database, 40)
    urgent = accept(database, 40, priority="high")

    priorities = [{chunk.priority for chunk in chunks_of(job, 16)} for job in (small, bulk, urgent)]

    assert priorities == [{"high"}, {"normal"}, {"high"}]
    assert [(chunk.start, chunk.stop) for chunk in chunks_of(bulk, 16)] == [(0, 16), (16, 32), (32, 40)]


def test_a_reason_that_holds_what_cannot_be_stored_stops_none_of_its_neighbours(database: Database) -> None:
    job = accept(database, 2)
    held = must_take(database, job)
    failure = Failure(index=0, error_code="not_an_image", error_message="a\0b\udce9.png is none")

    finish(database, held, [failure, success(1)])

    items = list(every_item(database, job.id))
    assert [each.state for each in items] == ["failed", "succeeded"]
    assert items[0].error_message == "a\\0b\\udce9.png is none"
