"""Objects are fetched beside the threads that run models; what does not come waits, and keeps nothing else waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import update

from production_server.errors import StorageUnavailable
from production_server.inference import Engine
from production_server.jobs.away import Waiting, waiting_for
from production_server.jobs.cancel import cancel
from production_server.jobs.database import Database, now
from production_server.jobs.read import every_item, get_job
from production_server.jobs.records import Job, NewObjects
from production_server.jobs.submit import submit_objects
from production_server.jobs.tables import away_bucket, object_chunk
from production_server.models.registry import Registry
from production_server.settings import read_settings
from production_server.storage import remote
from production_server.storage.objects import Reference
from production_server.storage.storage import Storage
from production_server.worker import inputs
from production_server.worker.chunks import ChunkProcessor
from production_server.worker.fetching import Fetcher
from production_server.worker.inputs import Inputs
from testing.odd_store import Answer, Answering, drips, odd_store, only
from testing.processes import wait_until
from testing.s3 import S3
from tests.unit.test_inference import png

DARK = png(0)


class Buckets(Storage):
    """Buckets whose objects are dark pictures; `answers` says what becomes of each that is asked for."""

    def __init__(self) -> None:
        super().__init__(read_settings(SETTINGS).storage_allow)
        self.answers: Callable[[str], bytes] = lambda _url: DARK
        self.asked: list[str] = []

    def fetch(self, reference: Reference, *, max_bytes: int) -> bytes:
        self.asked.append(reference.url)
        return self.answers(reference.url)


SETTINGS = {
    "STORAGE_ALLOW": " ".join(
        [
            "s3://good",
            "s3://away",
            "s3://slow",
            "file:///photos",
            *(f"s3://silent{number}" for number in range(8)),
        ]
    ),
    "BATCH_ITEMS": "4",
    "FETCHES": "4",
    "FETCHERS": "4",
    "STORAGE_PATIENCE_S": "600",
}


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "PAUSES_S", ())


@pytest.fixture
def storage() -> Buckets:
    return Buckets()


@pytest.fixture
def fetcher(sqlite_database: Database, small_registry: Registry, storage: Buckets) -> Iterator[Fetcher]:
    made = fetcher_of(sqlite_database, small_registry, storage)
    yield made
    made.stopping.set()
    made.close()


def fetcher_of(database: Database, registry: Registry, storage: Storage, **changes: str) -> Fetcher:
    settings, stopping = read_settings(SETTINGS | changes), threading.Event()
    brings = Inputs(storage, settings, stopping)
    processor = ChunkProcessor(database, Engine(registry, threads=1), settings, brings, stopping=stopping)
    return Fetcher(database, processor, settings, stopping)


def submit(database: Database, bucket: str, count: int = 3, *, chunk_items: int = 256) -> Job:
    references = [Reference(f"s3://{bucket}/{number}.png") for number in range(count)]
    new = NewObjects("picture", "1", references, source="test", client="c")
    job = submit_objects(database, new, chunk_items=chunk_items)
    assert job is not None
    return job


def states(database: Database, job: Job) -> list[str]:
    return [item.label or item.error_code or item.state for item in every_item(database, job.id)]


def work_off(fetcher: Fetcher) -> None:
    while fetcher.work_next():
        pass


def let_time_pass(database: Database, seconds: float = 1000.0) -> None:
    """As if all that is noted had been noted so long ago."""
    earlier: dict[Any, tuple[str, ...]] = {
        object_chunk: ("created_at", "missing_since", "lease_until"),
        away_bucket: ("since", "next_try_at", "lease_until"),
    }
    with database.write() as connection:
        for table, names in earlier.items():
            connection.execute(update(table).values({name: table.c[name] - seconds for name in names}))


def let_pause_pass(database: Database) -> None:
    with database.write() as connection:
        connection.execute(update(away_bucket).values(next_try_at=now() - 1))
        connection.execute(update(object_chunk).values(lease_until=None))


def no_answer(_url: str) -> bytes:
    raise StorageUnavailable("no answer")


def test_objects_are_fetched_and_classified(fetcher: Fetcher) -> None:
    job = submit(fetcher.database, "good", 10, chunk_items=4)

    work_off(fetcher)

    assert states(fetcher.database, job) == ["dark"] * 10
    assert get_job(fetcher.database, job.id, whose=None).state == "finished"


def test_a_bucket_that_does_not_answer_is_asked_for_one_object_and_all_that_lies_there_waits(
    fetcher: Fetcher, storage: Buckets
) -> None:
    storage.answers = no_answer
    jobs = [submit(fetcher.database, "away", 20, chunk_items=10) for _ in range(1)]
    jobs += [submit(fetcher.database, "slow")]
    work_off(fetcher)
    let_pause_pass(fetcher.database)
    storage.asked.clear()

    work_off(fetcher)

    assert sorted(url.partition("/")[2].split("/")[1] for url in storage.asked) == ["away", "slow"]
    assert [set(states(fetcher.database, job)) for job in jobs] == [{"queued"}] * 2


def test_what_waits_says_for_which_bucket_and_when_it_is_asked_again(
    fetcher: Fetcher, storage: Buckets
) -> None:
    storage.answers = no_answer
    job = submit(fetcher.database, "away")

    work_off(fetcher)
    first = waiting_for(fetcher.database, [job.id])[job.id]
    let_pause_pass(fetcher.database)
    work_off(fetcher)
    second = waiting_for(fetcher.database, [job.id])[job.id]

    assert (first.bucket, first.message) == ("s3://away", "no answer")
    # The pause grows: from now on one second, then two.
    assert first.next_try_at is not None and second.next_try_at is not None
    assert second.next_try_at - first.next_try_at > 0.5


def test_while_a_bucket_is_asked_again_what_waits_tells_no_time_that_is_over(
    fetcher: Fetcher, storage: Buckets
) -> None:
    seen: list[Waiting] = []

    def look(url: str) -> bytes:
        seen.extend(waiting_for(fetcher.database, [job.id]).values())
        return no_answer(url)

    storage.answers = no_answer
    job = submit(fetcher.database, "away")
    work_off(fetcher)
    let_pause_pass(fetcher.database)
    storage.answers = look
    due = waiting_for(fetcher.database, [job.id])[job.id]

    work_off(fetcher)

    assert [(each.message, each.next_try_at) for each in [due, *seen]] == [("no answer", None)] * 2
    assert waiting_for(fetcher.database, [job.id])[job.id].next_try_at


def test_when_a_bucket_answers_again_all_that_waits_is_fetched_at_once(
    fetcher: Fetcher, storage: Buckets
) -> None:
    storage.answers = no_answer
    job = submit(fetcher.database, "away", 20, chunk_items=5)
    work_off(fetcher)
    let_pause_pass(fetcher.database)
    storage.answers = lambda _url: DARK

    work_off(fetcher)

    assert states(fetcher.database, job) == ["dark"] * 20
    assert waiting_for(fetcher.database, [job.id]) == {}


def test_while_one_bucket_is_away_anothers_objects_are_classified(fetcher: Fetcher, storage: Buckets) -> None:
    storage.answers = lambda url: no_answer(url) if "away" in url else DARK
    away = submit(fetcher.database, "away", 100, chunk_items=1)
    good = submit(fetcher.database, "good", 20, chunk_items=5)

    work_off(fetcher)

    assert states(fetcher.database, good) == ["dark"] * 20
    assert set(states(fetcher.database, away)) == {"queued"}


def test_what_never_comes_fails_when_patience_is_over_and_counts_no_attempts_before(
    fetcher: Fetcher, storage: Buckets
) -> None:
    storage.answers = no_answer
    job = submit(fetcher.database, "away", 20, chunk_items=5)
    for _ in range(5):
        work_off(fetcher)
        let_pause_pass(fetcher.database)
    before = states(fetcher.database, job)

    let_time_pass(fetcher.database)
    work_off(fetcher)

    assert set(before) == {"queued"}
    assert states(fetcher.database, job) == ["storage_unavailable"] * 20
    assert get_job(fetcher.database, job.id, whose=None).state == "finished"
    assert next(every_item(fetcher.database, job.id)).error_message == (
        "its bucket has not answered about it for 600 s; at last: no answer"
    )


def test_what_is_told_of_a_bucket_that_is_long_away_has_its_own_patience(
    fetcher: Fetcher, storage: Buckets
) -> None:
    storage.answers = no_answer
    submit(fetcher.database, "away", 1)
    work_off(fetcher)
    let_time_pass(fetcher.database)
    work_off(fetcher)
    references = [Reference("s3://away/new.png")]
    new = NewObjects("picture", "1", references, source="test", client="c")
    late = submit_objects(fetcher.database, new, chunk_items=256)
    assert late is not None

    let_pause_pass(fetcher.database)
    work_off(fetcher)

    assert states(fetcher.database, late) == ["queued"]


def test_a_bucket_that_was_away_while_nobody_asked_is_asked_before_anything_fails(
    fetcher: Fetcher, storage: Buckets
) -> None:
    storage.answers = no_answer
    job = submit(fetcher.database, "away", 20, chunk_items=5)
    work_off(fetcher)
    storage.answers = lambda _url: DARK

    let_time_pass(fetcher.database)
    work_off(fetcher)

    assert states(fetcher.database, job) == ["dark"] * 20


@pytest.mark.parametrize("odd", [["0.png"], [f"{number}.png" for number in range(40)]], ids=["one", "many"])
def test_objects_that_never_come_keep_none_of_their_neighbours_from_coming(
    fetcher: Fetcher, storage: Buckets, odd: list[str]
) -> None:
    storage.answers = lambda url: no_answer(url) if url.rpartition("/")[2] in odd else DARK
    job = submit(fetcher.database, "good", 60)

    for _ in range(6):
        work_off(fetcher)
        let_pause_pass(fetcher.database)
    waits = waiting_for(fetcher.database, [job.id])
    let_time_pass(fetcher.database)
    work_off(fetcher)
    let_time_pass(fetcher.database)
    work_off(fetcher)

    expected = ["storage_unavailable" if f"{n}.png" in odd else "dark" for n in range(60)]
    assert states(fetcher.database, job) == expected
    assert waits[job.id].message == "no answer"


def test_a_bucket_that_does_not_answer_has_no_more_than_its_share_of_the_threads(
    fetcher: Fetcher, storage: Buckets
) -> None:
    released = threading.Event()

    def answer(url: str) -> bytes:
        if "slow" in url:
            released.wait()
        return DARK

    storage.answers = answer
    slow = submit(fetcher.database, "slow", 40, chunk_items=4)
    fetcher.look()
    good = submit(fetcher.database, "good", 40, chunk_items=4)

    wait_until(
        lambda: fetcher.look() or get_job(fetcher.database, good.id, whose=None).state == "finished",
        what="it is over",
    )

    assert "dark" not in states(fetcher.database, slow)
    released.set()
    wait_until(
        lambda: fetcher.look() or get_job(fetcher.database, slow.id, whose=None).state == "finished",
        what="it is over",
    )


@pytest.mark.parametrize("fetchers", [1, 2, 4, 8])
def test_while_many_buckets_that_have_never_answered_hang_a_folder_and_one_that_has_are_fetched(
    sqlite_database: Database, small_registry: Registry, storage: Buckets, fetchers: int
) -> None:
    released = threading.Event()

    def answer(url: str) -> bytes:
        if "silent" in url:
            released.wait()
            return no_answer(url)
        return DARK

    storage.answers = answer
    fetcher = fetcher_of(sqlite_database, small_registry, storage, FETCHERS=str(fetchers))
    first = submit(sqlite_database, "good")
    work_off(fetcher)
    silent = [submit(sqlite_database, f"silent{number}", chunk_items=1) for number in range(8)]
    fetcher.look()
    later = [submit_folder(sqlite_database, 20)]
    if fetchers > 2:
        references = [Reference(f"s3://good/later{number}.png") for number in range(20)]
        new = NewObjects("picture", "1", references, source="test", client="c")
        job = submit_objects(sqlite_database, new, chunk_items=4)
        assert job is not None
        later.append(job)

    wait_until(
        lambda: (
            fetcher.look()
            or all(get_job(sqlite_database, job.id, whose=None).state == "finished" for job in later)
        ),
        what="it is over",
    )

    assert states(sqlite_database, first) == ["dark"] * 3
    assert {state for job in silent for state in states(sqlite_database, job)} <= {"queued", "running"}
    may_hang = max(1, fetchers // 2)
    wait_until(lambda: sum("silent" in url for url in storage.asked) == may_hang, what="as many hang as may")
    fetcher.stopping.set()
    released.set()
    fetcher.close()


def submit_folder(database: Database, count: int) -> Job:
    references = [Reference(f"file:///photos/{number}.png") for number in range(count)]
    new = NewObjects("picture", "1", references, source="test", client="c")
    job = submit_objects(database, new, chunk_items=4)
    assert job is not None
    return job


def test_what_is_cancelled_is_not_fetched(fetcher: Fetcher, storage: Buckets) -> None:
    job = submit(fetcher.database, "good")
    cancel(fetcher.database, job.id, whose=None)

    assert not fetcher.work_next()
    assert (storage.asked, states(fetcher.database, job)) == ([], ["cancelled"] * 3)


def test_a_stop_gives_back_what_is_fetched(fetcher: Fetcher, storage: Buckets) -> None:
    def stop(url: str) -> bytes:
        fetcher.stopping.set()
        return no_answer(url)

    storage.answers = stop
    job = submit(fetcher.database, "good")

    fetcher.work_next()

    assert states(fetcher.database, job) == ["queued"] * 3
    assert waiting_for(fetcher.database, [job.id]) == {}
    fetcher.stopping.clear()
    storage.answers = lambda _url: DARK
    work_off(fetcher)
    assert states(fetcher.database, job) == ["dark"] * 3


def fails(answering: Answering) -> None:
    answering.begin(500, Content_Length="0")


@pytest.mark.parametrize(
    ("odd", "timeout_s", "code"),
    # Who fails is asked several times, which a busy machine may take longer for.
    [(drips, 3, "object_too_slow"), (fails, 60, "storage_unavailable")],
)
def test_an_object_that_does_not_come_holds_up_no_other_for_long(
    sqlite_database: Database,
    small_registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    odd: Answer,
    timeout_s: float,
    code: str,
) -> None:
    with odd_store(only("0.png", odd, DARK)) as store:
        for name, value in S3(store.url).environ.items():
            monkeypatch.setenv(name, value)
        real = Storage(read_settings(SETTINGS).storage_allow)
        # What speaks to stores is imported, which may take seconds.
        real.fetch(Reference("s3://good/warm.png"), max_bytes=10**6)
        monkeypatch.setattr(remote, "ANSWER_TIMEOUT_S", timeout_s)
        fetcher = fetcher_of(sqlite_database, small_registry, real, STORAGE_PATIENCE_S="0")
        job = submit(sqlite_database, "good", 12)

        work_off(fetcher)
        first = states(sqlite_database, job)
        let_time_pass(sqlite_database)
        work_off(fetcher)
        fetcher.stopping.set()
        fetcher.close()
        real.close()

    assert first[1:] == ["dark"] * 11
    assert states(sqlite_database, job) == [code] + ["dark"] * 11
    assert (get_job(sqlite_database, job.id, whose=None).state, fetcher.processor.items_done) == (
        "finished",
        12 if code == "object_too_slow" else 11,
    )
    # Of those that came nobody asked for again.
    assert sum(path.endswith("/1.png") for path in store.asked) == 1
