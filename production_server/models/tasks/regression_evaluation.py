"""How far values are from the true ones that came with the items."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from production_server.models.tasks.scatter import Scatter
from production_server.models.tasks.task import Evaluated, Judged


@dataclass(frozen=True, slots=True)
class RegressionEvaluation(Evaluated):
    """True values held against answers; errors are in the quantity's unit."""

    template: ClassVar[str] = "pages/answers/value_evaluation.html"
    compared: int
    without_answer: int
    """Items whose true value is known and that failed or were cancelled; they count nowhere else."""
    mae: float
    """The mean of the errors' sizes."""
    rmse: float
    """The root of the mean of their squares: large errors count more."""
    r2: float | None
    """The share of the true values' variance that the answers explain; None where all true values are alike."""
    unit: str | None


def evaluate(items: Iterable[Judged], *, unit: str | None) -> RegressionEvaluation | None:
    """Hold the answers against the true values, in one pass; None if no item has both."""
    true, answered = array("d"), array("d")
    without_answer = 0
    for item in items:
        if item.expected is None:
            continue
        if item.prediction is None:
            without_answer += 1
            continue
        true.append(float(item.expected))
        answered.append(float(item.prediction.output[0]))
    if not true:
        return None
    points = Scatter(np.array(true), np.array(answered), unit)
    mae, rmse, r2 = _errors(points)
    return RegressionEvaluation(len(true), without_answer, mae, rmse, r2, unit, scatter=points)


def _errors(points: Scatter) -> tuple[float, float, float | None]:
    # In the widest floats that there are: the square of 1e200 is no double.
    true, answered = points.true.astype(np.longdouble), points.answered.astype(np.longdouble)
    errors = answered - true
    squares = np.square(errors)
    variance = np.square(true - true.mean()).sum()
    r2 = None if len(set(points.true.tolist())) == 1 else float(1 - squares.sum() / variance)
    return float(np.abs(errors).mean()), float(np.sqrt(squares.mean())), r2
