"""Coordinates of the drawings that a page shows as inline SVG: numbers in, path data out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from production_server.models.tasks.roc import Roc

MAX_POINTS = 400
TABLE_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class RocPoint:
    """One row of the table beside a curve."""

    threshold: float
    sensitivity: float
    specificity: float
    is_chosen: bool
    """Whether this is the threshold that the model's answers use."""


@dataclass(frozen=True, slots=True)
class RocChart:
    """A ROC curve in a square of `side` units, origin at the top left."""

    side: int
    line: str
    area: str
    mark: tuple[float, float] | None
    """Where the model's own threshold lies on the curve."""
    auc: float
    points: tuple[RocPoint, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a chart, in hundredths of its width and height; `upper` stands on `lower`."""

    x: float
    width: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class ColumnChart:
    """Columns of counts, one beside the other; the chart is as high as `top`, a round number."""

    top: int
    columns: tuple[Column, ...]


def column_chart(lower: Sequence[int], upper: Sequence[int] | None = None) -> ColumnChart:
    """Draw counts as columns with gaps between them; `upper` counts stand on the lower ones."""
    upper = upper if upper is not None else [0] * len(lower)
    top = round_up(max((a + b for a, b in zip(lower, upper, strict=True)), default=0))
    step = 100 / max(len(lower), 1)
    columns = tuple(
        Column(
            x=round((number + 0.1) * step, 3),
            width=round(0.8 * step, 3),
            lower=_height(a, top),
            upper=_height(b, top),
        )
        for number, (a, b) in enumerate(zip(lower, upper, strict=True))
    )
    return ColumnChart(top, columns)


def round_up(count: int) -> int:
    """The next of the numbers 1, 2, 5, 10, 20, 50 and so on."""
    if count <= 1:
        return 1
    power = int("1" + "0" * (len(str(count)) - 1))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= count)


def _height(count: int, top: int) -> float:
    """In hundredths; what is there can be seen."""
    return 0.0 if not count else max(round(100 * count / top, 2), 0.75)


def roc_chart(curve: Roc, threshold: float | None, *, side: int = 240) -> RocChart:
    """Draw a curve; a long one keeps only the corners, at most `MAX_POINTS` of them."""
    x, y = _corners(curve.false_positive_rate, curve.true_positive_rate)
    line = "M" + " L".join(f"{a * side:.1f} {(1 - b) * side:.1f}" for a, b in zip(x, y, strict=True))
    mark = None
    if threshold is not None:
        false_positive_rate, true_positive_rate = curve.at(threshold)
        mark = (round(false_positive_rate * side, 1), round((1 - true_positive_rate) * side, 1))
    return RocChart(side, line, f"{line} L{side} {side} Z", mark, curve.auc, _table(curve, threshold))


def _corners(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points where the curve turns; of too many, evenly spaced ones and both ends."""
    dx, dy = np.diff(x), np.diff(y)
    turns = np.flatnonzero(np.abs(dx[:-1] * dy[1:] - dx[1:] * dy[:-1]) > 1e-15) + 1
    kept = np.concatenate(([0], turns, [len(x) - 1]))
    if len(kept) > MAX_POINTS:
        kept = kept[np.linspace(0, len(kept) - 1, MAX_POINTS).round().astype(int)]
    return x[kept], y[kept]


def _table(curve: Roc, chosen: float | None) -> tuple[RocPoint, ...]:
    thresholds = sorted({*TABLE_THRESHOLDS, *(() if chosen is None else (chosen,))})
    rates = [(threshold, *curve.at(threshold)) for threshold in thresholds]
    return tuple(
        RocPoint(threshold, true_positive_rate, 1 - false_positive_rate, threshold == chosen)
        for threshold, false_positive_rate, true_positive_rate in rates
    )
