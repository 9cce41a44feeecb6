"""Calls whose clients wait: what the service answers per second and how soon, beside what the engine alone can do."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np

from benchmarks import calls, load
from benchmarks.inputs import MODELS, example, expected, model_file, session
from benchmarks.load import Call, Load
from benchmarks.memory import descendants, resident_mib, total_mib
from benchmarks.services import embedded, over_rabbitmq
from tests.services.celeriac import Celeriac

CONNECTIONS = (1, 8, 32, 64, 256)
BATCHES = (1, 8, 32)
WARM_UP_S = 2
MINUTE_S = 60


def measure(rounds: int, seconds: int, report: Callable[[str], None]) -> dict[str, Any]:
    """The engine alone, then `rounds` over all points of both ways to run the service; medians; and a minute each."""
    found: dict[str, Any] = {"engine_items_per_s": {model: engine_alone(model) for model in MODELS}}
    loads: dict[tuple[str, ...], list[Load]] = {}
    with embedded() as one, over_rabbitmq() as two:
        services = {"RabbitMQ": two, "embedded": one}
        for service in services.values():
            warm_up(service)
        for _ in range(rounds):
            for name, service in services.items():
                for model, form, call in _points(service.url):
                    for connections in CONNECTIONS if form in calls.FORMS else (32,):
                        got = load.run(call, connections=connections, seconds=seconds)
                        loads.setdefault((name, model, form, str(connections)), []).append(got)
                        report(f"{name} {model} {form} {told(got)}")
        for name, service in services.items():
            found[f"a minute, {name}"] = _minute(service, report)
            found[f"resident_mib, {name}"] = _memory(service)
    for names, each in loads.items():
        _put(found, names, median(each))
    return found


def engine_alone(model: str, seconds: float = 1.0) -> dict[str, float]:
    """Items per second of the same file in a bare session, on one thread, by the size of the batch."""
    alone = session(model_file(model))
    name = alone.get_inputs()[0].name
    found = {}
    for items in BATCHES:
        batch = np.repeat(example(model), items, axis=0)
        for _ in range(10):
            alone.run(None, {name: batch})
        runs, begun = 0, time.perf_counter()
        while (took := time.perf_counter() - begun) < seconds:
            alone.run(None, {name: batch})
            runs += 1
        found[str(items)] = runs * items / took
    return found


def warm_up(service: Celeriac) -> None:
    """Load the service a little, and see that it answers what the engine answers.

    Raises:
        RuntimeError: it answers something else.
    """
    for model, form, call in _points(service.url):
        load.run(call, connections=8, seconds=WARM_UP_S)
        if form == "JSON":
            answer = httpx.post(call.url, content=call.body, headers=dict(call.headers), timeout=60).json()
            outputs = {output["name"]: output["data"] for output in answer["outputs"]}
            if not np.allclose(outputs["probabilities"], expected(model), atol=1e-4):
                raise RuntimeError(f"{model} answers {answer}, not {expected(model)}")


def median(loads: list[Load]) -> dict[str, Any]:
    """Medians over rounds; errors are summed up, and what is longest is the longest of all."""
    errors: dict[str, int] = {}
    for each in loads:
        for name, count in each.errors.items():
            errors[name] = errors.get(name, 0) + count
    return {
        "per_s": statistics.median(each.answers_per_s for each in loads),
        "p50_ms": statistics.median(each.p50_ms for each in loads),
        "p99_ms": statistics.median(each.p99_ms for each in loads),
        "max_ms": max(each.max_ms for each in loads),
        "longest_gap_ms": max(each.longest_gap_ms for each in loads),
        "errors": errors,
    }


def told(got: Load) -> str:
    """One line of progress."""
    return (
        f"at {got.connections}: {got.answers_per_s:.0f}/s, p50 {got.p50_ms:.2f} ms, p99 {got.p99_ms:.1f} ms,"
        f" max {got.max_ms:.0f} ms{f', errors {got.errors}' if got.errors else ''}"
    )


def _points(url: str) -> Iterator[tuple[str, str, Call]]:
    for model in MODELS:
        for form, write in calls.FORMS.items():
            yield model, form, write(url, model)
        yield model, "rows", calls.row(url, model)


def _minute(service: Celeriac, report: Callable[[str], None]) -> dict[str, Any]:
    call = calls.tensor_in_json(service.url, "fashion_mnist")
    got = load.run(call, connections=32, seconds=MINUTE_S)
    report(f"a minute {told(got)}, longest gap {got.longest_gap_ms:.0f} ms")
    return median([got])


def _memory(service: Celeriac) -> dict[str, float]:
    """What each process has resident after all that."""
    found: dict[str, float] = {}
    for role in ("web", "worker"):
        found |= {
            f"{role} {number}": resident_mib(pid) for number, pid in enumerate(service.children(role), 1)
        }
    return found | {"all processes": total_mib(descendants(service.pid))}


def _put(found: dict[str, Any], names: tuple[str, ...], value: object) -> None:
    for name in names[:-1]:
        found = found.setdefault(name, {})
    found[names[-1]] = value
