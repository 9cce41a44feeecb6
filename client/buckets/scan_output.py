"""What a user sees of scans: tables on stdout, progress on stderr."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from client.output import print_facts, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from client.answers import Scan


def print_scans(scans: Sequence[Scan]) -> None:
    """A line for each scan."""
    columns = ("ID", "STATE", "LOCATION", "PATTERN", "MODEL", "LISTED", "DONE", "SKIPPED", "CREATED")
    rows = (
        (
            scan.id,
            scan.state,
            scan.url,
            scan.pattern,
            scan.model,
            f"{scan.listed:,}",
            "dry run" if scan.job is None else f"{scan.job.done:,}/{scan.job.total:,}",
            f"{scan.skipped:,}",
            scan.created or "",
        )
        for scan in scans
    )
    print_table(columns, rows)


def print_scan(scan: Scan) -> None:
    """A line for each fact of one scan, and of the job that it makes."""
    job = scan.job
    done = (
        ""
        if job is None
        else f"{job.succeeded:,} succeeded, {job.failed:,} failed, {job.cancelled:,} cancelled"
    )
    found = f"{scan.listed:,} objects listed, {scan.matched:,} to classify"
    print_facts(
        {
            "scan": scan.id,
            "state": scan.state,
            "location": f"{scan.url} ({scan.pattern})",
            "model": f"{scan.model} version {scan.version}",
            "found": found + (f", {scan.skipped:,} left out: classified already" if scan.skipped else ""),
            "items": done,
            "waiting for": None if job is None or job.waiting is None else str(job.waiting),
            "error": None if scan.error is None else str(scan.error),
            "created": scan.created,
            "finished": scan.finished if job is None else job.finished,
            "results": None if job is None else job.links.get("results_csv"),
            "page": None if job is None else job.links.get("page"),
        }
    )


@contextlib.contextmanager
def progress_of_scan(scan: Scan, *, is_quiet: bool) -> Iterator[Callable[[Scan], None]]:
    """Show on stderr, if a person is looking, what is listed and classified, how fast, and the time left."""
    console = Console(stderr=True)
    rate = TextColumn("{task.fields[rate]}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        rate,
        TimeRemainingColumn(),
    )
    is_shown = console.is_terminal and not is_quiet and not scan.is_over
    with Progress(*columns, console=console, transient=True, disable=not is_shown) as progress:
        task = progress.add_task("listing", total=None, rate="")

        def watch(latest: Scan) -> None:
            done, total = (latest.listed, None) if latest.job is None else (latest.job.done, latest.job.total)
            speed = progress.tasks[0].speed
            progress.update(
                task,
                description=f"{latest.listed:,} listed",
                completed=done,
                # While it is listed nobody knows how many there will be.
                total=None if latest.state == "listing" else total,
                rate="" if not speed else f"{speed:,.0f}/s",
            )

        yield watch
