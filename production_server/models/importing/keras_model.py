"""A Keras model made of a checked configuration, and what is served of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from production_server.errors import InferenceFailed, InvalidInput
from production_server.models.importing.foreign_errors import reason_of, refusing
from production_server.models.importing.keras_config import HARD_SIGMOID_2, Config, Reading
from production_server.models.importing.keras_export import DoesNotExport, Signature, flat, write_onnx
from production_server.models.importing.opened import KERAS_FILE, ONNX_FILE, Opened
from production_server.models.manifest import TensorSpec
from production_server.models.tensors import Tensors
from production_server.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import keras

_PASS_ON = frozenset({"Dropout", "Flatten", "Identity", "Permute", "Reshape"})
"""Layers that change no number: what makes the output stands before them."""


def build(config: Config) -> keras.Model:
    """The model of a configuration that `keras_config.read_model` wrote; its weights are zeros.

    Raises:
        InvalidInput: Keras does not take it; with Keras' own reason.
    """
    import keras

    with refusing(not_taken):
        return keras.saving.deserialize_keras_object(config, custom_objects=functions(), safe_mode=True)


def not_taken(exc: Exception) -> InvalidInput:
    """The error for a configuration that is allowed and that Keras cannot make a model of."""
    import keras

    return InvalidInput.at("layers", f"a model that Keras {keras.__version__} can build", reason_of(exc))


def functions() -> dict[str, Any]:
    """What a configuration may name beyond Keras' own: Keras 2's hard_sigmoid."""
    import keras

    def keras2_hard_sigmoid(x: Any) -> Any:
        return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)

    return {HARD_SIGMOID_2: keras2_hard_sigmoid}


def open_model(model: keras.Model, into: Path, *, producer: str, reading: Reading) -> Opened:
    """What is served of a model with its weights: model.onnx in `into`, or model.keras where it does not export.

    Raises:
        InvalidInput: its inputs or outputs are not tensors of items, or it runs neither way.
    """
    signature = signature_of(model)
    try:
        write_onnx(model, into / ONNX_FILE, signature)
        runner = "onnx"
    except DoesNotExport as exc:
        (into / ONNX_FILE).unlink(missing_ok=True)
        if reading.uses_keras2_functions:
            raise InvalidInput.at(
                "file", "a model that exports to ONNX (Keras 3 has no such hard_sigmoid)", shown(str(exc))
            ) from exc
        with refusing(not_taken):
            flat(model).save(into / KERAS_FILE)
        reading.note(f"It does not export to ONNX, and is run by Keras: {shown(str(exc))}")
        runner = "keras"
    return Opened(
        runner=runner,  # type: ignore[arg-type]  # one of the two
        inputs=signature.inputs,
        outputs=signature.outputs,
        original=Original(model, signature),
        producer=producer,
        notes=tuple(reading.notes),
        last_activation=last_activation(model),
    )


class Original:
    """What Keras itself computes; takes and gives arrays by the names of the signature.

    Raises InferenceFailed where the model fails.
    """

    def __init__(self, model: keras.Model, signature: Signature) -> None:
        self._model = flat(model)
        self._signature = signature

    def __call__(self, tensors: Tensors) -> Tensors:
        with refusing(_failed):
            return self._compute(tensors)

    def _compute(self, tensors: Tensors) -> Tensors:
        import tensorflow as tf

        given = [
            tf.constant(
                tensors[spec.name].tolist() if spec.dtype == "string" else tensors[spec.name], spec.dtype
            )
            for spec in self._signature.inputs
        ]
        found = self._model(given, training=False)
        outputs = found if isinstance(found, list | tuple) else [found]
        return {
            spec.name: np.asarray(each) for spec, each in zip(self._signature.outputs, outputs, strict=True)
        }


def _failed(exc: Exception) -> InferenceFailed:
    return InferenceFailed(f"the original failed: {reason_of(exc)}")


def signature_of(model: keras.Model) -> Signature:
    """Names, shapes and dtypes of a model, with a batch of any size.

    Outputs have the names of their layers, or of the dictionary that the model answers.

    Raises:
        InvalidInput: a shape or dtype is none of those that are served; the field names the tensor.
    """
    import keras

    answered = None if isinstance(model, keras.Sequential) else model.output
    layers = [_layer_name(each) for each in model.outputs]
    names = sorted(answered) if isinstance(answered, dict) else layers
    taken: set[str] = set()  # what goes through as it is would have one name at both ends
    return Signature(
        tuple(_specs("inputs", [_layer_name(each) for each in model.inputs], model.inputs, taken)),
        tuple(_specs("outputs", names, model.outputs, taken)),
    )


def _layer_name(tensor: Any) -> str:
    return str(_operation_of(tensor).name)


def _operation_of(tensor: Any) -> Any:
    return tensor._keras_history.operation  # noqa: SLF001  # Keras has no public way from a tensor to what makes it


def _specs(kind: str, names: Sequence[str], tensors: Sequence[Any], taken: set[str]) -> Iterator[TensorSpec]:
    for wanted, tensor in zip(names, tensors, strict=True):
        name, count = wanted, 1
        while name in taken:
            name, count = f"{wanted}_{count}", count + 1
        taken.add(name)
        try:
            yield TensorSpec(name=name, shape=tuple(tensor.shape), dtype=tensor.dtype)
        except ValidationError as exc:
            raise InvalidInput.at(
                f"{kind}.{shown(name)}",
                "a tensor of items, of numbers, booleans or text",
                f"{tensor.dtype} of the shape {list(tensor.shape)}",
            ) from exc


def last_activation(model: keras.Model) -> str | None:
    """What makes the only output: the name of an activation; None: several outputs, or something else."""
    if len(model.outputs) != 1:
        return None
    tensor = model.outputs[0]
    while True:
        operation = _operation_of(tensor)
        if hasattr(operation, "outputs") and hasattr(operation, "layers"):
            return last_activation(operation)
        if type(operation).__name__ not in _PASS_ON:
            return _activation_of(operation)
        tensor = operation.input


def _activation_of(operation: Any) -> str | None:
    name = type(operation).__name__
    if name in ("Softmax", "Sigmoid"):
        return name.lower()
    activation = getattr(operation, "activation", None)
    return getattr(activation, "__name__", None)


def check_weights(model: keras.Model) -> None:
    """Whether all weights are finite numbers.

    Raises:
        InvalidInput: one is NaN or infinite; the field names it.
    """
    for each in model.weights:
        values = np.asarray(each)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise InvalidInput.at(f"layers.{shown(each.path)}", "finite numbers", "NaN or infinity")
