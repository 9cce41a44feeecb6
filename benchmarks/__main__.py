"""Measures the service: make bench."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks import bulk, compose, footprint, fresh_clone, interactive, latency, mixed

PARTS = {
    "footprint": "footprint",
    "latency": "one_row_job",
    "bulk": "bulk_job",
    "interactive": "interactive",
    "mixed": "mixed",
    "clone": "fresh_clone_to_first_prediction_s",
    "compose": "compose",
}
"""What is measured, and what its figures are called."""
ON_DEMAND = ("compose",)
"""Needs a Docker engine."""


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--images", default=10_000, show_default=True, help="Images in the bulk job.")
@click.option(
    "--rounds", default=3, show_default=True, help="Rounds of what is measured in turns; medians are told."
)
@click.option("--jobs", default=500, show_default=True, help="Jobs of one row.")
@click.option(
    "--seconds", default=5, show_default=True, help="How long interactive calls are measured at each point."
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def main(*, parts: tuple[str, ...], images: int, rounds: int, jobs: int, seconds: int, as_json: bool) -> None:
    """Measure this service on this machine: those PARTS that are named; if none is, all but compose.

    Fashion-MNIST is taken from MODEL_DATA_DIR or downloaded, as for training.
    """

    def report(line: str) -> None:
        click.echo(line, err=True)

    measures: dict[str, Callable[[], Any]] = {
        "footprint": footprint.measure,
        "latency": lambda: latency.measure(jobs, report),
        "bulk": lambda: bulk.measure(images, rounds, report),
        "interactive": lambda: interactive.measure(rounds, seconds, report),
        "mixed": lambda: mixed.measure(images, rounds, seconds, report),
        "clone": fresh_clone.measure,
        "compose": lambda: compose.measure(rounds, report),
    }
    wanted = parts or [part for part in PARTS if part not in ON_DEMAND]
    found: dict[str, Any] = {"machine": _machine()}
    found |= {PARTS[part]: measures[part]() for part in measures if part in wanted}
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(_lines(found)))


def _machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    today = datetime.now(UTC).date().isoformat()
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "date": today}


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
