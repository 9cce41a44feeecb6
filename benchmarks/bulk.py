"""Images per second of one large job, from the first byte submitted to the last result stored."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.images import png_files
from benchmarks.inputs import model_file
from benchmarks.services import embedded, over_rabbitmq
from testing.celeriac import Celeriac

POLL_S = 0.25
"""How often the client asks, about as often as the page does; the database's clock tells when the job ended."""
BATCH_ITEMS = 64
"""The service's default; the engine alone gets the same batches."""


def measure(count: int, rounds: int, report: Callable[[str], None]) -> dict[str, Any]:
    """Median images per second of the engine alone, a script and both ways to run the service, and their ratios."""
    files = png_files(count)
    rates: dict[str, list[float]] = {"engine alone": [], "by hand": [], "embedded": [], "RabbitMQ": []}
    with tempfile.TemporaryDirectory() as folder, embedded() as one, over_rabbitmq() as two:
        for index, data in enumerate(files):
            Path(folder, f"{index:05}.png").write_bytes(data)
        for _ in range(rounds):
            rates["engine alone"].append(engine_alone(folder))
            rates["by hand"].append(_by_hand(folder))
            rates["embedded"].append(job_rate(one, files))
            rates["RabbitMQ"].append(job_rate(two, files))
            report(", ".join(f"{name} {values[-1]:.0f}/s" for name, values in rates.items()))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "images": count,
        "rounds": rounds,
        "images_per_s": medians,
        "ratio_to_engine": _ratios(rates, "engine alone"),
        "ratio_to_script": _ratios(rates, "by hand"),
    }


def _ratios(rates: dict[str, list[float]], other: str) -> dict[str, float]:
    """The medians of what the service's rates are of another one in the same round."""
    return {
        name: statistics.median(rate / each for rate, each in zip(rates[name], rates[other], strict=True))
        for name in ("embedded", "RabbitMQ")
    }


def engine_alone(folder: str) -> float:
    """Images per second of all files in a folder, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.engine", folder, str(BATCH_ITEMS)]
    return _printed(command)


def until_over(service: Celeriac, job: dict[str, Any]) -> float:
    """When a job was over, by the database's clock, in seconds since 1970.

    Raises:
        RuntimeError: an item of it did not succeed.
    """
    while (done := service.job(job))["state"] != "finished":
        time.sleep(POLL_S)
    if done["succeeded"] != done["total"]:
        raise RuntimeError(f"the job did not succeed: {done}")
    return datetime.fromisoformat(done["finished"]).timestamp()


def _by_hand(folder: str) -> float:
    """Images per second of a script that classifies all files in a folder and writes a CSV."""
    with tempfile.TemporaryDirectory() as answers:
        command = [sys.executable, "-m", "benchmarks.by_hand", str(model_file("fashion_mnist"))]
        return _printed([*command, folder, str(Path(answers, "answers.csv"))])


def _printed(command: list[str]) -> float:
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def job_rate(service: Celeriac, files: list[bytes]) -> float:
    """Images per second of one job of those files, from the first byte sent to the last result stored."""
    parts = [("file", (f"{index}.png", data, "image/png")) for index, data in enumerate(files)]
    # httpx writes the form before it sends it; that is the client's time, and not measured.
    request = service.web.build_request("POST", "/api/jobs", data={"model": "fashion_mnist"}, files=parts)
    request.read()
    begun = time.time()
    job = service.web.send(request).raise_for_status().json()
    return len(files) / (until_over(service, job) - begun)
