"""Graphs in whole numbers: what becomes of the operators, and which graphs are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from production_server.errors import InvalidInput
from production_server.models.importing.onnx_int8 import write_int8
from production_server.models.tensors import Tensors
from testing.foreign_graphs import FOREIGN_MODELS, dense, model_of, write
from testing.small_models import write_convolution_model

GENERATOR = np.random.default_rng(7)


def made(file: Path, folder: Path, **inputs: np.ndarray) -> onnx.ModelProto:
    write_int8(file, folder / "int8.onnx", [inputs], folder, weight_bits=7)
    return onnx.load(folder / "int8.onnx")


def answers(file: Path, inputs: Tensors) -> Any:
    return onnxruntime.InferenceSession(file).run(None, dict(inputs))[0]


def makers(model: onnx.ModelProto, op_type: str) -> set[str]:
    """What makes the first inputs of all operators of that kind."""
    by_output = {name: node.op_type for node in model.graph.node for name in node.output}
    return {by_output.get(node.input[0], "") for node in model.graph.node if node.op_type == op_type}


def test_convolutions_take_whole_numbers_and_the_graph_answers_nearly_the_same(tmp_path: Path) -> None:
    file = write_convolution_model(tmp_path) / "model.onnx"
    pixels = GENERATOR.random((40, 16, 16, 1), np.float32) * np.linspace(0, 2, 40, dtype=np.float32).reshape(
        -1, 1, 1, 1
    )

    model = made(file, tmp_path, image=pixels)

    assert makers(model, "Conv") == makers(model, "Gemm") == {"DequantizeLinear"}
    assert {each.data_type for each in model.graph.initializer if len(each.dims) == 4} == {TensorProto.INT8}
    wanted, found = (answers(each, {"image": pixels}) for each in (file, tmp_path / "int8.onnx"))
    assert np.abs(wanted - found).max() < 0.1
    assert len(file.read_bytes()) > 3 * len((tmp_path / "int8.onnx").read_bytes())


def test_inputs_outputs_and_what_makes_probabilities_stay_as_they_are(tmp_path: Path) -> None:
    file = write_convolution_model(tmp_path) / "model.onnx"

    model = made(file, tmp_path, image=GENERATOR.random((40, 16, 16, 1), np.float32))

    before = onnx.load(file).graph
    for kind in ("input", "output"):
        assert getattr(model.graph, kind) == getattr(before, kind)
    assert makers(model, "Softmax") == {"Gemm"} and len(model.graph.output) == 1
    assert [each.domain for each in model.opset_import] == [""]


def test_columns_are_normalized_as_before(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Add", ["x", "less"], ["centred"]),
        helper.make_node("MatMul", ["centred", "kernel"], ["y"]),
    ]
    constants = {
        "less": np.array([-1e6, 0, 0, 0], np.float32),
        "kernel": GENERATOR.standard_normal((4, 3)).astype(np.float32),
    }
    file = write(model_of(nodes, [("x", [None, 4])], [("y", [None, 3])], constants), tmp_path / "a.onnx")
    rows = GENERATOR.random((50, 4), np.float32)
    rows[:, 0] += 1e6

    made(file, tmp_path, x=rows)

    wanted, found = (answers(each, {"x": rows}) for each in (file, tmp_path / "int8.onnx"))
    assert np.abs(wanted - found).max() < 0.1


def test_weights_that_are_stacks_of_matrices_run(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "kernel"], ["y"])]
    kernel = GENERATOR.standard_normal((5, 4, 3)).astype(np.float32)
    shapes = [("x", [None, 5, 2, 4])], [("y", [None, 5, 2, 3])]
    file = write(model_of(nodes, *shapes, {"kernel": kernel}), tmp_path / "a.onnx")
    items = GENERATOR.standard_normal((30, 5, 2, 4)).astype(np.float32)

    made(file, tmp_path, x=items)

    wanted, found = (answers(each, {"x": items}) for each in (file, tmp_path / "int8.onnx"))
    assert np.abs(wanted - found).max() < 0.2


@pytest.mark.parametrize("name", ["iris_pipeline.onnx", "topics_one_vs_rest.onnx"])
def test_a_graph_without_products_has_nothing_to_gain(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"products \(Conv.*one without: there is nothing to gain"):
        made(FOREIGN_MODELS / name, tmp_path)


def test_whole_numbers_are_not_made_twice(tmp_path: Path) -> None:
    rows = GENERATOR.random((40, 4), np.float32)
    made(write(dense("Softmax"), tmp_path / "a.onnx"), tmp_path, x=rows)

    with pytest.raises(InvalidInput, match="in floating-point numbers, got one in whole numbers already"):
        made(tmp_path / "int8.onnx", tmp_path, x=rows)


def test_numbers_of_64_bits_are_left_alone_and_that_is_told(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "kernel"], ["z"]), helper.make_node("Cast", ["z"], ["y"], to=1)]
    shapes = [("x", [None, 4])], [("y", [None, 3])]
    model = model_of(nodes, *shapes, {"kernel": np.ones((4, 3))}, elem_type=TensorProto.DOUBLE)

    with pytest.raises(
        InvalidInput, match="model: expected a graph that ONNX Runtime makes whole numbers of"
    ):
        made(write(model, tmp_path / "a.onnx"), tmp_path, x=GENERATOR.random((40, 4)))
