"""One line on stderr that says how it stands, while a person is looking; what is printed goes above it."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UPDATE_S = 0.2


@contextlib.contextmanager
def status_line(line: Callable[[], str], *, is_quiet: bool) -> Iterator[Callable[[], None]]:
    """Show a line; what is yielded has it told anew, if it is time for that."""
    console = Console(stderr=True)
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        disable=is_quiet or not console.is_terminal,
    )
    with progress:
        task, last = progress.add_task(line()), 0.0

        def watch() -> None:
            nonlocal last
            if time.monotonic() > last + UPDATE_S:
                last = time.monotonic()
                progress.update(task, description=line())

        yield watch
