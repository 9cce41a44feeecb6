from __future__ import annotations

from uuid import uuid4

from alembic import command
from alembic.config import Config
from sqlalchemy import update

from production_server.jobs import tables
from production_server.jobs.claim import claim, finish
from production_server.jobs.database import Database
from production_server.jobs.publication import mark_published, mark_unpublished
from production_server.jobs.read import get_job
from production_server.jobs.reconcile import freed_chunks, unpublished_chunks
from production_server.jobs.records import Chunk, NewObjects, Success
from production_server.jobs.schema import MIGRATIONS
from production_server.jobs.submit import submit_objects
from production_server.storage.objects import Reference
from tests.unit.jobs.test_jobs import accept, lose_leases, must_take, success


def find_unpublished(
    database: Database, *, grace_s: float = 0, is_queue_empty: bool = True
) -> list[list[Chunk]]:
    found = unpublished_chunks(database, chunk_items=2, grace_s=grace_s, is_queue_empty=is_queue_empty)
    return [chunks for _, chunks in found]


def test_a_lost_workers_items_are_queued_again_as_chunks(database: Database) -> None:
    job = accept(database, 5)
    held = must_take(database, job)
    finish(database, held, [Success(index=2, label="yes", score=1.0, output=(0.0, 1.0), ms=1.0)])

    chunks = lose_leases(database, job, chunk_items=2)

    assert chunks == [Chunk(job.id, 0, 2, "high"), Chunk(job.id, 3, 5, "high")]
    assert lose_leases(database, job, chunk_items=2) == []


def test_a_lease_that_runs_is_left_alone_unless_its_holder_is_known_to_be_gone(database: Database) -> None:
    job = accept(database, 2)
    must_take(database, job)

    assert freed_chunks(database, [uuid4()], chunk_items=2) == []
    assert freed_chunks(database, None, chunk_items=2) == [Chunk(job.id, 0, 2, "high")]


def test_a_job_that_never_reached_the_broker_is_published_once(database: Database) -> None:
    job = accept(database, 3)

    first = find_unpublished(database, is_queue_empty=False)

    assert first == [[Chunk(job.id, 0, 2, "high"), Chunk(job.id, 2, 3, "high")]]
    assert find_unpublished(database, is_queue_empty=False) == []


def test_a_job_that_is_just_being_published_is_left_alone(database: Database) -> None:
    accept(database, 1)

    assert find_unpublished(database, grace_s=60) == []


def test_an_empty_queue_means_that_waiting_items_are_forgotten(database: Database) -> None:
    job = accept(database, 1)
    mark_published(database, job.id)

    while_busy = find_unpublished(database, is_queue_empty=False)
    when_empty = find_unpublished(database, is_queue_empty=True)

    assert (while_busy, when_empty) == ([], [[Chunk(job.id, 0, 1, "high")]])


def test_a_publication_that_failed_is_due_again(database: Database) -> None:
    job = accept(database, 1)
    find_unpublished(database)

    mark_unpublished(database, job.id)

    assert len(find_unpublished(database, is_queue_empty=False)) == 1


def test_items_that_are_running_or_done_are_not_published(database: Database) -> None:
    job = accept(database, 3)
    held = claim(database, job.id, 0, 2, lease_s=60, max_attempts=3)
    assert held is not None

    assert find_unpublished(database) == [[Chunk(job.id, 2, 3, "high")]]


def test_a_small_job_keeps_its_place_before_bulk_ones_when_it_is_published_again(database: Database) -> None:
    small, bulk = accept(database, 1), accept(database, 40)
    lost = accept(database, 2)
    must_take(database, lost)
    lost_chunks = lose_leases(database, lost, chunk_items=2)

    again = {chunk.job_id: chunk.priority for chunks in find_unpublished(database) for chunk in chunks}
    after_loss = {chunk.priority for chunk in lost_chunks}

    assert (again[small.id], again[bulk.id], after_loss) == ("high", "normal", {"high"})
    assert (small.priority, small.effective_priority) == ("normal", "high")


def test_a_job_of_a_release_that_decided_nothing_travels_as_it_was_asked_for(database: Database) -> None:
    job = accept(database, 1, priority="normal")
    with database.write() as connection:
        connection.execute(update(tables.job).values(effective_priority=None))

    ((chunk,),) = find_unpublished(database)

    assert (chunk.job_id, chunk.priority) == (job.id, "normal")


def test_few_objects_that_a_bucket_tells_of_travel_as_a_small_job(database: Database) -> None:
    seen = [Reference(f"s3://photos/{number}", "1", 5) for number in range(18)]
    few = submit_objects(
        database, NewObjects("picture", "1", seen[:10], source="event", client="c"), chunk_items=256
    )
    fewer = submit_objects(
        database, NewObjects("picture", "1", seen, source="event", client="c"), chunk_items=256
    )
    many = submit_objects(
        database, NewObjects("picture", "2", seen, source="event", client="c"), chunk_items=256
    )

    assert few is not None and fewer is not None and many is not None
    assert [job.effective_priority for job in (few, fewer, many)] == ["high", "high", "normal"]


def test_the_migration_decides_for_jobs_that_are_not_over(database: Database) -> None:
    small, bulk, over = accept(database, 2), accept(database, 40), accept(database, 1)
    finish(database, must_take(database, over), [success(0)])
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0003")

    database.migrate()

    decided = [get_job(database, job.id, whose=None).effective_priority for job in (small, bulk, over)]
    assert decided == ["high", "normal", "normal"]


def test_what_a_reconciler_took_and_did_not_publish_is_due_again(database: Database) -> None:
    jobs = {accept(database, 1).id, accept(database, 1).id}
    found = unpublished_chunks(database, chunk_items=2, grace_s=0, is_queue_empty=False)
    next(found)

    again = {chunk.job_id for chunks in find_unpublished(database, is_queue_empty=False) for chunk in chunks}

    assert again == jobs


def test_lost_items_that_could_not_be_published_are_due_again(database: Database) -> None:
    job = accept(database, 5)
    mark_published(database, job.id)
    claim(database, job.id, 2, 4, lease_s=60, max_attempts=3)
    lose_leases(database, job, chunk_items=2)

    assert find_unpublished(database, is_queue_empty=False) == [
        [Chunk(job.id, 2, 4, "high"), Chunk(job.id, 4, 5, "high")]
    ]
