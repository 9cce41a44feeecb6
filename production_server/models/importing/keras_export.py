"""A Keras model as an ONNX graph: any number of inputs and outputs, under the names that they are declared by."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from production_server.models.manifest import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import keras

BATCH_NAME = "batch"


class DoesNotExport(Exception):
    """Raised when Keras or tf2onnx cannot write a model as ONNX, or what they write takes something else."""


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives, in the order of Keras' own inputs and outputs."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def write_onnx(model: keras.Model, path: Path, signature: Signature) -> None:
    """Write `model` to `path`, with the names, shapes and dtypes of `signature` and a batch of any size.

    Raises:
        DoesNotExport: it has what ONNX has not, or the graph has other inputs and outputs than `signature`.
    """
    import onnx

    try:
        graph = _export(model, path, signature)
        _declare(graph.graph, signature)
        onnx.checker.check_model(graph, full_check=True)
        onnx.save(graph, path)
    # Keras', TensorFlow's, tf2onnx's and ONNX's errors share no base class below Exception.
    except Exception as exc:
        raise DoesNotExport(" ".join(str(exc).split())[:300]) from exc
    check_graph(path, signature)


def _export(model: keras.Model, path: Path, signature: Signature) -> Any:
    """The graph as Keras exports it: inputs in_0, in_1, …; outputs in the order of the model's."""
    import keras
    import onnx
    import tensorflow as tf

    specs = [
        tf.TensorSpec(each.shape, _tf_type(each), name=f"in_{i}") for i, each in enumerate(signature.inputs)
    ]
    # Lists in a known order, whatever structure the model itself takes and gives; others have them already.
    is_functional = isinstance(model, keras.Sequential | keras.Model) and getattr(model, "inputs", None)
    flat = keras.Model(list(model.inputs), list(model.outputs)) if is_functional else model
    _fix_constants(flat)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        flat.export(path, format="onnx", verbose=False, input_signature=[specs])
    return onnx.load(path)


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


def _tf_type(spec: TensorSpec) -> Any:
    import tensorflow as tf

    return tf.as_dtype(spec.dtype)


def _declare(graph: Any, signature: Signature) -> None:
    """Give inputs and outputs their declared names and shapes."""
    if len(graph.output) != len(signature.outputs):
        raise ValueError(f"the graph has {len(graph.output)} outputs instead of {len(signature.outputs)}")
    names = {f"in_{i}": each.name for i, each in enumerate(signature.inputs)}
    # An input may be an output as well, and names may be those of values inside.
    taken = {value for node in graph.node for value in (*node.input, *node.output)} - set(names)
    wanted = names | {
        given.name: each.name for given, each in zip(graph.output, signature.outputs, strict=True)
    }
    inside = {name: f"{name}_inside" for name in taken & set(wanted.values()) if name not in wanted}
    _rename(graph, inside | wanted)
    for tensors, specs in ((graph.input, signature.inputs), (graph.output, signature.outputs)):
        shapes = {each.name: each for each in specs}
        for tensor in tensors:
            if tensor.name in shapes:
                _set_shape(tensor, shapes[tensor.name])


def _rename(graph: Any, names: dict[str, str]) -> None:
    for node in graph.node:
        node.output[:] = [names.get(value, value) for value in node.output]
        node.input[:] = [names.get(value, value) for value in node.input]
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                _rename(inner, names)
    for tensor in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        tensor.name = names.get(tensor.name, tensor.name)


def _set_shape(tensor: Any, spec: TensorSpec) -> None:
    shape = tensor.type.tensor_type.shape
    del shape.dim[:]
    for axis, size in enumerate(spec.shape):
        if size is None:
            shape.dim.add().dim_param = f"{spec.name}_{axis}" if axis else BATCH_NAME
        else:
            shape.dim.add().dim_value = size


def check_graph(path: Path, signature: Signature) -> None:
    """Whether a session of the file takes and gives what is declared, in any order.

    Raises:
        DoesNotExport: it does not, or cannot be loaded.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as exc:
        raise DoesNotExport(f"ONNX Runtime cannot load it: {' '.join(str(exc).split())[:300]}") from exc
    for kind, found, declared in (
        ("input", session.get_inputs(), signature.inputs),
        ("output", session.get_outputs(), signature.outputs),
    ):
        wanted = sorted((each.name, each.item_shape, _onnx_type(each.dtype), True) for each in declared)
        given = sorted(
            (each.name, _sizes(each.shape), each.type, isinstance(each.shape[0], str)) for each in found
        )
        if given != wanted:
            raise DoesNotExport(f"the exported graph's {kind}s are {given}; declared is {wanted}")


def _sizes(shape: list[Any]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in shape[1:])


def _onnx_type(dtype: str) -> str:
    return f"tensor({ {'float32': 'float', 'float64': 'double'}.get(dtype, dtype) })".replace(" ", "")
