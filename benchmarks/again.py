"""How fast a new version answers what is stored, as the loop of training has it, and what calls notice of that."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import calls, load
from benchmarks.images import png_files
from benchmarks.inputs import MODELS, model_file
from benchmarks.interactive import median, told, warm_up
from benchmarks.load import Load
from benchmarks.services import answered, embedded, over_rabbitmq
from benchmarks.tables import errors, number, table
from production_server.training.fashion_mnist import LABELS, describe
from testing.celeriac import Celeriac
from testing.processes import wait_until

MODEL = "fashion_mnist"
CONNECTIONS = 8
LABELLED = 200
"""So many have a label, without which there is nothing to be trained on."""
LIMIT_S = 300
RUNS = "/api/training-runs"


def measure(count: int, rounds: int, seconds: int, report: Callable[[str], None]) -> dict[str, Any]:
    """Both ways to run the service; medians of the rounds, ratios within each.

    What is trained is a copy of the version that serves: it costs as much as a better one. In each round the stored
    pictures are sent as a job, are answered again beside nothing, and beside calls for each of both models.
    """
    files = {f"{index}.png": data for index, data in enumerate(png_files(count))}
    found: dict[str, Any] = {"images": count}
    for name, service in (("RabbitMQ", over_rabbitmq), ("embedded", embedded)):
        turns = []
        with tempfile.TemporaryDirectory(prefix="celeriac-bench-") as folder:
            policy = _policy(Path(folder), count)
            with service(LEARNING_FILE=str(policy)) as running:
                warm_up(running)
                for _ in range(rounds):
                    turns.append(_Turn(running, files, seconds))
                    report(f"{name}: {turns[-1]}")
        found[name] = _summary(turns)
    return found


def tables(found: dict[str, Any]) -> str:
    """What was found, in Markdown."""
    rates, noticed = [], []
    for name, told_of in found.items():
        if name == "images":
            continue
        figures = [told_of[what] for what in ("sent_per_s", "again_per_s")]
        rates.append([name, *map(number, figures), f"{told_of['ratio']:.0%}"])
        for model in MODELS:
            each = told_of[model]
            p99 = [number(each[when]["p99_ms"]) for when in ("idle", "running")]
            calls_per_s = " / ".join(number(each[when]["per_s"]) for when in ("idle", "running"))
            failed = errors(each["running"]["errors"]) or "0"
            noticed.append(
                [
                    name,
                    f"`{model}`",
                    *p99,
                    f"{each['p99_ratio']:.1f}",
                    calls_per_s,
                    number(each["again_per_s"]),
                    failed,
                ]
            )
    first = ["images per second", "as a job that is sent", "again, by a new version", "of the former"]
    second = ["8 connections", "asked for", "p99 idle, ms", "p99 while all is answered again, ms", "÷ idle",
              "calls per second", "images per second beside them", "failed calls"]  # fmt: skip
    return "\n\n".join([table(first, rates), table(second, noticed)])


class _Turn:
    """One round on a service: images per second, and loads by what is asked for."""

    def __init__(self, service: Celeriac, files: dict[str, bytes], seconds: int) -> None:
        job = answered(service, MODEL, files)
        self.sent_per_s = _rate(job)
        _label(service, job["id"])
        self.again_per_s = _rate(_over(service, _begun(service)))
        self.idle: dict[str, Load] = {}
        self.running: dict[str, Load] = {}
        self.again_beside_per_s: dict[str, float] = {}
        for model in MODELS:
            call = calls.tensor_in_json(service.url, model)
            self.idle[model] = load.run(call, connections=CONNECTIONS, seconds=seconds)
            run = _begun(service)
            self.running[model] = load.run(call, connections=CONNECTIONS, seconds=seconds)
            if service.web.get(run).json()["state"] != "open":
                raise RuntimeError("all was answered before the calls ended: try fewer --seconds")
            self.again_beside_per_s[model] = _rate(_over(service, run))

    def __str__(self) -> str:
        loads = [f"{model} {told(self.idle[model])}; {told(self.running[model])}" for model in MODELS]
        return f"sent {self.sent_per_s:.0f}/s, again {self.again_per_s:.0f}/s, {'; '.join(loads)}"


def _policy(folder: Path, count: int) -> Path:
    """A file of policies: what trains copies the version that is built in."""
    image = describe().image
    image_told = {each: getattr(image, each) for each in ("mode", "width", "height", "scale", "invert")}
    policy = {
        "model": MODEL,
        "train": {
            "command": ["sh", "-c", 'cp "$0" "$1"', str(model_file(MODEL)), "{model}", "{data}"],
            "describe": {"image": image_told, "labels": LABELS},
        },
        "then": {"to": "nothing"},
        "answer_again": count,
    }
    path = folder / "learning.yaml"
    # JSON is YAML.
    path.write_text(json.dumps({"policies": [policy]}))
    return path


def _label(service: Celeriac, job: str) -> None:
    """Say of some items that they are what the model has answered."""
    results = service.web.get(f"/api/jobs/{job}/results", params={"limit": LABELLED}).json()["results"]
    lines = ["job,index,label", *(f"{job},{each['index']},{each['label']}" for each in results)]
    sent = {"file": ("labels.csv", "\n".join(lines).encode())}
    service.web.post(f"/api/labels/{MODEL}/import", files=sent).raise_for_status()


def _begun(service: Celeriac) -> str:
    """The address of a new run, once its version has answered something."""
    run: str = service.web.post(RUNS, json={"model": MODEL}).raise_for_status().json()["links"]["self"]

    def has_answered() -> bool:
        told_of = service.web.get(run).json()
        if told_of["state"] in ("failed", "refused", "cancelled"):
            raise RuntimeError(f"the run did not succeed: {told_of['error']}")
        job = told_of["links"]["job"]
        return job is not None and service.web.get(job).json()["succeeded"] > 0

    wait_until(has_answered, what="a new version answers", timeout_s=LIMIT_S)
    return run


def _over(service: Celeriac, run: str) -> dict[str, Any]:
    """The job of a run, once it is over."""
    wait_until(
        lambda: service.web.get(run).json()["state"] == "succeeded", what="the run's end", timeout_s=LIMIT_S
    )
    job: dict[str, Any] = service.web.get(service.web.get(run).json()["links"]["job"]).json()
    return job


def _rate(job: dict[str, Any]) -> float:
    """Items per second of a job that is over, by the database's clock."""
    begun, ended = (datetime.fromisoformat(job[when]).timestamp() for when in ("created", "finished"))
    return float(job["succeeded"]) / (ended - begun)


def _summary(turns: list[_Turn]) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "sent_per_s": statistics.median(turn.sent_per_s for turn in turns),
        "again_per_s": statistics.median(turn.again_per_s for turn in turns),
        "ratio": statistics.median(turn.again_per_s / turn.sent_per_s for turn in turns),
    }
    for model in MODELS:
        summary[model] = {
            "idle": median([turn.idle[model] for turn in turns]),
            "running": median([turn.running[model] for turn in turns]),
            "p99_ratio": statistics.median(
                turn.running[model].p99_ms / turn.idle[model].p99_ms for turn in turns
            ),
            "again_per_s": statistics.median(turn.again_beside_per_s[model] for turn in turns),
        }
    return summary
