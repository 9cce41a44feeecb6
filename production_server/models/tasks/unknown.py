"""The task of a version that was taken away: its results stay readable, as far as they tell it themselves."""

from __future__ import annotations

from collections.abc import Sequence

from production_server.errors import CeleriacError
from production_server.models.table import Truth
from production_server.models.tasks.inputs import CheckedInput, CheckedTable, Decoded, Inputs
from production_server.models.tasks.label_sets import labels_in, written
from production_server.models.tasks.task import Prediction, Shown, Task
from production_server.models.tensors import Tensors


class _UnknownInputs(Inputs):
    name, noun, plural = "unknown", "item", "inputs"

    def check_manifest(self) -> None:
        raise NotImplementedError

    def check_json(self, inputs: Sequence[object], *, max_pixels: int, first: int = 0) -> list[CheckedInput]:
        raise NotImplementedError

    def check_file(self, data: bytes, *, field: str, max_pixels: int) -> None:
        raise NotImplementedError

    def check_table(self, data: bytes, *, max_rows: int, truth: Truth) -> CheckedTable:
        raise NotImplementedError

    def decode(self, payloads: Sequence[bytes | CeleriacError], *, max_pixels: int) -> Decoded:
        raise NotImplementedError


class _Unknown(Task):
    """There is no manifest: nothing but results can be asked about."""

    answers = "something"

    def __init__(self) -> None:
        self.inputs = _UnknownInputs()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def check_manifest(self) -> None:
        raise NotImplementedError

    def predict(self, outputs: Tensors) -> list[Prediction]:
        raise NotImplementedError

    def show(self, prediction: Prediction) -> Shown:
        if prediction.label is None:
            return Shown("an answer" if prediction.score is None else str(prediction.score))
        is_one = labels_in(prediction.label) is None
        return Shown(written(prediction.label), prediction.score if is_one else None)

    def numbers(self, prediction: Prediction) -> list[int | float] | None:
        output = prediction.output
        is_flat = isinstance(output, tuple) and all(isinstance(each, int | float) for each in output)
        return list(output) if is_flat else None


UNKNOWN: Task = _Unknown()
