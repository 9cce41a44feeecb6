"""What a prediction costs as the work grows: with more workers, and with more items."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from benchmarks.bulk import until_over
from benchmarks.inputs import ROW
from benchmarks.memory import descendants, peak_mib, reset_peak
from benchmarks.processor import used_s
from benchmarks.services import embedded, over_rabbitmq
from benchmarks.tables import number, table
from production_server.worker.parts import MODEL_THREADS
from testing.celeriac import ROOT, Celeriac
from testing.processes import wait_until

WORKERS = (1, 2, 4)
SLOW_MS = 20
"""What a row takes beside the model's own time: slept, so that the cores are not what more workers lack."""
SLOW_ITEMS = 1_000
"""For each worker."""
SLOW_CHUNK = 32
"""A chunk ends within a second, and no worker has much more to do at the end than others."""
PER_JOB = 100_000
"""The service's default of what a job may have; more items are more jobs."""
LIMIT_S = 120


def measure(rounds: int, most: int, report: Callable[[str], None]) -> dict[str, Any]:
    """Rows of `diabetes`: with slow workers over RabbitMQ, and up to `most` of them both ways."""
    found: dict[str, Any] = {"workers": {}, "items": {}}
    for workers in WORKERS:
        found["workers"][workers] = statistics.median(_slow_rates(workers, rounds))
        report(f"{workers} slow workers: {found['workers'][workers]:.1f} rows/s")
    for name, service in (("embedded", embedded), ("RabbitMQ", over_rabbitmq)):
        found["items"][name] = {}
        with service() as running:
            _many(running, 10_000)
            for items in (each for each in (10**4, 10**5, 10**6) if each <= most):
                found["items"][name][items] = told = _many(running, items)
                report(f"{name}, {items:,} rows: {told}")
    return found


def tables(found: dict[str, Any]) -> str:
    """What was found, in Markdown."""
    alone = found["workers"][1]
    possible = MODEL_THREADS * 1000 / SLOW_MS
    of_workers = [
        [f"{workers}", number(rate), f"{rate / alone:.2f}", f"{100 * rate / possible / workers:.0f} %"]
        for workers, rate in found["workers"].items()
    ]
    of_items = [
        [name, f"{items:,}", *(number(told[figure]) for figure in ("per_s", "processor_us", "peak_mib"))]
        for name, by_count in found["items"].items()
        for items, told in by_count.items()
    ]
    header = ["", "rows", "per second", "µs of processor for a row", "resident at most, MiB"]
    slow = ["workers that are slow", "rows per second", "÷ one", "of what is possible"]
    return "\n\n".join([table(slow, of_workers), table(header, of_items)])


def _slow_rates(workers: int, rounds: int) -> list[float]:
    """Rows per second from the first that a worker took to the last result stored, by the database's clock."""
    slow = {"PYTHONPATH": f"{ROOT}:{ROOT}/tests/compose/slow", "SLOW_MS": str(SLOW_MS)}
    with over_rabbitmq(workers, CHUNK_ITEMS=str(SLOW_CHUNK), **slow) as service:
        wait_until(
            lambda: len(service.children("worker")) == workers, what="all workers run", timeout_s=LIMIT_S
        )
        return [_slow_rate(service, SLOW_ITEMS * workers) for _ in range(rounds)]


def _slow_rate(service: Celeriac, rows: int) -> float:
    job = service.submit("diabetes", [ROW] * rows)
    ended = until_over(service, job)
    return rows / (ended - datetime.fromisoformat(service.job(job)["started"]).timestamp())


def _many(service: Celeriac, rows: int) -> dict[str, float]:
    """Rows per second, from the first byte sent to the last result stored, and what each took of all processes."""
    table_of_rows = _csv(min(rows, PER_JOB))
    processes = descendants(service.pid)
    for pid in processes:
        reset_peak(pid)
    used, begun = used_s(processes), time.time()
    jobs = [_submit(service, table_of_rows) for _ in range(-(-rows // PER_JOB))]
    ended = max(until_over(service, job) for job in jobs)
    return {
        "per_s": rows / (ended - begun),
        "processor_us": 1e6 * (used_s(processes) - used) / rows,
        "peak_mib": sum(map(peak_mib, processes)),
    }


def _submit(service: Celeriac, data: bytes) -> dict[str, Any]:
    files = {"csv": ("rows.csv", data, "text/csv")}
    answer = service.web.post("/api/jobs", data={"model": "diabetes"}, files=files)
    job: dict[str, Any] = answer.raise_for_status().json()
    return job


def _csv(rows: int) -> bytes:
    names = "pregnancies,glucose,blood_pressure,skin_thickness,insulin,bmi,diabetes_pedigree,age"
    return "\n".join([names, *([",".join(map(str, ROW))] * rows)]).encode()
