"""Changes to ONNX graphs: names, what stands before an input and behind an output, and what nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

BATCH = "batch"
_DTYPES: dict[int, str] = {
    TensorProto.BOOL: "bool",
    TensorProto.UINT8: "uint8",
    TensorProto.UINT16: "uint16",
    TensorProto.UINT32: "uint32",
    TensorProto.UINT64: "uint64",
    TensorProto.INT8: "int8",
    TensorProto.INT16: "int16",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.FLOAT16: "float16",
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.STRING: "string",
}
"""A manifest's names of ONNX' types."""
_TYPES = {name: number for number, name in _DTYPES.items()}


def dtype_of(elem_type: int) -> str | None:
    """A type as a manifest calls it; None for those that are not served (bfloat16, float8, complex, …)."""
    return _DTYPES.get(elem_type)


def type_of(dtype: str) -> int:
    """ONNX' number of a manifest's type."""
    return _TYPES[dtype]


def is_text_whole(message: Any) -> bool:
    """Whether all names and texts in a message of protobuf are text: those that are not come as bytes."""
    for field, value in message.ListFields():
        each = value if field.is_repeated else (value,)
        if field.type == field.TYPE_STRING and not all(isinstance(text, str) for text in each):
            return False
        if field.type == field.TYPE_MESSAGE and not all(map(is_text_whole, each)):
            return False
    return True


def nodes_of(graph: GraphProto) -> Iterator[NodeProto]:
    """All nodes, those of nested graphs (If, Loop, Scan) behind the one that has them."""
    for node in graph.node:
        yield node
        for nested in nested_graphs(node):
            yield from nodes_of(nested)


def nested_graphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs that a node runs."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def free_name(model: ModelProto, wanted: str) -> str:
    """`wanted`, or with a number behind it if something in the graph is called so."""
    taken = set(_names_in(model.graph))
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


def rename(model: ModelProto, old: str, new: str) -> None:
    """Call a tensor otherwise, everywhere but in the lists of the graph's inputs and outputs."""
    _rename(model.graph, old, new)


def make_room(model: ModelProto, name: str) -> None:
    """Leave a name to somebody else: what has it in the graph gets another one."""
    rename(model, name, free_name(model, f"{name}_inside"))


def add_constant(model: ModelProto, wanted: str, value: np.ndarray) -> str:
    """Keep an array in the graph; returns what it is called."""
    name = free_name(model, wanted)
    model.graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def tensor_info(name: str, dtype: str, sizes: Iterable[int | str | None]) -> onnx.ValueInfoProto:
    """The entry of an input or output whose first size is that of the batch."""
    return helper.make_tensor_value_info(name, type_of(dtype), [BATCH, *sizes])


def prune(graph: GraphProto) -> None:
    """Take out what no output of the graph needs: nodes and constants."""
    needed = {output.name for output in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
            needed.update(name for nested in nested_graphs(node) for name in _taken_by(nested))
    constants = [each for each in graph.initializer if each.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)


def _taken_by(graph: GraphProto) -> Iterator[str]:
    """What a nested graph may take from the one around it."""
    yield from (output.name for output in graph.output)
    for node in nodes_of(graph):
        yield from node.input


def _rename(graph: GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
        for nested in nested_graphs(node):
            _rename(nested, old, new)
            for output in nested.output:
                if output.name == old:
                    output.name = new
    for each in (*graph.value_info, *graph.initializer):
        if each.name == old:
            each.name = new


def _names_in(graph: GraphProto) -> Iterator[str]:
    for each in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        yield each.name
    for node in nodes_of(graph):
        yield from node.input
        yield from node.output
        for nested in nested_graphs(node):
            yield from (each.name for each in (*nested.input, *nested.initializer))
