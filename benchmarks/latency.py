"""How long a job of one row takes, from the first byte submitted to the answer that says it is stored."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.services import embedded, over_rabbitmq
from testing.celeriac import Celeriac

PATIENT = [6, 148, 72, 35, 0, 33.6, 0.627, 50]


def measure(jobs: int, report: Callable[[str], None]) -> dict[str, Any]:
    """p50 and p99 in milliseconds, one job after another on one connection, embedded and over RabbitMQ."""
    found: dict[str, Any] = {"jobs": jobs}
    for name, service in (("embedded", embedded), ("RabbitMQ", over_rabbitmq)):
        with service() as running:
            times_ms = [_one_job(running) for _ in range(jobs + 20)][20:]
        found[name] = {
            "p50_ms": statistics.median(times_ms),
            "p99_ms": statistics.quantiles(times_ms, n=100)[98],
        }
        report(f"{name}: p50 {found[name]['p50_ms']:.1f} ms, p99 {found[name]['p99_ms']:.1f} ms")
    return found


def _one_job(service: Celeriac) -> float:
    begun = time.perf_counter()
    answer = service.web.post(
        "/api/jobs", json={"model": "diabetes", "inputs": [PATIENT]}, headers={"Prefer": "wait=20"}
    )
    ms = (time.perf_counter() - begun) * 1000
    if answer.status_code != 200:
        raise RuntimeError(f"{answer.status_code}: {answer.text}")
    return ms
