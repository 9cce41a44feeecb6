"""What changes from round to round as one picture: a line for each thing that is told, through the mean of its runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from production_server.training.plots import STYLE

# Okabe and Ito's colours, which people with any colour vision tell apart; the marks tell them apart in grey.
LOOKS = (("#0072B2", "o"), ("#D55E00", "^"), ("#000000", "s"), ("#CC79A7", "D"))


@dataclass(frozen=True, slots=True)
class Line:
    """Shares of each run, by round."""

    name: str
    runs: Sequence[Sequence[float]]


def draw(path: Path, lines: Sequence[Line], *, at: Sequence[int], along: str, up: str, low: float) -> None:
    """Write an SVG: means as lines, each run as a mark; `along` and `up` say what the axes are, `low` where one begins.

    There is a white card behind it, so that it can be read on light and dark pages.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(7, 4), layout="constrained", facecolor="white")
        axes = figure.subplots()
        for line, (colour, mark) in zip(lines, LOOKS, strict=False):
            means = [statistics.mean(each) for each in zip(*line.runs, strict=True)]
            axes.plot(at, means, color=colour, marker=mark, label=line.name)
            for run in line.runs if len(line.runs) > 1 else ():
                axes.plot(at, run, color=colour, marker=mark, markersize=3, linestyle="", alpha=0.5)
        axes.set(xlabel=along, ylabel=up, xticks=list(at))
        axes.set_ylim(bottom=low, top=None if low > 0 else 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        figure.legend(loc="outside lower center", ncols=len(lines))
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
