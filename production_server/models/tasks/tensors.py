"""Tensors as they are: whatever a model takes and answers, when nobody says what it means."""

from __future__ import annotations

import math
from typing import Any

import orjson

from production_server.models.manifest import TensorSpec
from production_server.models.tasks.bins import bin_of
from production_server.models.tasks.task import Prediction, Shown, Task
from production_server.models.tensor_values import plain_values
from production_server.models.tensors import Tensors

MAX_COLUMNS = 20
"""An output of more numbers for each item is one column of a table, which has them as JSON."""
SHOWN_CHARACTERS = 2_000
"""Of a value on a page; downloads have all of it."""


class Tensor(Task):
    """Answers with the graph's outputs, by name."""

    answers = "tensors"

    def check_manifest(self) -> None:
        if self.manifest.labels:
            raise ValueError("labels: expected none: tensors have no names for what they hold")

    def predict(self, outputs: Tensors) -> list[Prediction]:
        """Numbers are kept with as many digits as tell them apart from their neighbours in their own dtype."""
        told = {name: plain_values(each) for name, each in outputs.items()}
        names = list(told)
        items = zip(*told.values(), strict=True)
        if len(names) == 1 and self._is_number(self.manifest.outputs[0]):
            return [_number(names[0], value) for (value,) in items]
        return [Prediction(None, None, dict(zip(names, values, strict=True))) for values in items]

    def show(self, prediction: Prediction) -> Shown:
        told = [f"{name} {_shape_or_value(value)}" for name, value in prediction.output.items()]
        if len(told) == 1:
            told = [_shape_or_value(next(iter(prediction.output.values())))]
        return Shown(", ".join(told))

    def numbers(self, prediction: Prediction) -> dict[str, Any]:
        return dict(prediction.output)

    def values(self, prediction: Prediction) -> list[tuple[str, str]]:
        return [(name, _cut(_json(value))) for name, value in prediction.output.items()]

    def columns(self) -> list[str]:
        return [column for spec in self.manifest.outputs for column in _columns(spec)]

    def cells(self, prediction: Prediction) -> list[object]:
        return [
            cell
            for spec in self.manifest.outputs
            for cell in _cells(prediction.output.get(spec.name), len(_columns(spec)))
        ]

    @staticmethod
    def _is_number(spec: TensorSpec) -> bool:
        return spec.dtype not in ("string", "bool") and spec.item_shape in ((), (1,))


def _number(name: str, value: Any) -> Prediction:
    number = float(value[0] if isinstance(value, list) else value)
    return Prediction(None, number, {name: value}, bin_of(number))


def _shape_or_value(value: Any) -> str:
    """A single value itself, of more their shape."""
    shape: list[str] = []
    while isinstance(value, list | tuple):
        shape.append(str(len(value)))
        value = value[0] if value else None
    if set(shape) <= {"1"}:
        return f"{value:g}" if isinstance(value, float) else _cut(str(value))
    return f"[{', '.join(shape)}]"


def _columns(spec: TensorSpec) -> list[str]:
    count = None if None in spec.item_shape else math.prod(spec.known_item_shape)
    if count == 1 or count is None or count > MAX_COLUMNS:
        return [spec.name]
    return [f"{spec.name} {place}" for place in range(1, count + 1)]


def _cells(value: Any, count: int) -> list[object]:
    if count == 1:
        while isinstance(value, list | tuple) and len(value) == 1:
            value = value[0]
        return [_json(value) if isinstance(value, list | tuple) else value]
    return _flat(value)


def _flat(value: Any) -> list[object]:
    if not isinstance(value, list | tuple):
        return [value]
    return [each for part in value for each in _flat(part)]


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + " …"
