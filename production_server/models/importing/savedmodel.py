"""SavedModels of TensorFlow 2: one signature of them, to ONNX; there is no other way to serve one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from production_server.errors import InferenceFailed, InvalidInput
from production_server.models.importing.foreign_errors import reason_of, refusing
from production_server.models.importing.keras_export import DoesNotExport, Signature, write_onnx
from production_server.models.importing.opened import ONNX_FILE, Compute, Opened
from production_server.models.importing.savedmodel_graph import check_declared, check_operations, functions_of
from production_server.models.manifest import TensorSpec
from production_server.models.tensors import count_items
from production_server.shown import shown

if TYPE_CHECKING:
    from pathlib import Path

    from production_server.models.tensors import Tensors

DEFAULT_SIGNATURES = ("serving_default", "serve")
_ACTIVATIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}


def read(path: Path, into: Path, *, signature: str | None = None) -> Opened:
    """Read one signature of the SavedModel in the folder `path` and write model.onnx into `into`.

    `signature`: its name; None: `serving_default`, or the only one.

    Raises:
        InvalidInput: it is damaged, has no such signature, or has operations that do not export; the field names it.
    """
    import tensorflow as tf

    check_declared(path)
    with refusing(lambda exc: InvalidInput.at("file", "a whole SavedModel", reason_of(exc))):
        loaded = tf.saved_model.load(str(path))
    name = _choose(sorted(loaded.signatures), signature)
    function = loaded.signatures[name]
    check_operations(function.graph.as_graph_def())
    served = _signature(function)
    try:
        notes = write_onnx(_as_model(loaded, function, served), into / ONNX_FILE, served)
    except DoesNotExport as exc:
        (into / ONNX_FILE).unlink(missing_ok=True)
        raise InvalidInput.at("file", "a SavedModel that exports to ONNX", str(exc)) from exc
    return Opened(
        runner="onnx",
        inputs=served.inputs,
        outputs=served.outputs,
        original=_original(function, served),
        producer=f"tensorflow {loaded.tensorflow_version}, signature {name}",
        last_activation=_last_activation(function),
        notes=tuple(notes),
    )


def _choose(names: list[str], wanted: str | None) -> str:
    if wanted in names:
        return str(wanted)
    if wanted is None:
        for name in DEFAULT_SIGNATURES:
            if name in names:
                return name
        if len(names) == 1:
            return names[0]
    raise InvalidInput.at(
        "signature",
        f"one of {shown(', '.join(names))}" if names else "a SavedModel with signatures",
        str(wanted),
    )


def _signature(function: Any) -> Signature:
    given = sorted(function.structured_input_signature[1].items())
    answered = sorted(function.structured_outputs.items())
    sizes = {each.shape[0] if each.shape.rank else None for _, each in given}
    batch = sizes.pop() if len(sizes) == 1 else None
    return Signature(
        tuple(_spec("inputs", name, each, batch) for name, each in given),
        tuple(_spec("outputs", name, each, batch) for name, each in answered),
        batch,
    )


def _spec(kind: str, name: str, tensor: Any, batch: int | None) -> TensorSpec:
    """One input or output; what all inputs have as their first size stands for the batch."""
    shape = tensor.shape.as_list() if tensor.shape.rank is not None else []
    sizes = [None, *shape[1:]] if shape and shape[0] == batch else shape
    try:
        return TensorSpec(name=name, shape=tuple(sizes), dtype=tensor.dtype.name)
    except ValidationError as exc:
        raise InvalidInput.at(
            f"{kind}.{shown(name)}",
            "a tensor of items, of numbers, booleans or text, with a batch of any size",
            f"{tensor.dtype.name} of the shape {shape}",
        ) from exc


def _as_model(loaded: Any, function: Any, served: Signature) -> Any:
    """The signature as a model of Keras, whose export knows how to call tf2onnx."""
    import keras

    class Served(keras.Model):  # type: ignore[misc]  # Keras has no types
        def __init__(self) -> None:
            super().__init__()
            self.loaded = loaded
            self.built = True  # its variables are the file's

        def call(self, inputs: list[Any]) -> list[Any]:
            found = function(**{spec.name: each for spec, each in zip(served.inputs, inputs, strict=True)})
            return [found[spec.name] for spec in served.outputs]

    return Served()


def _original(function: Any, served: Signature) -> Any:
    import tensorflow as tf

    def compute(tensors: Tensors) -> Tensors:
        with refusing(lambda exc: InferenceFailed(f"the original failed: {reason_of(exc)}")):
            given = {spec.name: tf.constant(tensors[spec.name], spec.dtype) for spec in served.inputs}
            found = function(**given)
            return {spec.name: np.asarray(found[spec.name]) for spec in served.outputs}

    return compute if served.batch is None else _in_batches_of(served.batch, compute)


def _in_batches_of(size: int, compute: Compute) -> Compute:
    """What is computed of any number of items; the last batch is filled with its last item."""

    def compute_all(tensors: Tensors) -> Tensors:
        count = count_items(tensors)
        places = np.minimum(np.arange(-(-count // size) * size), count - 1)
        batches = [
            compute({name: array[chosen] for name, array in tensors.items()})
            for chosen in places.reshape(-1, size)
        ]
        return {name: np.concatenate([each[name] for each in batches])[:count] for name in batches[0]}

    return compute_all


def _last_activation(function: Any) -> str | None:
    """What the only output comes from, through identities and calls of functions."""
    if len(function.structured_outputs) != 1:
        return None
    graph = function.graph.as_graph_def()
    bodies = functions_of(graph)
    (tensor,) = function.outputs
    nodes, name = {node.name: node for node in graph.node}, tensor.op.name
    for _ in range(len(bodies) + len(graph.node) + 1):
        node = nodes.get(name)
        if node is None:
            return None
        if node.op in ("Identity", "Reshape") and node.input:
            name = node.input[0].split(":", 1)[0]
        elif "f" in node.attr and node.attr["f"].func.name in bodies:
            body = bodies[node.attr["f"].func.name]
            nodes = {each.name: each for each in body.node_def}
            name = next(iter(body.ret.values())).split(":", 1)[0]
        else:
            return _ACTIVATIONS.get(node.op, "linear" if node.op in ("BiasAdd", "MatMul") else None)
    return None
