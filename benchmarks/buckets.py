"""Objects per second of a scan, from the request to the last stored result, beside fetching and the engine alone."""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.bulk import POLL_S, engine_alone
from benchmarks.images import png_files
from benchmarks.memory import descendants, total_mib
from benchmarks.services import embedded, over_rabbitmq
from production_server.settings import read_settings
from production_server.storage.locations import Location
from production_server.storage.objects import Reference
from production_server.storage.storage import Storage
from production_server.worker.inputs import Inputs
from production_server.worker.lanes import Attempt, Lane
from testing.celeriac import Celeriac

S3_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
BUCKET = "celeriac-benchmark"


def measure(count: int, rounds: int, report: Callable[[str], None]) -> dict[str, Any]:
    """Medians of `count` images in a folder and, where `AWS_ENDPOINT_URL` names a store, in a bucket; and ratios."""
    files = png_files(count)
    found: dict[str, Any] = {"objects": count, "rounds": rounds}
    with tempfile.TemporaryDirectory(prefix="celeriac-bench-") as folder:
        for index, data in enumerate(files):
            Path(folder, f"{index:05}.png").write_bytes(data)
        places = {"folder": f"file://{folder}"}
        store = {name: os.environ[name] for name in S3_VARIABLES if name in os.environ}
        if store:
            fill_bucket(files)
            places["bucket"] = f"s3://{BUCKET}"
        settings = {"STORAGE_ALLOW": " ".join(places.values())} | store
        with embedded(**settings) as one, over_rabbitmq(**settings) as two:
            for name, url in places.items():
                found[name] = _rates(url, folder, {"embedded": one, "RabbitMQ": two}, rounds, report)
    return found


def _rates(
    url: str, folder: str, services: dict[str, Celeriac], rounds: int, report: Callable[[str], None]
) -> dict[str, Any]:
    rates: dict[str, list[float]] = {"engine alone": [], "fetch alone": [], **{name: [] for name in services}}
    most_mib = dict.fromkeys(services, 0.0)
    for _ in range(rounds):
        rates["engine alone"].append(engine_alone(folder))
        rates["fetch alone"].append(fetch_alone(url))
        for name, service in services.items():
            rate, mib = scan(service, url)
            rates[name].append(rate)
            most_mib[name] = max(most_mib[name], mib)
        report(f"{url}: " + ", ".join(f"{name} {values[-1]:.0f}/s" for name, values in rates.items()))
    alone = zip(rates["engine alone"], rates["fetch alone"], strict=True)
    slower = [min(pair) for pair in alone]
    return {
        "objects_per_s": {name: statistics.median(values) for name, values in rates.items()},
        "ratio_to_slower_alone": {
            name: statistics.median(rate / limit for rate, limit in zip(rates[name], slower, strict=True))
            for name in services
        },
        "most_resident_mib": most_mib,
    }


def fetch_alone(url: str) -> float:
    """Objects per second that are listed and fetched as a worker does it, and thrown away."""
    settings = read_settings({"STORAGE_ALLOW": url})
    inputs = Inputs(Storage(settings.storage_allow), settings, threading.Event())
    begun = time.perf_counter()
    references: list[Reference] = [
        reference for page in inputs.storage.pages(Location.parse(url)) for reference in page.references
    ]
    lane = Lane(BUCKET, fetches=settings.fetches)
    for _ in inputs.fetched(references, Attempt(lane)):
        pass
    took_s = time.perf_counter() - begun
    lane.close()
    return len(references) / took_s


def scan(service: Celeriac, url: str) -> tuple[float, float]:
    """Objects per second of one scan by the service, and the most that its processes had resident, in MiB."""
    asked = {"url": url, "model": "fashion_mnist", "again": True}
    begun, most_mib = time.time(), 0.0
    path = service.web.post("/api/scans", json=asked).raise_for_status().json()["links"]["self"]
    while (found := service.web.get(path).json())["job"]["state"] != "finished":
        most_mib = max(most_mib, total_mib(descendants(service.pid)))
        time.sleep(POLL_S)
    job = found["job"]
    if job["succeeded"] != job["total"] or not job["total"]:
        raise RuntimeError(f"the scan did not succeed: {found}")
    took_s = datetime.fromisoformat(job["finished"]).timestamp() - begun
    return job["total"] / took_s, most_mib


def fill_bucket(files: list[bytes]) -> None:
    """Put the files into the store that the environment names, as one bucket."""
    import boto3

    client = boto3.client("s3", region_name=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"))
    client.create_bucket(Bucket=BUCKET)
    for index, data in enumerate(files):
        client.put_object(Bucket=BUCKET, Key=f"{index:05}.png", Body=data)
