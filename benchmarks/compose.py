"""The service in containers: how long it takes to come up and to scale, its disk and memory, what more workers gain.

In a clone of HEAD with a project of its own, so that nothing else in the engine is touched.
"""

from __future__ import annotations

import contextlib
import re
import statistics
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx

from testing.compose_project import ComposeProject, checkout
from testing.docker import docker, engine_answers, inspect
from testing.pictures import png
from testing.processes import free_ports, wait_until

ROW = [6, 148, 72, 35, 0, 33.6, 0.627, 50]
SLOW_MS = 20
"""What an item takes, asleep: no core is busy, so that as many workers as are asked for could run at full speed."""
SLOW_ITEMS = 2_000
CHUNK_ITEMS = 32
LIMIT_S = 600
SLOW = ("-f", "docker/docker-compose.yml", "-f", "tests/compose/slow.yml")


def measure(rounds: int, report: Callable[[str], None]) -> dict[str, Any]:
    """Seconds, MiB, and images per second of one and of three workers; medians of `rounds`.

    Raises:
        RuntimeError: no Docker engine answers.
    """
    if not engine_answers():
        raise RuntimeError("no Docker engine answers")
    (port,) = free_ports(1)
    settings = {"PORT": str(port), "CHUNK_ITEMS": str(CHUNK_ITEMS), "SLOW_MS": str(SLOW_MS)}
    with checkout(**settings) as made:
        project = ComposeProject(made, port)
        with contextlib.closing(project.web):
            found = {
                "from_nothing_s": _cold(project),
                "warm_up_s": statistics.median(_warm(project) for _ in range(rounds)),
                "second_up_s": statistics.median(_seconds(project.up) for _ in range(rounds)),
            }
            report(f"up: {found}")
            found |= {"memory_at_rest_mib": _memory(project), "image_mib": _images(project)}
            scaling = [_scale(project) for _ in range(rounds)]
            found["scale_1_to_3_warm_s"] = statistics.median(up for up, _ in scaling)
            found["scale_3_to_1_s"] = statistics.median(down for _, down in scaling)
            report(f"scaling: {scaling}")
            found["slow_model"] = _throughput(project, rounds, report)
            return found


def _cold(project: ComposeProject) -> dict[str, float]:
    """`make up` of a fresh clone: the images are built without any cached layer; pip's downloads are cached."""
    begun = time.monotonic()
    project.checkout.compose("build", "--no-cache", "--quiet", "web")
    built = time.monotonic()
    project.up()
    _predict(project)
    return {"build_without_cache": built - begun, "build_up_first_prediction": time.monotonic() - begun}


def _warm(project: ComposeProject) -> float:
    """`make down`, then seconds from `make up` to the first prediction: images, passwords and volumes are there."""
    project.checkout.run("make", "down")
    begun = time.monotonic()
    project.up()
    _predict(project)
    return time.monotonic() - begun


def _predict(project: ComposeProject) -> None:
    answer = project.web.post(
        "/api/jobs", json={"model": "diabetes", "inputs": [ROW]}, headers={"Prefer": "wait=20"}
    )
    if answer.status_code != httpx.codes.OK:
        raise RuntimeError(f"no prediction: {answer.status_code} {answer.text}")


def _scale(project: ComposeProject) -> tuple[float, float]:
    """Seconds from `make scale WORKERS=3` until /readyz tells of three warm workers, and from then until of one."""
    return _seconds(lambda: _to(project, 3)), _seconds(lambda: _to(project, 1))


def _to(project: ComposeProject, workers: int) -> None:
    project.scale(workers)
    project.wait_for_workers(workers)


def _seconds(act: Callable[[], object]) -> float:
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


def _memory(project: ComposeProject) -> dict[str, float]:
    """What the engine counts for each container, when nothing has been asked of it but one prediction."""
    names = project.containers()
    lines = docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *names).stdout.splitlines()
    units = {"KiB": 1 / 1024, "MiB": 1.0, "GiB": 1024.0}
    found = {}
    for name, number, unit in (re.findall(r"(\S+) ([\d.]+)([KMG]iB)", line)[0] for line in lines):
        found[name.removeprefix(f"{project.name}-")] = float(number) * units[unit]
    return dict(sorted(found.items()))


def _images(project: ComposeProject) -> dict[str, float]:
    """Sizes of the images that the containers were made from."""
    names = sorted({each["Config"]["Image"] for each in inspect(project.containers())})
    return {
        name.removesuffix(f":{project.name}"): image["Size"] / 2**20
        for name, image in zip(names, inspect(names), strict=True)
    }


def _throughput(project: ComposeProject, rounds: int, report: Callable[[str], None]) -> dict[str, Any]:
    """Images per second of one and of three workers whose model sleeps 20 ms for each item, in turns."""
    files = [png(seed) for seed in range(100)]
    rates: dict[int, list[float]] = {1: [], 3: []}
    for _ in range(rounds):
        for workers, measured in rates.items():
            _run_slow_workers(project, workers)
            measured.append(_rate(project, [files[n % 100] for n in range(SLOW_ITEMS * workers)]))
        report(f"one worker {rates[1][-1]:.1f}/s, three {rates[3][-1]:.1f}/s")
    ratios = [three / one for one, three in zip(rates[1], rates[3], strict=True)]
    return {
        "one_worker_per_s": statistics.median(rates[1]),
        "three_workers_per_s": statistics.median(rates[3]),
        "ratio": statistics.median(ratios),
    }


def _run_slow_workers(project: ComposeProject, workers: int) -> None:
    up = ("up", "--detach", "--wait", "--no-build", "--scale", f"worker={workers}", "worker")
    project.compose(*SLOW, *up)
    project.wait_for_workers(workers)


def _rate(project: ComposeProject, files: list[bytes]) -> float:
    """Images per second from the first that a worker took to the last result stored, by the database's clock."""
    parts = [("file", (f"{index}.png", data, "image/png")) for index, data in enumerate(files)]
    answer = project.web.post("/api/jobs", data={"model": "fashion_mnist"}, files=parts)
    job = answer.raise_for_status().json()
    wait_until(lambda: project.job(job)["state"] == "finished", what="the job is finished", timeout_s=LIMIT_S)
    done = project.job(job)
    if done["succeeded"] != len(files):
        raise RuntimeError(f"the job did not succeed: {done}")
    begun, ended = (datetime.fromisoformat(done[name]) for name in ("started", "finished"))
    return len(files) / (ended - begun).total_seconds()
