"""What a user sees: tables and JSON on stdout; progress, warnings and errors on stderr."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from client.errors import ClientError, InstanceFailed, Refused
from client.files import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from client.answers import Job, Model, Result

UNLIMITED_WIDTH = 10_000
LABELS_SHOWN = 20
"""A model with more labels has some of them named: all are in the JSON."""


_TERMINAL_CODE = re.compile(
    r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[ -/]*[0-~])|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def printable(text: str) -> str:
    """Without what commands a terminal: the text may be from another machine."""
    return _TERMINAL_CODE.sub("", text)


def on_one_line(text: str) -> str:
    """As `printable`, with a space for each end of a line: a file's name may have some."""
    return " ".join(printable(text).splitlines())


def print_error(message: str) -> None:
    """Say on stderr what went wrong, on one line."""
    sys.stderr.write(f"error: {' '.join(printable(message).split())}\n")


def print_failure(error: ClientError) -> None:
    """One line; for a refusal also its faults, for an instance that failed the end of its console and what to try."""
    if isinstance(error, InstanceFailed) and error.log:
        sys.stderr.write(f"{printable(error.log).rstrip()}\n")
    print_error(str(error))
    if isinstance(error, Refused):
        for fault in map(str, error.faults):
            # One fault alone may be what the error says already.
            if fault != str(error):
                print_error(fault)
    if isinstance(error, InstanceFailed):
        for advice in error.advice:
            print_note(f"try: {advice}")


def print_note(message: str) -> None:
    """Tell on stderr what is no error."""
    sys.stderr.write(f"{printable(message)}\n")


def print_json(value: Any) -> None:
    """A JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_lines(lines: Iterable[str]) -> None:
    """Lines of text on stdout."""
    sys.stdout.writelines(f"{line}\n" for line in lines)


def print_jobs(jobs: Sequence[Job]) -> None:
    """A line for each job."""
    columns = ("ID", "STATE", "MODEL", "VERSION", "DONE", "FAILED", "CREATED")
    rows = (
        (
            job.id,
            job.state,
            job.model,
            job.version,
            f"{job.done}/{job.total}",
            str(job.failed),
            job.created or "",
        )
        for job in jobs
    )
    print_table(columns, rows)


def print_job(job: Job) -> None:
    """A line for each fact of one job."""
    print_facts(
        {
            "job": job.id,
            "state": job.state,
            "model": f"{job.model} version {job.version}",
            "items": f"{job.total}: {job.succeeded} succeeded, {job.failed} failed, {job.cancelled} cancelled",
            "source": job.source,
            "priority": job.priority,
            "created": job.created,
            "started": job.started,
            "finished": job.finished,
            "page": job.links.get("page"),
        }
    )


def print_results(results: Iterable[Result], *, names: Sequence[str] = ()) -> None:
    """A line for each result: what went in, what came out, and what to know about it."""
    columns = ("INPUT", "PREDICTION", "SCORE", "NOTE")
    print_table(columns, ((name_of(result, names), *outcome(result)) for result in results))


def print_models(models: Sequence[Model]) -> None:
    """A line for each model."""
    rows = (
        (
            model.name,
            model.task.removesuffix("_classification").replace("_", " "),
            model.versions_in_words,
            ", ".join(f"{channel}: {version}" for channel, version in model.channels.items()),
            model.title,
        )
        for model in models
    )
    print_table(("NAME", "TASK", "VERSIONS", "CHANNELS", "TITLE"), rows)


def print_model(model: Model) -> None:
    """What a model takes, what it answers, and how good it was found to be."""
    metrics = model.manifest.get("metrics") or {}
    print_facts(
        {
            "model": f"{model.name}: {model.title}",
            "task": model.task.replace("_", " "),
            "versions": model.versions_in_words,
            "channels": ", ".join(f"{channel} is {version}" for channel, version in model.channels.items()),
            "labels": _labels(_with_thresholds(model)),
            "answers": _quantity(model.quantity),
            "measured": ", ".join(
                f"{name} {_metric(metric)}" for name, metric in metrics.get("values", {}).items()
            ),
            "on": metrics.get("data") if metrics.get("values") else None,
        }
    )
    if features := model.manifest.get("features"):
        sys.stdout.write("\n")
        print_table(("FEATURE", "UNIT", "SEEN IN TRAINING", "EXAMPLE", "MEANING"), map(_feature, features))


def summary(job: Job, path: Path | None) -> str:
    """How many items came to which end, and where the results are."""
    counts = {"succeeded": job.succeeded, "failed": job.failed, "cancelled": job.cancelled}
    ends = ", ".join(f"{count} {end}" for end, count in counts.items() if count)
    return f"{job.total} items: {ends}." + ("" if path is None else f" Results: {path}")


def results_as_json(job: Job, results: Iterable[Result]) -> dict[str, Any]:
    """What --json prints for a job and its results."""
    return {"job": asdict(job), "results": [asdict(result) for result in results]}


@contextlib.contextmanager
def progress_of(job: Job, *, is_quiet: bool) -> Iterator[Callable[[Job], None]]:
    """Show on stderr, if a person is looking, how many items are done and how long the rest will take."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    is_shown = console.is_terminal and not is_quiet and not job.has_ended
    with Progress(*columns, console=console, transient=True, disable=not is_shown) as progress:
        task = progress.add_task(job.model, total=job.total)
        yield lambda latest: progress.update(task, completed=latest.done, total=latest.total)


