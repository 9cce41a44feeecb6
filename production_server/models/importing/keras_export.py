"""A Keras model as an ONNX graph: any number of inputs and outputs, under the names that they are declared by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx
import onnxruntime

from production_server.models.importing.foreign_errors import reason_of, refusing
from production_server.models.importing.onnx_batch import unfix_batch
from production_server.models.importing.onnx_graph import free_name, make_room, rename, tensor_info
from production_server.models.importing.onnx_sessions import computing
from production_server.models.importing.opened import Compute
from production_server.models.manifest import TensorSpec
from production_server.models.runners.onnx import TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import keras


class DoesNotExport(Exception):
    """Raised when Keras or tf2onnx cannot write a model as ONNX, or what they write takes something else."""


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives, in the order of Keras' own inputs and outputs."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch: int | None = None
    """How many items the model takes at a time; None: any number."""


def write_onnx(model: keras.Model, path: Path, signature: Signature) -> list[str]:
    """Write `model` to `path`, with the names, shapes and dtypes of `signature` and a batch of any size.

    Returns what was changed, for people.

    Raises:
        InvalidInput: it is for a fixed number of items, and answers otherwise when it gets another one.
        DoesNotExport: it has what ONNX has not, or the graph has other inputs and outputs than `signature`.
        MemoryError, OSError: there is no room for it.
    """
    with refusing(lambda exc: DoesNotExport(reason_of(exc))):
        exported = _export(model, path, signature)
    given = [spec.model_copy(update={"name": f"in_{place}"}) for place, spec in enumerate(signature.inputs)]
    notes = [] if signature.batch is None else unfix_batch(exported, given)
    with refusing(lambda exc: DoesNotExport(reason_of(exc))):
        _declare(exported, signature)
        onnx.checker.check_model(exported, full_check=True)
        onnx.save(exported, path)
    served_graph(path, signature)
    return notes


def _export(model: keras.Model, path: Path, signature: Signature) -> onnx.ModelProto:
    """The graph as Keras exports it: inputs in_0, in_1, …; outputs in the order of the model's."""
    import tensorflow as tf

    specs = [
        tf.TensorSpec((signature.batch, *each.item_shape), tf.as_dtype(each.dtype), name=f"in_{place}")
        for place, each in enumerate(signature.inputs)
    ]
    taking_lists = flat(model)
    _fix_constants(taking_lists)
    taking_lists.export(path, format="onnx", verbose=False, input_signature=[specs])
    return onnx.load(path)


def flat(model: keras.Model) -> keras.Model:
    """The model of lists in a known order, whatever structure it takes and gives; one without layers is one already."""
    import keras

    return keras.Model(list(model.inputs), list(model.outputs)) if getattr(model, "inputs", None) else model


def _fix_constants(model: keras.Model) -> None:
    """Have a Normalization's mean and variance traced as constants: as tensors they become inputs of the graph."""
    import keras

    for layer in all_layers(model):
        if isinstance(layer, keras.layers.Normalization) and layer.mean is not None:
            layer.mean = keras.ops.convert_to_numpy(layer.mean)
            layer.variance = keras.ops.convert_to_numpy(layer.variance)


def all_layers(layer: Any) -> Iterator[Any]:
    """A layer and all that are in it, at any depth."""
    yield layer
    for inner in getattr(layer, "_layers", ()):
        yield from all_layers(inner)


def _declare(model: onnx.ModelProto, signature: Signature) -> None:
    """Give inputs and outputs their declared names, dtypes and shapes."""
    graph = model.graph
    if len(graph.output) != len(signature.outputs):
        raise ValueError(f"the graph has {len(graph.output)} outputs instead of {len(signature.outputs)}")
    given = [f"in_{place}" for place in range(len(signature.inputs))] + [each.name for each in graph.output]
    # By way of names that nobody has: what is called so may be another one's name, or that of a value inside.
    between = [free_name(model, f"declared_{place}") for place in range(len(given))]
    for old, name in zip(given, between, strict=True):
        rename(model, old, name)
    for name, spec in zip(between, (*signature.inputs, *signature.outputs), strict=True):
        make_room(model, spec.name)
        rename(model, name, spec.name)
    for entries, specs in ((graph.input, signature.inputs), (graph.output, signature.outputs)):
        del entries[:]
        entries.extend(tensor_info(each.name, each.dtype, each.item_shape) for each in specs)


def served_graph(path: Path, signature: Signature) -> Compute:
    """What ONNX Runtime computes of the file, if that takes and gives what is declared, in any order.

    Raises:
        DoesNotExport: it does not, or cannot be loaded.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    with refusing(lambda exc: DoesNotExport(f"ONNX Runtime cannot load it: {reason_of(exc)}")):
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    for kind, found, declared in (
        ("input", session.get_inputs(), signature.inputs),
        ("output", session.get_outputs(), signature.outputs),
    ):
        wanted = sorted(
            (each.name, each.item_shape, f"tensor({TYPES[each.dtype]})", True) for each in declared
        )
        given = sorted(
            (each.name, _sizes(each.shape), each.type, isinstance(each.shape[0], str)) for each in found
        )
        if given != wanted:
            raise DoesNotExport(f"the exported graph's {kind}s are {given}; declared is {wanted}")
    return computing(session, [each.name for each in signature.outputs])


def _sizes(shape: list[Any]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in shape[1:])
