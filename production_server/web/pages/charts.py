"""Coordinates of the drawings that a page shows as inline SVG: numbers in, path data out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np

from production_server.models.tasks.bins import steps_from
from production_server.models.tasks.regression import shown_value
from production_server.models.tasks.roc import Roc
from production_server.models.tasks.scatter import Scatter
from production_server.models.tasks.task import Evaluated

MAX_POINTS = 400
MOST_TICKS = 7
DOT = 3
"""Points that are nearer to each other than so many units are drawn as one."""
SHADES = 4
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
class ScatterRow:
    """One row of the table beside points: items whose true value is in `range`."""

    range: str
    items: int
    answered: str
    """The mean of what was answered to them."""
    error: str
    """The mean of the errors' sizes."""


@dataclass(frozen=True, slots=True)
class ScatterChart:
    """True values against answers in a square of `side` units, origin at the top left, both on one scale."""

    side: int
    shades: tuple[str, ...]
    """Dots as path data, palest first: the more items lie in one, the darker it is."""
    ticks: tuple[tuple[float, str], ...]
    """How far from the origin, and the value there."""
    rows: tuple[ScatterRow, ...]
    unit: str | None


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


Chart = RocChart | ScatterChart


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


def chart_of(evaluated: Evaluated) -> Chart | None:
    """What there is to draw of a comparison; None: nothing."""
    if evaluated.scatter is not None:
        return scatter_chart(evaluated.scatter)
    return None if evaluated.roc is None else roc_chart(evaluated.roc, evaluated.threshold)


def scatter_chart(points: Scatter, *, side: int = 240) -> ScatterChart:
    """Draw points; those that fall on each other are one dot, so that a million of them make no longer page."""
    both = np.concatenate([points.true, points.answered])
    ticks = _ticks(float(both.min()), float(both.max()))
    x, y = (_positions(each, ticks) for each in (points.true, points.answered))
    places = np.rint(np.stack([x, 1 - y], axis=1) * side / DOT).astype(int) * DOT
    cells, counts = np.unique(places, axis=0, return_counts=True)
    weights = np.log(counts) / np.log(counts.max()) if counts.max() > 1 else np.ones(len(counts))
    shade = np.rint(weights * (SHADES - 1)).astype(int)
    return ScatterChart(
        side,
        tuple("".join(f"M{a} {b}h0" for a, b in cells[shade == each].tolist()) for each in range(SHADES)),
        tuple(
            (round(float(_positions(np.array(each), ticks)) * side, 1), shown_value(each)) for each in ticks
        ),
        tuple(_scatter_rows(points, ticks)),
        points.unit,
    )


def _scatter_rows(points: Scatter, ticks: Sequence[float]) -> Iterator[ScatterRow]:
    answered = points.answered.astype(np.longdouble)
    errors = np.abs(answered - points.true)
    place = np.clip(np.searchsorted(ticks, points.true, side="right") - 1, 0, len(ticks) - 2)
    for each in np.unique(place).tolist():
        here = place == each
        yield ScatterRow(
            f"{shown_value(ticks[each])} to {shown_value(ticks[each + 1])}",
            int(here.sum()),
            shown_value(float(answered[here].mean())),
            shown_value(float(errors[here].mean())),
        )


def _positions(values: np.ndarray, ticks: Sequence[float]) -> np.ndarray:
    """Where values lie between the outer ticks, as shares; in wider floats, since their distance may be no double."""
    low, high = np.longdouble(ticks[0]), np.longdouble(ticks[-1])
    return (values.astype(np.longdouble) - low) / (high - low)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, of which the outer ones embrace both."""
    start, stop = Decimal(repr(low)), Decimal(repr(high))
    width = stop - start or abs(stop) or Decimal(1)
    for step in steps_from((width / MOST_TICKS).adjusted()):
        first, last = (
            (start / step).to_integral_value(ROUND_FLOOR),
            (stop / step).to_integral_value(ROUND_CEILING),
        )
        if last - first < MOST_TICKS:
            break
    last = max(last, first + 1)
    largest = sys.float_info.max
    edges = (float(step * place) for place in range(int(first), int(last) + 1))
    return sorted({min(max(edge, -largest), largest) for edge in edges})


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
