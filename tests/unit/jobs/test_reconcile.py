from __future__ import annotations

from production_server.jobs.claim import claim, finish
from production_server.jobs.database import Database
from production_server.jobs.reconcile import expired_chunks, mark_unpublished, unpublished_chunks
from production_server.jobs.records import Chunk, Success
from production_server.jobs.submit import mark_published
from tests.unit.jobs.test_jobs import accept, lose_leases, must_take


def find_unpublished(
    database: Database, *, grace_s: float = 0, is_queue_empty: bool = True
) -> list[list[Chunk]]:
    found = unpublished_chunks(database, chunk_items=2, grace_s=grace_s, is_queue_empty=is_queue_empty)
    return [chunks for _, chunks in found]


def test_a_lost_workers_items_are_queued_again_as_chunks(database: Database) -> None:
    job = accept(database, 5)
    held = must_take(database, job)
    finish(database, held, [Success(index=2, label="yes", score=1.0, output=(0.0, 1.0), ms=1.0)])
    lose_leases(database, job)

    chunks = expired_chunks(database, chunk_items=2)

    assert chunks == [Chunk(job.id, 0, 2, "normal"), Chunk(job.id, 3, 5, "normal")]
    assert expired_chunks(database, chunk_items=2) == []


def test_a_lease_that_runs_is_left_alone_unless_its_holder_is_known_to_be_gone(database: Database) -> None:
    job = accept(database, 2)
    must_take(database, job)

    assert expired_chunks(database, chunk_items=2) == []
    assert expired_chunks(database, chunk_items=2, everything=True) == [Chunk(job.id, 0, 2, "normal")]


def test_a_job_that_never_reached_the_broker_is_published_once(database: Database) -> None:
    job = accept(database, 3)

    first = find_unpublished(database, is_queue_empty=False)

    assert first == [[Chunk(job.id, 0, 2, "normal"), Chunk(job.id, 2, 3, "normal")]]
    assert find_unpublished(database, is_queue_empty=False) == []


def test_a_job_that_is_just_being_published_is_left_alone(database: Database) -> None:
    accept(database, 1)

    assert find_unpublished(database, grace_s=60) == []


def test_an_empty_queue_means_that_waiting_items_are_forgotten(database: Database) -> None:
    job = accept(database, 1)
    mark_published(database, job.id)

    while_busy = find_unpublished(database, is_queue_empty=False)
    when_empty = find_unpublished(database, is_queue_empty=True)

    assert (while_busy, when_empty) == ([], [[Chunk(job.id, 0, 1, "normal")]])


def test_a_publication_that_failed_is_due_again(database: Database) -> None:
    job = accept(database, 1)
    find_unpublished(database)

    mark_unpublished(database, job.id)

    assert len(find_unpublished(database, is_queue_empty=False)) == 1


def test_items_that_are_running_or_done_are_not_published(database: Database) -> None:
    job = accept(database, 3)
    held = claim(database, job.id, 0, 2, lease_s=60, max_attempts=3)
    assert held is not None

    assert find_unpublished(database) == [[Chunk(job.id, 2, 3, "normal")]]
