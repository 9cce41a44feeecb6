"""What the dashboard's questions cost where many items are stored, and what counting them as they are stored costs."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from production_server.jobs.claim import claim, finish
from production_server.jobs.dashboard import SPANS, read_dashboard
from production_server.jobs.database import Database
from production_server.jobs.records import Failure, Job, NewObjects, Success
from production_server.jobs.search import Search, search
from production_server.jobs.series import Chosen
from production_server.jobs.submit import submit_objects
from production_server.storage.objects import Reference
from testing.postgres import find_postgres, postgres_cluster

JOB_ITEMS = 20_000
CHUNK_ITEMS = 256
PAGE = 50
TIMES = 7
COMMON_LABELS = 60
"""About how many of the thousand labels most items have."""


def measure(count: int, report: Callable[[str], None]) -> dict[str, Any]:
    """Milliseconds of each question, medians, on SQLite and PostgreSQL with `count` results of two models."""
    found: dict[str, Any] = {"items": count}
    for name, opened in (("SQLite", _sqlite), ("PostgreSQL", _postgresql)):
        with opened() as database:
            database.migrate()
            found[name] = {"stored_us_per_item": fill(database, count, report)}
            found[name] |= {f"{what}_ms": _median_ms(ask) for what, ask in questions(database, count).items()}
    return found


def fill(database: Database, count: int, report: Callable[[str], None]) -> float:
    """Store so many results as a scan and its workers do, one failed in a hundred; returns µs of `finish` for each."""
    chance, spent_s = random.Random(1), 0.0
    for start in range(0, count, JOB_ITEMS):
        job = _add_job(database, start, min(count, start + JOB_ITEMS))
        for first in range(0, job.total, CHUNK_ITEMS):
            held = claim(database, job.id, first, first + CHUNK_ITEMS, lease_s=60, max_attempts=3)
            assert held is not None
            results = [_result(chance, job.model, index) for index in held.indexes]
            begun = time.perf_counter()
            finish(database, held, results)
            spent_s += time.perf_counter() - begun
        report(f"{database}: {start + job.total} of {count} items")
    return spent_s / count * 1e6


def questions(database: Database, count: int) -> dict[str, Callable[[], object]]:
    """What the pages ask, and searches of the kinds that differ in how they are answered."""
    folder = f"s3://photos/{count // 2 // 10_000:03}/"

    def find(**wanted: Any) -> Callable[[], object]:
        return lambda: search(database, Search(**wanted), limit=PAGE)

    def look(span: str, **chosen: str) -> Callable[[], object]:
        return lambda: read_dashboard(database, SPANS[span], Chosen(**chosen))

    return {
        "dashboard of a day": look("day"),
        "dashboard of a year": look("year"),
        "dashboard of a model": look("day", model="few"),
        "latest": find(),
        "frequent label": find(label="label 1"),
        "rare label": find(label="label 900"),
        "failed": find(state="failed"),
        "score of a tenth": find(min_score=0.2, max_score=0.3),
        "nothing": find(label="nothing"),
        "bucket": find(key="s3://photos/"),
        "folder of 10,000": find(key=folder),
        "object": find(key=f"{folder}photo-{count // 2}.jpg"),
        "part of a name, once": find(key=f"photo-{count // 2}.jpg"),
    }


def _add_job(database: Database, start: int, stop: int) -> Job:
    model = "few" if start // JOB_ITEMS % 5 == 0 else "many"
    references = [
        Reference(f"s3://photos/{index // 10_000:03}/photo-{index}.jpg", f"{index:032x}", 10_000)
        for index in range(start, stop)
    ]
    job = submit_objects(
        database, NewObjects(model, "1", references, source="event", client="benchmark"), chunk_items=256
    )
    assert job is not None
    return job


def _result(chance: random.Random, model: str, index: int) -> Success | Failure:
    if chance.random() < 0.01:
        return Failure(index=index, error_code="not_an_image", error_message="file: expected an image")
    label = chance.randrange(10) if model == "few" else min(999, int(chance.expovariate(1 / COMMON_LABELS)))
    score = round(1 - 0.95 * chance.random() ** 2, 6)
    return Success(index=index, label=f"label {label}", score=score, output=((label, score),) * 5, ms=1.0)


def _median_ms(ask: Callable[[], object]) -> float:
    ask()
    times = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        ask()
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1e3


@contextmanager
def _sqlite() -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="celeriac-bench-") as folder:
        yield from _closed(Database(f"sqlite:///{folder}/jobs.sqlite3"))


@contextmanager
def _postgresql() -> Iterator[Database]:
    programs = find_postgres()
    if programs is None:
        raise RuntimeError("PostgreSQL must be installed: `make test` does that where it may")
    with postgres_cluster(programs) as cluster:
        cluster.add_database("bench")
        yield from _closed(Database(cluster.url("bench")))


def _closed(database: Database) -> Iterator[Database]:
    try:
        yield database
    finally:
        database.close()