def outcome(result: Result) -> tuple[str, str, str]:
    """The answer to an input as a person is told it, its score, and what to know about it."""
    if result.error is not None:
        return result.state, "", str(result.error)
    label, score, notes = result.label_text, "", []
    if label is not None and result.score is not None:
        score = f"{result.score:.1%}"
    if result.expected not in (None, label):
        notes.append(f"expected {result.expected}")
    if result.outside_training_range:
        notes.append(f"outside the range seen in training: {', '.join(result.outside_training_range)}")
    return result.answer or label or result.state, score, "; ".join(notes)


def _with_thresholds(model: Model) -> list[str]:
    """Labels; where each has a threshold of its own, with it."""
    thresholds = model.manifest.get("thresholds")
    if not thresholds:
        return model.labels
    return [f"{label} (from {each:.1%})" for label, each in zip(model.labels, thresholds, strict=False)]


def _quantity(quantity: dict[str, Any] | None) -> str | None:
    if quantity is None:
        return None
    unit = f" in {quantity['unit']}" if quantity.get("unit") else ""
    seen = [quantity.get("minimum"), quantity.get("maximum")]
    in_range = "" if None in seen else f", {seen[0]:g} to {seen[1]:g} in training"
    return f"{quantity.get('label')}{unit}{in_range}"


def _labels(labels: Sequence[str]) -> str:
    if len(labels) <= LABELS_SHOWN:
        return ", ".join(labels)
    return f"{', '.join(labels[:5])}, … ({len(labels)}; all of them with --json)"


def _metric(metric: dict[str, Any]) -> str:
    deviation = metric.get("std")
    return f"{metric.get('mean'):.3g}" + ("" if deviation is None else f" ± {deviation:.2g}")


def _feature(feature: dict[str, Any]) -> tuple[str, ...]:
    seen = " to ".join(
        "?" if value is None else f"{value:g}" for value in map(feature.get, ("minimum", "maximum"))
    )
    missing = feature.get("missing")
    if missing is not None:
        seen += f" ({missing:g} if missing)"
    return (
        feature["name"],
        feature.get("unit") or "",
        seen,
        f"{feature.get('example'):g}",
        feature.get("label", ""),
    )


def print_facts(facts: dict[str, str | None]) -> None:
    """A line for each fact that is known."""
    for name, fact in facts.items():
        if fact:
            sys.stdout.write(f"{name:<10} {on_one_line(fact)}\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout."""
    # Into a pipe goes every character; on a terminal long cells wrap.
    console = Console(width=None if sys.stdout.isatty() else UNLIMITED_WIDTH, highlight=False)
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(on_one_line(cell)) for cell in row))
    console.print(table)
