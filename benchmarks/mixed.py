"""What clients that wait notice of a bulk job: p99 at 8 connections, idle and while 10,000 images are classified."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks import calls, load
from benchmarks.images import png_files
from benchmarks.interactive import median, told, warm_up
from benchmarks.load import Call, Load
from benchmarks.services import embedded, over_rabbitmq
from benchmarks.tables import number, table
from testing.celeriac import Celeriac
from testing.processes import wait_until

CONNECTIONS = 8
LIMIT_S = 120
STATES = ("idle", "submitted", "running")


def measure(count: int, rounds: int, seconds: int, report: Callable[[str], None]) -> dict[str, Any]:
    """Both ways to run the service, both models, in turns; ratios are medians of the rounds' ratios.

    `submitted` is a load during which the job is also sent, checked and stored, `running` one while it only runs.
    """
    files = png_files(count)
    found: dict[str, Any] = {"images": count, "services": {}}
    with embedded() as one, over_rabbitmq() as two:
        for name, service in (("RabbitMQ", two), ("embedded", one)):
            warm_up(service)
            for model in ("diabetes", "fashion_mnist"):
                call = calls.tensor_in_json(service.url, model)
                turns = [_turn(service, call, files, seconds) for _ in range(rounds)]
                for turn in turns:
                    for state, got in turn.items():
                        report(f"{name} {model} {state} {told(got)}")
                found["services"].setdefault(name, {})[model] = _summary(turns)
    return found


def tables(found: dict[str, Any]) -> str:
    """What was found, in Markdown."""
    rows = []
    for name, models in found["services"].items():
        for model, told_of in models.items():
            p99 = [number(told_of[state]["p99_ms"]) for state in STATES]
            rates = " / ".join(number(told_of[state]["per_s"]) for state in STATES)
            ratios = [f"{told_of[f'p99_ratio_{state}']:.1f}" for state in STATES[1:]]
            rows.append([name, f"`{model}`", *p99, *ratios, rates])
    times = ["p99 idle, ms", "p99 while it is submitted too, ms", "p99 while it runs, ms"]
    header = ["8 connections", "asked for", *times, "÷ idle, submitted", "÷ idle, runs", "answers per second"]
    return table(header, rows)


def _turn(service: Celeriac, call: Call, files: list[bytes], seconds: int) -> dict[str, Load]:
    idle = load.run(call, connections=CONNECTIONS, seconds=seconds)
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load.run, call, connections=CONNECTIONS, seconds=seconds)
        jobs = [_submit(service, files)]
        submitted = loading.result()
    running = _while_jobs_run(service, call, files, seconds, jobs)
    for job in jobs:
        service.web.delete(job["links"]["self"])
    wait_until(
        lambda: all(_is_over(service, job) for job in jobs), what="all jobs are over", timeout_s=LIMIT_S
    )
    return {"idle": idle, "submitted": submitted, "running": running}


def _while_jobs_run(
    service: Celeriac, call: Call, files: list[bytes], seconds: int, jobs: list[dict[str, Any]]
) -> Load:
    """A load in which there was a job to run from beginning to end: as many are submitted before as that takes."""
    while True:
        jobs.append(_submit(service, files))
        wait_until(lambda: service.job(jobs[0])["state"] != "queued", what="the job runs", timeout_s=LIMIT_S)
        time.sleep(0.2)
        got = load.run(call, connections=CONNECTIONS, seconds=seconds)
        if not _is_over(service, jobs[-1]):
            return got


def _submit(service: Celeriac, files: list[bytes]) -> dict[str, Any]:
    parts = [("file", (f"{index}.png", data, "image/png")) for index, data in enumerate(files)]
    answer = service.web.post("/api/jobs", data={"model": "fashion_mnist"}, files=parts)
    job: dict[str, Any] = answer.raise_for_status().json()
    return job


def _is_over(service: Celeriac, job: dict[str, Any]) -> bool:
    return service.job(job)["state"] in ("finished", "cancelled")


def _summary(turns: list[dict[str, Load]]) -> dict[str, Any]:
    summary: dict[str, Any] = {state: median([turn[state] for turn in turns]) for state in STATES}
    for state in STATES[1:]:
        ratios = [turn[state].p99_ms / turn["idle"].p99_ms for turn in turns]
        summary[f"p99_ratio_{state}"] = statistics.median(ratios)
    return summary
