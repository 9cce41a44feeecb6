from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import delete, update

from production_server.broker.local_queue import LocalQueue
from production_server.inference import Engine
from production_server.jobs.claim import claim
from production_server.jobs.database import Database
from production_server.jobs.leases import Watch
from production_server.jobs.object_chunks import take
from production_server.jobs.read import every_item, get_job
from production_server.jobs.records import Chunk, Job, NewItem, NewJob, NewObjects, Priority
from production_server.jobs.submit import submit, submit_objects
from production_server.jobs.tables import job as table_of_jobs
from production_server.jobs.tables import object_chunk
from production_server.models.decoding import room_for
from production_server.models.registry import Registry
from production_server.settings import Settings, read_settings
from production_server.storage.objects import Reference
from production_server.storage.storage import Storage
from production_server.worker import chunks
from production_server.worker.chunks import ChunkProcessor
from production_server.worker.inputs import Inputs
from testing.image_files import saved
from testing.small_models import write_slow_model
from tests.unit.test_inference import png


def chunk_processor(database: Database, registry: Registry, settings: Settings) -> ChunkProcessor:
    stopping = threading.Event()
    inputs = Inputs(Storage(settings.storage_allow), settings, stopping)
    return ChunkProcessor(database, Engine(registry, threads=1), settings, inputs, stopping=stopping)


@pytest.fixture
def processor(sqlite_database: Database, small_registry: Registry) -> ChunkProcessor:
    settings = read_settings({"BATCH_ITEMS": "4", "MAX_ATTEMPTS": "2"})
    return chunk_processor(sqlite_database, small_registry, settings)


def accept(
    database: Database, payloads: list[bytes], model: str = "table", *, priority: Priority = "normal"
) -> Job:
    items = [NewItem(payload) for payload in payloads]
    new = NewJob(model=model, version="1", items=items, source="test", client="c", priority=priority)
    return submit(database, new)[0]


def states(database: Database, job: Job) -> list[str]:
    return [item.label or item.error_code or item.state for item in every_item(database, job.id)]


def test_a_chunk_is_worked_off_and_stored(processor: ChunkProcessor) -> None:
    job = accept(processor.database, [b"[0,1]", b"[9,1]"] * 5)

    is_done = processor.run(job.id, 0, 10)

    assert is_done
    assert states(processor.database, job) == ["no", "yes"] * 5
    assert (get_job(processor.database, job.id, whose=None).state, processor.items_done) == ("finished", 10)


def test_of_a_model_with_many_labels_an_item_keeps_the_best_ones(processor: ChunkProcessor) -> None:
    job = accept(processor.database, [png(0)], model="shades")

    processor.run(job.id, 0, 1)

    (item,) = every_item(processor.database, job.id)
    assert (item.label, [place for place, _ in item.output]) == ("shade 0", [0, 1, 2])


def test_a_chunk_that_comes_again_changes_nothing(processor: ChunkProcessor) -> None:
    job = accept(processor.database, [b"[0,1]"])

    assert [processor.run(job.id, 0, 1) for _ in range(3)] == [True] * 3
    assert (get_job(processor.database, job.id, whose=None).succeeded, processor.items_done) == (1, 1)


def test_a_poisoned_item_fails_with_a_reason_and_its_neighbours_succeed(processor: ChunkProcessor) -> None:
    job = accept(processor.database, [b"[0,1]", b"[10,1]", b"[9,1]"])

    processor.run(job.id, 0, 3)

    assert states(processor.database, job) == ["no", "inference_failed", "yes"]
    assert get_job(processor.database, job.id, whose=None).failed == 1


def test_a_model_that_is_not_there_fails_after_its_attempts_and_not_at_once(
    processor: ChunkProcessor,
) -> None:
    job = accept(processor.database, [b"[0,1]"] * 3, model="nowhere")

    first = (
        processor.run(job.id, 0, 3),
        states(processor.database, job),
        get_job(processor.database, job.id, whose=None).state,
    )
    second = (
        processor.run(job.id, 0, 3),
        states(processor.database, job),
        get_job(processor.database, job.id, whose=None).state,
    )

    assert first == (True, ["model_not_found"] * 3, "running")
    assert second == (True, ["model_not_found"] * 3, "finished")


def test_items_that_somebody_else_holds_are_left_to_them(processor: ChunkProcessor) -> None:
    job = accept(processor.database, [b"[0,1]"] * 4)
    claim(processor.database, job.id, 0, 2, lease_s=60, max_attempts=2)

    processor.run(job.id, 0, 4)

    assert states(processor.database, job) == ["running", "running", "no", "no"]


def test_a_job_that_does_not_exist_is_nothing_to_do(processor: ChunkProcessor) -> None:
    job = accept(processor.database, [b"[0,1]"])

    assert processor.run(type(job.id)(int=7), 0, 1)


