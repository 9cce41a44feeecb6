"""The batch of a graph: one exported for a fixed number of items is made to take any, if it answers the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from production_server.errors import InferenceFailed, InvalidInput
from production_server.models.importing.batches import are_alike
from production_server.models.importing.drawn import draw
from production_server.models.importing.onnx_graph import BATCH
from production_server.models.importing.onnx_sessions import plain_graph
from production_server.models.manifest import TensorSpec
from production_server.models.tensors import Tensors

_DYNAMIC = (
    "a graph for any number of items: export it with a dynamic first dimension "
    '(PyTorch: dynamic_shapes, or dynamic_axes={"input": {0: "batch"}}; tf2onnx: shape [None, …])'
)
_BATCHES = 3


def unfix_batch(model: ModelProto, inputs: Sequence[TensorSpec]) -> list[str]:
    """Have a graph take any number of items; returns what was changed, for people.

    Raises:
        InvalidInput: it was exported for a fixed number, and answers otherwise when it gets another one.
    """
    sizes = {_first_size(entry) for entry in model.graph.input} - {None}
    for entry in model.graph.input:
        entry.type.tensor_type.shape.dim[0].dim_param = BATCH
    if not sizes:
        return []
    if len(sizes) > 1:
        raise InvalidInput.at("inputs", _DYNAMIC, "inputs for different numbers of items")
    (fixed,) = sizes
    original = ModelProto()
    original.CopyFrom(model)
    for each, size in zip(original.graph.input, [fixed] * len(original.graph.input), strict=True):
        each.type.tensor_type.shape.dim[0].dim_value = size or 1
    _free(model, fixed or 1)
    _compare(original, model, inputs, fixed or 1)
    items = "one item" if fixed == 1 else f"{fixed} items"
    return [
        f"It was exported for batches of {items}; it answers the same in batches of any size, and is served so."
    ]


def _compare(original: ModelProto, model: ModelProto, inputs: Sequence[TensorSpec], fixed: int) -> None:
    names = [entry.name for entry in model.graph.output]
    before = plain_graph(original.SerializeToString(), names)
    drawn = draw(inputs, fixed * _BATCHES, np.random.default_rng(3))
    parts = [
        {name: array[start : start + fixed] for name, array in drawn.items()}
        for start in range(0, fixed * _BATCHES, fixed)
    ]
    try:
        wanted = [before(part) for part in parts]
        after = plain_graph(model.SerializeToString(), names)
        found: Tensors = after(drawn)
    except (InferenceFailed, InvalidInput) as exc:
        raise InvalidInput.at("inputs", _DYNAMIC, f"one for {fixed}, which fails on more") from exc
    if not all(are_alike(found[name], [each[name] for each in wanted]) for name in names):
        raise InvalidInput.at(
            "inputs", _DYNAMIC, f"one for {fixed}, which answers otherwise in larger batches"
        )


def _first_size(entry: object) -> int | None:
    size = entry.type.tensor_type.shape.dim[0].dim_value  # type: ignore[attr-defined]  # a message of protobuf
    return size if size > 0 else None


def _free(model: ModelProto, fixed: int) -> None:
    """Take the number of items out of what the graph declares, and out of the shapes that it reshapes to."""
    graph = model.graph
    del graph.value_info[:]
    for entry in graph.output:
        tensor = entry.type.tensor_type
        if tensor.HasField("shape") and tensor.shape.dim:
            tensor.shape.dim[0].dim_param = BATCH
    constants = {each.name: each for each in graph.initializer}
    constants |= {
        node.output[0]: attribute.t
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    for node in graph.node:
        if node.op_type == "Reshape" and len(node.input) == 2 and node.input[1] in constants:
            _free_reshape(model, node, constants[node.input[1]], fixed)


def _free_reshape(model: ModelProto, node: NodeProto, constant: TensorProto, fixed: int) -> None:
    shape = numpy_helper.to_array(constant).copy()
    if shape.ndim != 1 or not shape.size or shape[0] != fixed:
        return
    if -1 not in shape:
        shape[0] = -1
    elif 0 in shape:
        return
    else:
        shape[0] = 0  # as large as it was
        kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
        del node.attribute[:]
        node.attribute.extend(kept)
    # A constant of its own: others may use the same one for something else.
    name = f"{node.output[0]}_shape_of_any_batch"
    model.graph.initializer.append(numpy_helper.from_array(shape, name))
    node.input[1] = name
