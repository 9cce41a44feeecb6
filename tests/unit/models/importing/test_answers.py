"""What an output is taken for, of a file and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from production_server.errors import InvalidInput
from production_server.models.importing.answers import Answers, answers_of
from production_server.models.importing.described import Described
from production_server.models.importing.onnx_file import read
from production_server.models.importing.sample import Rows
from testing.foreign_graphs import FOREIGN_MODELS, dense, write


def quantity(dtype: str) -> onnx.ModelProto:
    """Twice its only feature."""
    kind = onnx.TensorProto.DOUBLE if dtype == "float64" else onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["cast"], to=kind),
            helper.make_node("Add", ["cast", "cast"], ["y"]),
        ],
        "double",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor_value_info("y", kind, ["n", 1])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


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


@pytest.mark.parametrize(
    ("activation", "wanted"), [("Softmax", "softmax"), ("Softmax", "sigmoid"), ("Sigmoid", "sigmoid")]
)
def test_nothing_is_put_behind_what_is_probabilities_already(
    tmp_path: Path, activation: str, wanted: str
) -> None:
    with pytest.raises(InvalidInput, match="the output is probabilities already") as caught:
        answers(write(dense(activation), tmp_path / "a.onnx"), tmp_path, activation=wanted)

    assert caught.value.faults[0].field == "activation"


@pytest.mark.parametrize(
    ("activation", "wanted"), [(None, "softmax"), (None, "sigmoid"), ("LogSoftmax", "softmax")]
)
def test_logits_get_what_is_asked_for(tmp_path: Path, activation: str | None, wanted: str) -> None:
    found = answers(write(dense(activation), tmp_path / "a.onnx"), tmp_path, activation=wanted)

    assert [type(step).__name__.lower() for step in found.behind] == [wanted]


def test_a_model_of_many_labels_keeps_the_best(tmp_path: Path) -> None:
    found = answers(write(dense("Softmax", answers=100), tmp_path / "a.onnx"), tmp_path)

    assert found.fields["top"] == 5
    assert found.fields["labels"][99] == "class_99"


def test_labels_of_a_quantity_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="labels: expected none"):
        answers(
            FOREIGN_MODELS / "disease_regressor.onnx", tmp_path, labels=("a", "b"), task="tabular_regression"
        )


def test_a_quantity_keeps_the_dtype_of_its_output(tmp_path: Path) -> None:
    """Half of the digits of a double would be lost in a float32."""
    found = answers(write(quantity("float64"), tmp_path / "a.onnx"), tmp_path)

    assert (found.served.dtype, found.behind) == ("float64", ())


def test_the_range_of_a_quantity_is_that_of_the_sample_unless_somebody_says_it(tmp_path: Path) -> None:
    rows = Rows(("x",), np.zeros((3, 1)), "size", ("151,5", "75.0", ""))
    file = write(quantity("float32"), tmp_path / "a.onnx")
    opened = read(file, tmp_path)

    def told(**said: Any) -> Any:
        found = answers_of(opened, opened.outputs[0], Described(**said), rows, is_image=False)
        return found.kind, found.fields["quantity"]["minimum"], found.fields["quantity"]["maximum"]

    assert told() == ("regression", 75.0, 151.5)
    assert told(quantity={"minimum": 0}) == ("regression", 0.0, 151.5)


@pytest.mark.parametrize("name", ["topics_one_vs_rest.onnx", "topics_network.onnx"])
def test_a_matrix_beside_probabilities_tells_of_several_labels(tmp_path: Path, name: str) -> None:
    found = answers(FOREIGN_MODELS / name, tmp_path, labels=("sport", "art", "trade", "law"))

    assert found.kind == "multilabel_classification"
    assert found.fields["thresholds"] == (0.5, 0.5, 0.5, 0.5)
    assert any("Each label is an answer from a probability of 0.5 on" in note for note in found.notes)


def test_labels_of_several_at_once_are_those_in_the_cells_of_the_sample(tmp_path: Path) -> None:
    rows = Rows(("x",), np.zeros((4, 1)), "topics", ("b|a", "none", "d", "c|d"))
    opened = read(FOREIGN_MODELS / "topics_one_vs_rest.onnx", tmp_path)

    found = answers_of(opened, opened.outputs[0], Described(), rows, is_image=False)

    assert found.fields["labels"] == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"labels": ("a", "b", "c|d", "e")}, "without |"),
        ({"thresholds": (0.5, 0.5)}, "thresholds: expected 4"),
        ({"top": 4}, "top: expected fewer than all 4"),
    ],
)
def test_what_is_said_of_several_labels_fits_them(tmp_path: Path, said: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidInput, match=fault.replace("|", r"\|")):
        answers(FOREIGN_MODELS / "topics_one_vs_rest.onnx", tmp_path, **said)
