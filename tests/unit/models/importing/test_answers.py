"""What an output is taken for, of a file and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from production_server.errors import InvalidInput
from production_server.models.importing.answers import Answers, answers_of
from production_server.models.importing.described import Described
from production_server.models.importing.onnx_file import read
from testing.foreign_graphs import FOREIGN_MODELS, dense, write


def answers(file: Path, folder: Path, *, is_image: bool = False, **said: Any) -> Answers:
    opened = read(file, folder)
    return answers_of(opened, opened.outputs[0], Described(**said), None, is_image=is_image)


def test_one_linear_number_is_a_quantity(tmp_path: Path) -> None:
    found = answers(
        FOREIGN_MODELS / "disease_regressor.onnx", tmp_path, quantity={"name": "Progress", "unit": "points"}
    )

    assert found.kind == "regression"
    assert (found.served.shape, found.behind) == ((None, 1), ())
    assert found.fields["quantity"] == {
        "name": "progress", "label": "Progress", "unit": "points", "minimum": None, "maximum": None,
    }  # fmt: skip


def test_several_sigmoids_are_several_labels_at_once(tmp_path: Path) -> None:
    found = answers(write(dense("Sigmoid"), tmp_path / "a.onnx"), tmp_path, labels=("a", "b", "c"))

    assert found.kind == "multilabel_classification"
    assert found.fields == {"labels": ("a", "b", "c"), "thresholds": (0.5, 0.5, 0.5)}


@pytest.mark.parametrize(
    ("activation", "steps"), [("Softmax", []), (None, ["Softmax"]), ("LogSoftmax", ["Exp"])]
)
def test_what_is_no_probability_is_made_one(tmp_path: Path, activation: str | None, steps: list[str]) -> None:
    found = answers(write(dense(activation), tmp_path / "a.onnx"), tmp_path, labels=("a", "b", "c"))

    assert [type(step).__name__ for step in found.behind] == steps
    numbers = np.random.default_rng(1).standard_normal((5, 3)).astype(np.float32)
    for step in found.behind:
        numbers = step.compute(numbers)
    assert not steps or steps == ["Exp"] or np.allclose(numbers.sum(axis=1), 1)


def test_a_model_of_many_labels_keeps_the_best(tmp_path: Path) -> None:
    found = answers(write(dense("Softmax", answers=100), tmp_path / "a.onnx"), tmp_path)

    assert found.fields["top"] == 5
    assert found.fields["labels"][99] == "class_99"


def test_labels_of_a_quantity_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="labels: expected none"):
        answers(
            FOREIGN_MODELS / "disease_regressor.onnx", tmp_path, labels=("a", "b"), task="tabular_regression"
        )
