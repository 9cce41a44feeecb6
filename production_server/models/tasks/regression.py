"""Regression: the answer is one number, the value of a quantity with a unit; its score is that number."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np

from production_server.models.manifest import Manifest, Quantity, the_only
from production_server.models.table_numbers import number_of, plain_number
from production_server.models.tasks.bins import bin_of, exponent_for
from production_server.models.tasks.inputs import Inputs
from production_server.models.tasks.regression_evaluation import RegressionEvaluation, evaluate
from production_server.models.tasks.task import Bar, Judged, Prediction, Shown, Task, Verdict
from production_server.models.tensor_values import plain_values
from production_server.models.tensors import Tensors, only

SHOWN_DIGITS = 6
_LARGE = 1e15
"""From here on, a value is written with an exponent; so it is below `_SMALL`."""
_SMALL = 1e-4
_LONG = 10**20
"""Whole numbers are written whole below it: those of 64 bits are."""


class Regression(Task):
    """Answers with the manifest's quantity, whatever goes in."""

    verb = "regress"
    loss_name = "mean absolute error"
    loss_is_share = False
    card = "pages/answers/value_card.html"
    truth_is_number = True

    def __init__(self, manifest: Manifest, inputs: Inputs) -> None:
        super().__init__(manifest, inputs)
        self.answers = "a number"
        if manifest.quantity is not None:
            self.answers = _named(manifest.quantity)
        self._finest = self._finest_bin()

    def check_manifest(self) -> None:
        manifest = self.manifest
        output = the_only(manifest.outputs, "outputs")
        if output.item_shape not in ((), (1,)) or output.dtype in ("string", "bool"):
            raise ValueError("outputs: expected one number, shape [null, 1] or [null]")
        quantity = manifest.quantity
        if quantity is None:
            raise ValueError("quantity: expected the name of what it answers")
        low, high = quantity.minimum, quantity.maximum
        if low is not None and high is not None and low > high:
            raise ValueError("quantity: expected a minimum that is not above the maximum")
        if manifest.labels or manifest.threshold or manifest.thresholds or manifest.top:
            raise ValueError("labels, threshold, thresholds, top: expected none: the answer is a number")

    def predict(self, outputs: Tensors) -> list[Prediction]:
        """Numbers are kept with as many digits as tell them apart from their neighbours in their own dtype."""
        values = plain_values(only(outputs).reshape(-1))
        scores = map(float, values)
        return [
            Prediction(None, score, (value,), bin_of(score, self._finest))
            for score, value in zip(scores, values, strict=True)
        ]

    def show(self, prediction: Prediction) -> Shown:
        return Shown(self._written(_value_of(prediction)))

    def read_truth(self, text: str) -> str | None:
        """A finite number, as it is written."""
        return plain_number(text)

    @property
    def truths(self) -> str:
        unit = self._quantity.unit
        return f"a number, in {unit}" if unit else "a number"

    @property
    def measures(self) -> str:
        return "mean and root mean squared error, R², and a plot of true against predicted values"

    @property
    def example_truth(self) -> str:
        quantity = self._quantity
        known = quantity.maximum if quantity.maximum is not None else quantity.minimum
        return shown_value(1 if known is None else known)

    def verdict(self, expected: str, prediction: Prediction | None) -> Verdict:
        truth = number_of(expected)
        told = f"truly {self._written(truth)}"
        if prediction is None:
            return Verdict(told)
        apart = _value_of(prediction) - truth
        if not apart or not math.isfinite(apart):
            return Verdict(told)
        return Verdict(f"{told}, {shown_value(abs(apart))} too {'high' if apart > 0 else 'low'}")

    def loss(self, prediction: Prediction, truth: str) -> float:
        """How far the value is from the true one, in the quantity's unit."""
        return abs(_value_of(prediction) - number_of(truth))

    def bars(self, prediction: Prediction) -> list[Bar]:
        """Where the value lies in the range that training saw, if that is known."""
        quantity = self._quantity
        low, high = quantity.minimum, quantity.maximum
        if low is None or high is None or not low < high:
            return []
        # Exactly: a range may be wider than a float is large, or narrower than one is small.
        width = Fraction(high) - Fraction(low)
        share = (Fraction(_value_of(prediction)) - Fraction(low)) / width
        outside = "" if 0 <= share <= 1 else "outside "
        label = f"{outside}{shown_value(low)} to {self._written(high)}"
        drawn = float(min(max(share, Fraction(0)), Fraction(1)))
        return [Bar(label, drawn, is_answer=True, threshold=None, text="")]

    def columns(self) -> list[str]:
        quantity = self._quantity
        return [f"predicted {quantity.name}" + (f" ({quantity.unit})" if quantity.unit else "")]

    def cells(self, prediction: Prediction) -> list[object]:
        return list(prediction.output)

    def evaluate(self, items: Iterable[Judged]) -> RegressionEvaluation | None:
        return evaluate(items, unit=self._quantity.unit)

    def results(self, outputs: Tensors) -> list[Any]:
        """Each item's number."""
        return list(np.reshape(only(outputs), -1))

    @property
    def _quantity(self) -> Quantity:
        if self.manifest.quantity is None:
            raise ValueError("the manifest was not checked: it has no quantity")
        return self.manifest.quantity

    def _written(self, value: float) -> str:
        unit = self._quantity.unit
        return f"{shown_value(value)} {unit}" if unit else shown_value(value)

    def _finest_bin(self) -> int | None:
        quantity = self.manifest.quantity
        return None if quantity is None else exponent_for(quantity.minimum, quantity.maximum)


def shown_value(value: float) -> str:
    """A value as people read it: six digits, or all before the point; whole numbers whole.

    Downloads have all digits.
    """
    if isinstance(value, int) and abs(value) < _LONG:
        return str(value)
    size = abs(value)
    if size and not _SMALL <= size < _LARGE:
        return f"{value:.{SHOWN_DIGITS}g}"
    digits_before = math.floor(math.log10(size)) + 1 if size else 1
    text = f"{value:.{max(0, SHOWN_DIGITS - digits_before)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _value_of(prediction: Prediction) -> float:
    value: float = prediction.output[0]
    return value


def _named(quantity: Quantity) -> str:
    return f"{quantity.label}, in {quantity.unit}" if quantity.unit else quantity.label
