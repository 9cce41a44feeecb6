"""Has a graph take and give what its task is asked in, by operations before its inputs and behind its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, helper

from production_server.models.importing.onnx_graph import free_name, make_room, prune, rename, tensor_info
from production_server.models.importing.opened import Compute
from production_server.models.importing.operations import Operation
from production_server.models.manifest import TensorSpec
from production_server.models.tensors import Tensors


@dataclass(frozen=True)
class Fitting:
    """What a graph is served as.

    `before` has, for each of the file's inputs, the steps that make it of the one served input; without it all inputs
    are served as they are. `behind` has those from the one output that is kept to the served one.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    before: Mapping[str, Sequence[Operation]] = field(default_factory=dict)
    output: str | None = None
    """Which of the file's outputs is kept; None: all."""
    behind: Sequence[Operation] = ()

    @property
    def changes_nothing(self) -> bool:
        """Whether the file's graph is served as it is."""
        served = [spec.name for spec in self.inputs]
        return not any(self.before.values()) and list(self.before or served) == served and self.output is None

    def of(self, original: Compute) -> Compute:
        """What the original computes, of the served inputs, as the served outputs."""
        if self.changes_nothing:
            return original

        def compute(inputs: Tensors) -> Tensors:
            found = original(self._taken(inputs))
            if self.output is None:
                return found
            (served,) = self.outputs
            return {served.name: _through(self.behind, found[self.output])}

        return compute

    def change(self, file: Path) -> None:
        """Put the steps into the graph in an ONNX file."""
        if self.changes_nothing:
            return
        model = ModelProto.FromString(file.read_bytes())
        if self.before:
            _change_inputs(model, self.before, self.inputs[0])
        if self.output is not None:
            _change_output(model, self.output, self.behind, self.outputs[0])
        prune(model.graph)
        file.write_bytes(model.SerializeToString())

    def _taken(self, inputs: Tensors) -> Tensors:
        if not self.before:
            return inputs
        array = inputs[self.inputs[0].name]
        return {name: _through(steps, array) for name, steps in self.before.items()}


def _through(steps: Sequence[Operation], array: np.ndarray) -> np.ndarray:
    for step in steps:
        array = step.compute(array)
    return array


def _change_inputs(model: ModelProto, before: Mapping[str, Sequence[Operation]], served: TensorSpec) -> None:
    inner = {name: free_name(model, f"{name}_taken") for name in before}
    for name, taken in inner.items():
        rename(model, name, taken)
    make_room(model, served.name)
    nodes = [
        node for name, steps in before.items() for node in _chain(model, steps, served.name, inner[name])
    ]
    del model.graph.input[:]
    model.graph.input.append(tensor_info(served.name, served.dtype, served.item_shape))
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])


def _change_output(model: ModelProto, kept: str, behind: Sequence[Operation], served: TensorSpec) -> None:
    inner = free_name(model, f"{kept}_given")
    rename(model, kept, inner)
    if served.name != kept:
        make_room(model, served.name)
    model.graph.node.extend(_chain(model, behind, inner, served.name))
    del model.graph.output[:]
    model.graph.output.append(tensor_info(served.name, served.dtype, served.item_shape))


def _chain(model: ModelProto, steps: Sequence[Operation], taken: str, given: str) -> list[NodeProto]:
    """The nodes from one tensor to another, by way of all steps."""
    if not steps:
        return [helper.make_node("Identity", [taken], [given])]
    nodes: list[NodeProto] = []
    for place, step in enumerate(steps, 1):
        name = given if place == len(steps) else f"{given}_step_{place}"
        nodes += step.nodes(model, taken, name)
        taken = name
    return nodes
