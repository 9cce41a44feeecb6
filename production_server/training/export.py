"""Saves a trained Keras model, exports it to ONNX, and proves that both give the same answers on real inputs."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from production_server.models.manifest import Parity, TensorSpec
from production_server.training.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import keras
    from numpy.typing import NDArray

KERAS_FILE = "model.keras"
ONNX_FILE = "model.onnx"
LARGEST_DIFFERENCE = 1e-5
FEWEST_INPUTS = 1000
BATCH_NUMBERS = 4_000_000
"""A batch has at most so many numbers, and 500 items: the layers of a photo's network are gigabytes for 500 photos."""
BATCH_NAME = "batch"
_ONNX_TYPES = {"float32": "tensor(float)"}


@dataclass(frozen=True)
class Signature:
    """The one input and the one output that a version declares."""

    input: TensorSpec
    output: TensorSpec


class RealInputs(Protocol):
    """Inputs as the model takes them, float32 [n, ...]: an array, or what makes a part of one when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> NDArray[np.float32]: ...


def declare(model: keras.Model, input_name: str) -> Signature:
    """The signature of `model`: its own shapes, float32, the output called "probabilities"."""
    taken, given = (None, *model.input_shape[1:]), (None, *model.output_shape[1:])
    return Signature(
        TensorSpec(name=input_name, shape=taken, dtype="float32"),
        TensorSpec(name="probabilities", shape=given, dtype="float32"),
    )


def export_model(
    model: keras.Model,
    folder: Path,
    signature: Signature,
    real_inputs: RealInputs,
    *,
    fewest: int = FEWEST_INPUTS,
    allowed: float = LARGEST_DIFFERENCE,
) -> Parity:
    """Write model.keras and model.onnx into `folder` and return how far their answers are apart.

    There are at least `fewest` real inputs (of the user's own images there may be fewer); answers may differ by
    `allowed`.

    Raises:
        ExportError: the graph takes or gives something else than `signature`, or the answers differ.
    """
    if len(real_inputs) < fewest:
        raise ExportError(f"parity needs {fewest} real inputs; there are {len(real_inputs)}")
    model.save(folder / KERAS_FILE)
    _write_onnx(model, folder / ONNX_FILE, signature)
    return check_parity(folder, signature, real_inputs, allowed=allowed)


def check_parity(
    folder: Path, signature: Signature, real_inputs: RealInputs, *, allowed: float = LARGEST_DIFFERENCE
) -> Parity:
    """Compare the files in `folder`: model.keras read back as it will be by others, and model.onnx.

    Raises:
        ExportError: the session's input or output is not the declared one, or the answers differ by more than
            `allowed`.
    """
    import keras
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / ONNX_FILE), providers=["CPUExecutionProvider"])
    _check_signature(session, signature)
    saved = keras.saving.load_model(folder / KERAS_FILE, safe_mode=True, compile=False)
    differences = []
    for batch in _batches(real_inputs, signature.input):
        (found,) = session.run([signature.output.name], {signature.input.name: batch})
        differences.append(np.max(np.abs(found - saved.predict_on_batch(batch))))
    # Of NaN and a number this is NaN, which Python's own maximum would pass over.
    difference = float(np.max(differences))
    if not difference <= allowed:
        raise ExportError(
            f"the ONNX model's answers differ from Keras' by up to {difference:.1e} (allowed: {allowed:.0e})"
        )
    return Parity(max_abs_difference=difference, inputs=len(real_inputs))


def _batches(real_inputs: RealInputs, spec: TensorSpec) -> Iterator[NDArray[np.float32]]:
    items = int(np.clip(BATCH_NUMBERS // np.prod(spec.known_item_shape), 1, 500))
    return (real_inputs[start : start + items] for start in range(0, len(real_inputs), items))


def _write_onnx(model: keras.Model, path: Path, signature: Signature) -> None:
    """Export through Keras, then give output and batch dimension their declared names."""
    import onnx
    import tensorflow as tf

    wanted = tf.TensorSpec(signature.input.shape, tf.float32, name=signature.input.name)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        model.export(path, format="onnx", verbose=False, input_signature=[wanted])
    graph = onnx.load(path)
    _rename_output(graph.graph, signature.output.name)
    for tensor in (*graph.graph.input, *graph.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = BATCH_NAME
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, path)


def _rename_output(graph: Any, name: str) -> None:
    (output,) = graph.output
    for node in graph.node:
        node.output[:] = [name if value == output.name else value for value in node.output]
        node.input[:] = [name if value == output.name else value for value in node.input]
    output.name = name


def _check_signature(session: Any, signature: Signature) -> None:
    for kind, found, declared in (
        ("input", session.get_inputs(), signature.input),
        ("output", session.get_outputs(), signature.output),
    ):
        wanted = [(declared.name, declared.item_shape, _ONNX_TYPES[declared.dtype], True)]
        given = [
            (spec.name, tuple(spec.shape[1:]), spec.type, isinstance(spec.shape[0], str)) for spec in found
        ]
        if given != wanted:
            raise ExportError(f"the exported graph's {kind}s are {given}; declared is {wanted}")
