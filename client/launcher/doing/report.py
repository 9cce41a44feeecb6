"""What a user sees while the launcher works: one live line on a terminal, else a line for each stage."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from client.output import print_error, print_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Stage:
    """What went on, and when it began: seconds after the start."""

    text: str
    began_s: float


class TimedReport:
    """Keeps every stage with its time, and shows what is new.

    It never fails: who cannot be told (a closed pipe, a full disk) must not keep the launcher from its work.
    """

    def __init__(
        self,
        elapsed_s: Callable[[], float],
        *,
        show: Callable[[Stage], None],
        note: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        self.stages: list[Stage] = []
        self._elapsed_s = elapsed_s
        self._show, self._note, self._warn = show, note, warn

    def stage(self, text: str) -> None:
        """Go on to a stage; the one that goes on already is not said again."""
        if not self.stages or self.stages[-1].text != text:
            self.stages.append(Stage(text, round(self._elapsed_s(), 1)))
            with contextlib.suppress(OSError):
                self._show(self.stages[-1])

    def note(self, text: str) -> None:
        """Tell what a user may want to know."""
        with contextlib.suppress(OSError):
            self._note(text)

    def warn(self, text: str) -> None:
        """Tell what a user must know, however quiet it shall be."""
        with contextlib.suppress(OSError):
            self._warn(text)


def minutes(seconds: float) -> str:
    """A duration as a person reads it: 1:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


@contextlib.contextmanager
def live_report(elapsed_s: Callable[[], float], *, is_quiet: bool) -> Iterator[TimedReport]:
    """A report on stderr."""
    console = Console(stderr=True, highlight=False)
    if is_quiet:
        yield TimedReport(elapsed_s, show=_nothing, note=_nothing, warn=print_error)
    elif not console.is_terminal:
        yield TimedReport(
            elapsed_s,
            show=lambda stage: print_note(f"[{minutes(stage.began_s)}] {stage.text}"),
            note=lambda text: print_note(f"note: {text}"),
            warn=print_error,
        )
    else:
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("", total=None)
            yield TimedReport(
                elapsed_s,
                show=lambda stage: progress.update(task, description=stage.text),
                note=lambda text: progress.console.print(f"note: {text}", markup=False),
                warn=lambda text: progress.console.print(f"error: {text}", markup=False),
            )


def _nothing(_said: object) -> None:
    pass
