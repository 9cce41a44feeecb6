"""Saves a trained Keras model, exports it to ONNX, and proves that both give the same answers on real inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from production_server.errors import InferenceFailed
from production_server.models.importing.keras_export import DoesNotExport, Signature, served_graph, write_onnx
from production_server.models.importing.keras_model import Original
from production_server.models.importing.opened import KERAS_FILE, ONNX_FILE
from production_server.models.importing.parity import batches_of, compare
from production_server.models.manifest import Parity, TensorSpec
from production_server.training.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path

    import keras
    import numpy as np
    from numpy.typing import NDArray

    from production_server.models.tensors import Tensors

LARGEST_DIFFERENCE = 1e-5
FEWEST_INPUTS = 1000


class RealInputs(Protocol):
    """Inputs as the model takes them, float32 [n, ...]: an array, or what makes a part of one when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> NDArray[np.float32]: ...


def declare(model: keras.Model, input_name: str) -> Signature:
    """The signature of `model`: its own shapes, float32, the output called "probabilities"."""
    taken, given = (None, *model.input_shape[1:]), (None, *model.output_shape[1:])
    return Signature(
        (TensorSpec(name=input_name, shape=taken, dtype="float32"),),
        (TensorSpec(name="probabilities", shape=given, dtype="float32"),),
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
    try:
        write_onnx(model, folder / ONNX_FILE, signature)
    except DoesNotExport as exc:
        raise ExportError(str(exc)) from exc
    return check_parity(folder, signature, real_inputs, allowed=allowed)


def check_parity(
    folder: Path, signature: Signature, real_inputs: RealInputs, *, allowed: float = LARGEST_DIFFERENCE
) -> Parity:
    """Compare the files in `folder`: model.keras read back as it will be by others, and model.onnx.

    Raises:
        ExportError: the graph takes or gives something else than `signature`, fails, or its answers differ by more
            than `allowed`.
    """
    import keras

    try:
        served = served_graph(folder / ONNX_FILE, signature)
    except DoesNotExport as exc:
        raise ExportError(str(exc)) from exc
    saved = keras.saving.load_model(folder / KERAS_FILE, safe_mode=True, compile=False)
    (taken,) = signature.inputs
    # What makes its parts when they are asked for stands for an array here.
    inputs = cast("Tensors", {taken.name: real_inputs})
    batches = batches_of(inputs, signature.inputs)
    try:
        found = compare(Original(saved, signature), served, batches, signature.outputs)
    except InferenceFailed as exc:
        raise ExportError(str(exc)) from exc
    if not found.is_within(allowed):
        raise ExportError(
            f"the ONNX model's answers differ from Keras' by up to {found.difference:.1e} (allowed: {allowed:.0e})"
        )
    return Parity(max_abs_difference=found.difference, inputs=found.items)
