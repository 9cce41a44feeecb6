"""Calls whose clients wait: what the service answers per second and how soon, beside what the engine alone can do."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks import calls, load
from benchmarks.inputs import MODELS, example, expected, model_file
from benchmarks.load import Call, Load
from benchmarks.memory import descendants, resident_mib, total_mib
from benchmarks.services import embedded, over_rabbitmq
from benchmarks.session import session
from benchmarks.tables import errors, number, table
from testing.celeriac import Celeriac

CONNECTIONS = (1, 8, 32, 64, 256)
BATCHES = (1, 8, 32)
WARM_UP_S = 2
MINUTE_S = 60
FIGURES = ("p50_ms", "p99_ms", "max_ms")


def measure(rounds: int, seconds: int, report: Callable[[str], None]) -> dict[str, Any]:
    """The engine alone, then `rounds` over all points of both ways to run the service; medians; and a minute each."""
    found: dict[str, Any] = {
        "engine_items_per_s": {model: engine_alone(model) for model in MODELS},
        "points": [],
        "minutes": {},
        "resident_mib": {},
    }
    loads: dict[tuple[str, str, str, int], list[Load]] = {}
    with embedded() as one, over_rabbitmq() as two:
        services = {"RabbitMQ": two, "embedded": one}
        for service in services.values():
            warm_up(service)
        for _ in range(rounds):
            for name, service in services.items():
                for model, form, call in _points(service.url):
                    for connections in CONNECTIONS if form in calls.FORMS else (32,):
                        got = load.run(call, connections=connections, seconds=seconds)
                        loads.setdefault((name, model, form, connections), []).append(got)
                        report(f"{name} {model} {form} {told(got)}")
        for name, service in services.items():
            found["minutes"][name] = _minute(service, report)
            found["resident_mib"][name] = _memory(service)
    for (name, model, form, connections), each in loads.items():
        point = {"service": name, "model": model, "form": form, "connections": connections}
        found["points"].append(point | median(each))
    return found


def tables(found: dict[str, Any]) -> str:
    """What was found, in Markdown."""
    engine = [
        [f"`{model}`", *(number(rates[str(items)]) for items in BATCHES)]
        for model, rates in found["engine_items_per_s"].items()
    ]
    minutes = [
        [
            name,
            number(minute["per_s"]),
            *(number(minute[figure]) for figure in FIGURES),
            number(minute["longest_gap_ms"]),
        ]
        for name, minute in found["minutes"].items()
    ]
    memory = [
        [name, *(f"{what} {mib:,.0f} MiB" for what, mib in held.items())]
        for name, held in found["resident_mib"].items()
    ]
    parts = [
        table(
            ["the engine alone, one thread, items per second", *(f"batches of {items}" for items in BATCHES)],
            engine,
        ),
        *(_point_table(found["points"], model) for model in MODELS),
        table(
            [
                "a minute at 32 connections, `fashion_mnist`",
                "per second",
                "p50, ms",
                "p99, ms",
                "longest, ms",
                "longest gap, ms",
            ],
            minutes,
        ),
        "\n".join(f"- resident, {', '.join(line)}" for line in memory),
    ]
    return "\n\n".join(parts)


def _point_table(points: list[dict[str, Any]], model: str) -> str:
    """Answers per second and times by connections; a row for each way to run the service and form to ask in."""
    rows: dict[tuple[str, str], dict[int, str]] = {}
    for point in points:
        if point["model"] == model:
            times = " / ".join(number(point[figure]) for figure in FIGURES)
            wrong = f"; {errors(point['errors'])}" if point["errors"] else ""
            row = rows.setdefault((point["service"], point["form"]), {})
            row[point["connections"]] = f"**{number(point['per_s'])}** {times}{wrong}"
    lines = [[*names, *(cells.get(at, "–") for at in CONNECTIONS)] for names, cells in rows.items()]
    header = [
        f"`{model}`: **per second** p50 / p99 / longest, ms",
        "form",
        *(f"at {at}" for at in CONNECTIONS),
    ]
    return table(header, lines)


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
    """Load the service a little."""
    check(service)
    for _, _, call in _points(service.url):
        load.run(call, connections=8, seconds=WARM_UP_S)


def check(service: Celeriac, store: Path | None = None) -> None:
    """See that it answers what the engine answers with the newest versions, in that store or built in.

    Raises:
        RuntimeError: it answers something else.
    """
    for model in MODELS:
        call = calls.tensor_in_json(service.url, model)
        answer = httpx.post(call.url, content=call.body, headers=dict(call.headers), timeout=60).json()
        wanted = expected(model_file(model, store), model)
        if not np.allclose(calls.probabilities(answer), wanted, atol=1e-4):
            raise RuntimeError(f"{model} answers {answer}, not {wanted}")


def median(loads: list[Load]) -> dict[str, Any]:
    """Medians over rounds; errors are summed up, and what is longest is the longest of all."""
    failures: Counter[str] = Counter()
    for each in loads:
        failures.update(each.errors)
    return {
        "per_s": statistics.median(each.answers_per_s for each in loads),
        "p50_ms": statistics.median(each.p50_ms for each in loads),
        "p99_ms": statistics.median(each.p99_ms for each in loads),
        "max_ms": max(each.max_ms for each in loads),
        "longest_gap_ms": max(each.longest_gap_ms for each in loads),
        "errors": dict(failures),
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
