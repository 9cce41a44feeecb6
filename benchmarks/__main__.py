"""Measures the service: make bench."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from benchmarks import (
    again,
    buckets,
    bulk,
    compose,
    dashboard,
    door,
    footprint,
    fresh_clone,
    growth,
    imports,
    interactive,
    latency,
    mixed,
    quantized,
    rollouts,
    streams,
)
from benchmarks.machine import machine

PARTS = {
    "footprint": "footprint",
    "latency": "one_row_job",
    "bulk": "bulk_job",
    "buckets": "scan",
    "interactive": "interactive",
    "mixed": "mixed",
    "growth": "growth",
    "door": "door",
    "clone": "fresh_clone_to_first_prediction_s",
    "compose": "compose",
    "dashboard": "dashboard",
    "imports": "imports",
    "again": "again",
    "rollouts": "rollouts",
    "quantized": "quantized",
    "streams": "streams",
}
"""What is measured, and what its figures are called."""
TABLES = {
    "interactive": interactive.tables,
    "mixed": mixed.tables,
    "growth": growth.tables,
    "imports": imports.tables,
    "again": again.tables,
    "rollouts": rollouts.tables,
    "quantized": quantized.tables,
    "streams": streams.tables,
}
"""What is told in Markdown tables, as docs/benchmarks.md has it, instead of in lines."""
ON_DEMAND = ("compose", "dashboard", "growth", "imports", "again")
"""Needs a Docker engine; two take ten minutes; needs TensorFlow; takes as long."""


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--images", default=10_000, show_default=True, help="Images in the bulk job, and in a bucket.")
@click.option(
    "--rounds", default=3, show_default=True, help="Rounds of what is measured in turns; medians are told."
)
@click.option("--jobs", default=500, show_default=True, help="Jobs of one row.")
@click.option("--messages", default=20_000, show_default=True, help="Messages of a stream.")
@click.option(
    "--seconds", default=5, show_default=True, help="How long interactive calls are measured at each point."
)
@click.option(
    "--items",
    default=1_000_000,
    show_default=True,
    help="Results behind the dashboard; the most rows of growth.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def main(
    *,
    parts: tuple[str, ...],
    images: int,
    rounds: int,
    jobs: int,
    messages: int,
    seconds: int,
    items: int,
    as_json: bool,
) -> None:
    """Measure this service on this machine: those PARTS that are named; if none is, most.

    Fashion-MNIST is taken from MODEL_DATA_DIR or downloaded, as for training.
    """

    def report(line: str) -> None:
        click.echo(line, err=True)

    measures: dict[str, Callable[[], Any]] = {
        "footprint": footprint.measure,
        "latency": lambda: latency.measure(jobs, report),
        "bulk": lambda: bulk.measure(images, rounds, report),
        "buckets": lambda: buckets.measure(images, rounds, report),
        "interactive": lambda: interactive.measure(rounds, seconds, report),
        "mixed": lambda: mixed.measure(images, rounds, seconds, report),
        "growth": lambda: growth.measure(rounds, items, report),
        "door": lambda: door.measure(rounds),
        "clone": fresh_clone.measure,
        "compose": lambda: compose.measure(rounds, report),
        "dashboard": lambda: dashboard.measure(items, report),
        "imports": lambda: imports.measure(rounds, report),
        "again": lambda: again.measure(images, rounds, seconds, report),
        "rollouts": lambda: rollouts.measure(rounds, seconds, report),
        "quantized": lambda: quantized.measure(rounds, report),
        "streams": lambda: streams.measure(messages, rounds, report),
    }
    wanted = parts or [part for part in PARTS if part not in ON_DEMAND]
    found: dict[str, Any] = {"machine": machine()}
    found |= {PARTS[part]: measures[part]() for part in measures if part in wanted}
    click.echo(json.dumps(found, indent=2) if as_json else _shown(found))


def _shown(found: dict[str, Any]) -> str:
    shown = [tables(found[part]) for part, tables in TABLES.items() if part in found]
    lines = _lines({part: figures for part, figures in found.items() if part not in TABLES})
    return "\n\n".join(["\n".join(lines), *shown])


def _lines(value: dict[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for name, entry in value.items():
        if isinstance(entry, dict):
            lines += _lines(entry, f"{prefix}{name}.")
        else:
            lines.append(
                f"{prefix}{name:<{44 - len(prefix)}} {round(entry, 3) if isinstance(entry, float) else entry}"
            )
    return lines


if __name__ == "__main__":
    main()
