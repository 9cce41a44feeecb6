"""Progress bars with the time left, on standard error; where that is no terminal, plain lines and no bar."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Advance = Callable[[int], None]


class Reporter:
    """Tells the person at the terminal what happens and how long it will take."""

    def __init__(self, *, is_quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=is_quiet, highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        self._console.print(line, markup=False)

    @contextmanager
    def steps(self, description: str, total: int, *, done: int = 0) -> Iterator[Advance]:
        """Show a bar of `total` steps of which `done` are made already; yields what moves it on."""
        with self._bar(description, total, done=done, amount=MofNCompleteColumn()) as advance:
            yield advance

    @contextmanager
    def bytes(self, description: str, total: int | None, *, done: int = 0) -> Iterator[Advance]:
        """Show a bar of `total` bytes (None: unknown); yields what moves it on."""
        with self._bar(description, total, done=done, amount=DownloadColumn()) as advance:
            yield advance

    @contextmanager
    def _bar(
        self, description: str, total: int | None, *, done: int, amount: ProgressColumn
    ) -> Iterator[Advance]:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            amount,
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(elapsed_when_finished=False),
        )
        with Progress(*columns, console=self._console, speed_estimate_period=120.0) as progress:
            task = progress.add_task(description, total=total, completed=done)
            yield lambda count: progress.advance(task, count)
