"""The plots that people look at, as SVG files whose bytes depend on the numbers alone."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from production_server.training.checkpoint import Epoch

    Floats = NDArray[np.floating]

BLUE, ORANGE, GREY = "#0b6bcb", "#c2410c", "#6b7280"
STYLE: dict[str, Any] = {
    "svg.hashsalt": "celeriac",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "axes.axisbelow": True,
    "legend.frameon": False,
}
_NO_METADATA = {"Date": None, "Creator": None}


@contextmanager
def _figure(path: Path, *, width: float = 6.0, height: float = 4.0, columns: int = 1) -> Iterator[Any]:
    """Give the axes of a figure with a white card behind them and write it to `path`; sizes in inches."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
        yield figure.subplots(1, columns)
        figure.savefig(path, format="svg", metadata=_NO_METADATA)


def draw_learning_curves(history: Sequence[Epoch], path: Path, *, chosen: int) -> None:
    """Loss and accuracy by epoch on training and validation images; the chosen epoch is marked.

    The training loss is the higher one: its images are augmented and its labels smoothed.
    """
    numbers = np.arange(1, len(history) + 1)
    with _figure(path, width=9, columns=2) as (left, right):
        for axes, what in ((left, "loss"), (right, "accuracy")):
            axes.plot(
                numbers,
                [getattr(epoch, what) for epoch in history],
                color=ORANGE,
                label="training, augmented",
            )
            seen = [getattr(epoch, f"validation_{what}") for epoch in history]
            axes.plot(numbers, seen, color=BLUE, label="validation")
            axes.plot(chosen + 1, seen[chosen], "o", color=BLUE, label=f"chosen: epoch {chosen + 1}")
            axes.set(xlabel="epoch", ylabel=what)
        right.legend(loc="lower right")


def draw_confusion(table: NDArray[np.int64], labels: Sequence[str], path: Path) -> None:
    """The confusion matrix, counts in the cells, shaded by the share of each true class."""
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.5 * len(labels)
    with _figure(path, width=side + 0.5, height=side) as axes:
        axes.grid(visible=False)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
        axes.set_yticks(range(len(labels)), labels)
        axes.set(xlabel="answered", ylabel="true")
        if len(labels) <= 25:
            _write_counts(axes, table, shares)


def _write_counts(axes: Any, table: NDArray[np.int64], shares: Floats) -> None:
    for (row, column), count in np.ndenumerate(table):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "#374151"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)


def draw_roc(truth: NDArray[np.integer], scores: Floats, path: Path, *, threshold: float, area: str) -> None:
    """The ROC curve of pooled out-of-fold scores, with the decision threshold marked; `area` is its legend."""
    from sklearn.metrics import roc_curve

    false_rate, true_rate, cuts = roc_curve(truth, scores)
    at = int(np.argmin(np.abs(cuts - threshold)))
    with _figure(path, width=5, height=5) as axes:
        axes.plot([0, 1], [0, 1], "--", color=GREY, label="chance")
        axes.plot(false_rate, true_rate, color=BLUE, label=area)
        axes.plot(false_rate[at], true_rate[at], "o", color=ORANGE, label=f"threshold {threshold:.2f}")
        axes.set(xlabel="1 − specificity", ylabel="sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.legend(loc="lower right")


def draw_calibration(truth: NDArray[np.integer], scores: Floats, path: Path, *, bins: int = 10) -> None:
    """The observed share of positives by predicted probability, in bins of equal size."""
    order = np.argsort(scores, kind="stable")
    groups = np.array_split(order, bins)
    predicted = [float(scores[group].mean()) for group in groups]
    observed = [float(truth[group].mean()) for group in groups]
    with _figure(path, width=5, height=5) as axes:
        axes.plot([0, 1], [0, 1], "--", color=GREY, label="perfect")
        axes.plot(predicted, observed, "o-", color=BLUE, label="out-of-fold predictions")
        axes.set(xlabel="predicted probability", ylabel="observed share", xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="lower right")
