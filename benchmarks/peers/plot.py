"""The comparison as one picture: answers per second by connections, a panel for each model."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.peers.catalogue import EMBEDDED, OURS, OWN
from benchmarks.peers.comparison import Comparison
from production_server.training.plots import STYLE

# Okabe and Ito's colours, which people with any colour vision tell apart; the marks tell them apart in grey.
LOOKS = {
    OURS: ("#000000", "o", "-"),
    EMBEDDED: ("#000000", "o", ":"),
    "LitServe": ("#0072B2", "s", "-"),
    "LitServe, no batches": ("#0072B2", "s", ":"),
    "MLServer": ("#D55E00", "^", "-"),
    "MLServer, no batches": ("#D55E00", "^", ":"),
    "BentoML": ("#009E73", "D", "-"),
    "Ray Serve": ("#CC79A7", "v", "-"),
    "Ray Serve, no batches": ("#CC79A7", "v", ":"),
    "Flask + Celery rpc://": ("#E69F00", "P", "-"),
}


def draw(comparison: Comparison, path: Path) -> None:
    """Write an SVG: medians, and bars from the least to the greatest of the rounds.

    There is a white card behind it, so that it can be read on light and dark pages.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(10, 4.6), layout="constrained", facecolor="white")
        panels = figure.subplots(1, len(comparison.models), squeeze=False)[0]
        for axes, model in zip(panels, comparison.models, strict=True):
            _draw_model(axes, comparison, model)
        panels[0].set_ylabel("answers per second")
        names, labels = panels[0].get_legend_handles_labels()
        figure.legend(names, labels, loc="outside lower center", ncols=5)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _draw_model(axes: Any, comparison: Comparison, model: str) -> None:
    places = range(len(comparison.connections))
    for server in comparison.servers:
        colour, mark, line = LOOKS[server]
        figures = [comparison.loads(server, model, at) for at in comparison.connections]
        rates = [[load.answers_per_s for load in loads] or [float("nan")] for loads in figures]
        middle = [statistics.median(each) for each in rates]
        below = [median - min(each) for median, each in zip(middle, rates, strict=True)]
        above = [max(each) - median for median, each in zip(middle, rates, strict=True)]
        look = {
            "marker": mark,
            "linestyle": line,
            "color": colour,
            "linewidth": 2.6 if server in OWN.values() else 1.4,
        }
        axes.errorbar(places, middle, (below, above), elinewidth=0.8, capsize=2, label=server, **look)
    axes.set(title=model, xlabel="connections", xticks=list(places), xticklabels=comparison.connections)
    axes.set_ylim(bottom=0)
