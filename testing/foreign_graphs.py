"""Small ONNX files as others write them, with whatever may be wrong with such."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOREIGN_MODELS = Path(__file__).parents[1] / "tests" / "data" / "models"


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[tuple[str, Sequence[Any]]],
    outputs: Sequence[tuple[str, Sequence[Any]]],
    constants: dict[str, np.ndarray] | None = None,
    *,
    opset: int = 17,
    elem_type: int = TensorProto.FLOAT,
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """A graph of float32 tensors; shapes are lists with None for a size that may differ."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, elem_type, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="tests")


def dense(
    activation: str | None, *, answers: int = 3, features: int = 4, batch: int | None = None
) -> onnx.ModelProto:
    """One layer with an activation behind it: `x` [batch, features] to `y` [batch, answers]."""
    generator = np.random.default_rng(5)
    constants = {
        "kernel": generator.standard_normal((features, answers)).astype(np.float32),
        "bias": generator.standard_normal(answers).astype(np.float32),
    }
    given = "y" if activation is None else "z"
    nodes = [helper.make_node("Gemm", ["x", "kernel", "bias"], [given])]
    if activation is not None:
        nodes.append(helper.make_node(activation, ["z"], ["y"]))
    return model_of(nodes, [("x", [batch, features])], [("y", [batch, answers])], constants)


def write(model: onnx.ModelProto, path: Path) -> Path:
    """The model as a file."""
    path.write_bytes(model.SerializeToString())
    return path