def test_a_stop_ends_after_the_batch_in_hand_and_gives_the_rest_back(
    sqlite_database: Database, tmp_path: Path
) -> None:
    write_slow_model(tmp_path / "store", turns=100_000)
    settings = read_settings({"BATCH_ITEMS": "1", "MAX_ATTEMPTS": "1"})
    processor = chunk_processor(sqlite_database, Registry([tmp_path / "store"]), settings)
    job = accept(sqlite_database, [b"[0,1]"] * 200, model="slow")
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(processor.run(job.id, 0, 200)))

    thread.start()
    while get_job(sqlite_database, job.id, whose=None).state == "queued":
        threading.Event().wait(0.005)
    processor.stopping.set()
    thread.join(30)

    after = get_job(sqlite_database, job.id, whose=None)
    assert answers == [False]
    assert 0 < after.succeeded < 200
    assert states(sqlite_database, job).count("queued") == 200 - after.succeeded
    processor.stopping.clear()
    assert processor.run(job.id, after.succeeded, after.succeeded + 1), "no attempt was lost by stopping"
    assert get_job(sqlite_database, job.id, whose=None).succeeded == after.succeeded + 1


@pytest.mark.parametrize("priority", ["normal", "high"])
def test_a_chunk_that_takes_long_gives_its_thread_back_and_what_is_left_comes_again(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, priority: Priority
) -> None:
    write_slow_model(tmp_path / "store", turns=10_000)
    settings = read_settings({"BATCH_ITEMS": "1", "MAX_ATTEMPTS": "1"})
    processor = chunk_processor(sqlite_database, Registry([tmp_path / "store"]), settings)
    processor.publisher = queue = LocalQueue()
    monkeypatch.setattr(chunks, "TURN_S", 0.0)
    job = accept(sqlite_database, [b"[0,1]"] * 3, model="slow", priority=priority)

    assert processor.run(job.id, 0, 3)

    message = queue.take()
    assert message is not None
    assert message.chunk == Chunk(job.id, 1, 3, priority)
    assert states(sqlite_database, job)[1:] == ["queued"] * 2
    assert processor.run(job.id, 1, 3)
    assert processor.run(job.id, 2, 3), "no attempt was lost"
    assert get_job(sqlite_database, job.id, whose=None).succeeded == 3


def test_an_image_for_which_there_is_no_memory_comes_again(
    processor: ChunkProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "TURN_S", 0.05)
    processor.publisher = queue = LocalQueue()
    # A small plain PNG would not ask for any.
    files = [saved(np.full((4, 4), shade, np.uint8), "BMP") for shade in (0, 255)]
    job = accept(processor.database, files, model="shades")

    with room_for(2**40):
        assert processor.run(job.id, 0, 2)

    assert states(processor.database, job) == ["queued"] * 2
    message = queue.take()
    assert message is not None
    assert (message.chunk.start, message.chunk.stop) == (0, 2)
    monkeypatch.undo()
    assert processor.run(job.id, 0, 2)
    assert get_job(processor.database, job.id, whose=None).succeeded == 2


def test_a_batch_may_take_longer_than_its_lease(sqlite_database: Database, tmp_path: Path) -> None:
    write_slow_model(tmp_path / "store", turns=1_000_000)
    processor = chunk_processor(sqlite_database, Registry([tmp_path / "store"]), read_settings({}))
    job = accept(sqlite_database, [b"[0,1]"] * 3, model="slow")
    thread = threading.Thread(target=processor.run, args=(job.id, 0, 3))

    thread.start()
    while get_job(sqlite_database, job.id, whose=None).state == "queued":
        threading.Event().wait(0.005)
    times = iter(range(0, 1000, 10))
    watch = Watch(30, clock=lambda: next(times))
    lost = []
    for _ in range(6):
        processor.renew_leases()
        lost.append(watch.lost(sqlite_database))
    thread.join(60)

    assert lost == [frozenset()] * 6
    assert get_job(sqlite_database, job.id, whose=None).succeeded == 3


def test_a_message_of_objects_lets_them_wait_for_who_fetches(
    processor: ChunkProcessor, tmp_path: Path
) -> None:
    references = [Reference(f"file://{tmp_path}/{number}.png") for number in range(3)]
    new = NewObjects("picture", "1", references, source="test", client="c")
    job = submit_objects(processor.database, new, chunk_items=256)
    assert job is not None
    forget_chunks(processor.database)  # As a release left it that sent messages of objects, too.

    assert processor.run(job.id, 0, 3)

    chunk = take(processor.database, lease_s=60, patience_s=60)
    assert states(processor.database, job) == ["queued"] * 3
    assert chunk is not None
    assert (chunk.job_id, chunk.start, chunk.stop, chunk.bucket) == (job.id, 0, 3, "file://")
    assert processor.run(job.id, 0, 3)
    assert take(processor.database, lease_s=60, patience_s=60) is None


def forget_chunks(database: Database) -> None:
    with database.write() as connection:
        connection.execute(delete(object_chunk))
        connection.execute(update(table_of_jobs).values(of_objects=False))
