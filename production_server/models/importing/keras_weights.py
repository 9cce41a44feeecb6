"""Weights of an HDF5 file, put where they belong: by names, not by their order alone.

Two arrays of one shape that change places are no error that anybody sees, so each is put to a variable of its own name.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from production_server.errors import InvalidInput
from production_server.models.importing.hdf5 import damaged
from production_server.models.importing.keras_graph import safe_name, unique_names
from production_server.shown import shown

if TYPE_CHECKING:
    from pathlib import Path

    import keras
    from numpy.typing import NDArray

_NAMES_OF_KERAS_1 = {
    "W": "kernel",
    "U": "recurrent_kernel",
    "b": "bias",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",
    "alphas": "alpha",
}
_GATES = {"LSTM": ("i", "f", "c", "o"), "GRU": ("z", "r", "h")}
"""The order of the gates' columns since Keras 2; Keras 1 has an array for each gate."""


class Weights:
    """The arrays of an open HDF5 file, by layer and name."""

    def __init__(self, group: Any) -> None:
        self._group = group
        self.version = _text(group.attrs.get("keras_version", "1"))
        self.backend = _text(group.attrs.get("backend", ""))
        self.layers = [name for name in _names(group, "layer_names") if _names(group[name], "weight_names")]

    def of(self, layer: str) -> list[tuple[str, NDArray[Any]]]:
        """Names and arrays of one layer, in the file's order."""
        group = self._group[layer]
        return [(name, np.asarray(group[name])) for name in _names(group, "weight_names")]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _names(group: Any, attribute: str) -> list[str]:
    """A list of texts among the attributes; a long one is split over `name0`, `name1` and so on."""
    if attribute in group.attrs:
        return [_text(each) for each in group.attrs[attribute]]
    found: list[str] = []
    for part in itertools.count():
        if f"{attribute}{part}" not in group.attrs:
            break
        found += [_text(each) for each in group.attrs[f"{attribute}{part}"]]
    return found


def load_weights(model: keras.Model, path: Path) -> None:
    """Put the weights in `path` into `model`, a checked HDF5 file; all of its variables are in it.

    Raises:
        InvalidInput: they are another model's; the field names the layer.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            _load(model, Weights(file.get("model_weights", file)))
    except (OSError, RuntimeError, KeyError, TypeError, UnicodeDecodeError) as exc:
        raise damaged(exc) from exc


def _load(model: keras.Model, weights: Weights) -> None:
    layers = [layer for layer in model.layers if layer.weights]
    if weights.backend not in ("tensorflow", "", "jax", "torch", "numpy"):
        # Theano turns kernels round, and who wrote the file knows whether they were turned back.
        raise InvalidInput.at("weights.backend", "weights of TensorFlow", shown(weights.backend))
    by_name = {layer.name: layer for layer in layers}
    new_names = unique_names(weights.layers)
    if set(new_names) == set(by_name):
        pairs = [(by_name[new], old) for new, old in zip(new_names, weights.layers, strict=True)]
    elif len(layers) == len(weights.layers):
        pairs = list(zip(layers, weights.layers, strict=True))
    else:
        missing = sorted(set(by_name) ^ set(new_names))
        raise InvalidInput.at(
            "weights", f"weights of the model's {len(layers)} layers that have some",
            f"those of {len(weights.layers)}; only in one of both: {shown(', '.join(missing))}",
        )  # fmt: skip
    for layer, name in pairs:
        _fill(layer, weights.of(name), version=weights.version)


def _fill(layer: Any, found: list[tuple[str, NDArray[Any]]], *, version: str) -> None:
    variables = list(layer.trainable_weights) + list(layer.non_trainable_weights)
    if version.startswith("1"):
        found = _of_keras_1(layer, found)
    if len(found) != len(variables):
        raise _other(layer, f"{len(variables)} arrays", f"{len(found)}")
    for variable, (name, values) in _paired(layer, variables, found):
        if tuple(variable.shape) != values.shape:
            raise _other(
                layer,
                f"{variable.name} of the shape {list(variable.shape)}",
                f"{shown(name)}, {list(values.shape)}",
            )
        variable.assign(values)
    _finalize(layer)


def _finalize(layer: Any) -> None:
    from production_server.models.importing.keras_export import all_layers

    for each in all_layers(layer):
        if hasattr(each, "finalize_state"):
            each.finalize_state()


def _other(layer: Any, expected: str, got: str) -> InvalidInput:
    return InvalidInput.at(f"layers.{shown(layer.name)}", expected, f"{got} in the file of weights")


def _paired(layer: Any, variables: list[Any], found: list[tuple[str, NDArray[Any]]]) -> list[tuple[Any, Any]]:
    """Which array is which variable's: by the names of its layer and of itself; by order where these are not alone."""
    keys = [_key(variable.path) for variable in variables]
    given = {_key(name): (name, values) for name, values in found}
    if len(given) == len(found) and set(given) == set(keys):
        return [(variable, given[key]) for variable, key in zip(variables, keys, strict=True)]
    for variable, (name, _) in zip(variables, found, strict=True):
        if _key(name)[-1] != _key(variable.path)[-1]:
            raise _other(layer, f"an array {shown(variable.path)}", shown(name))
    return list(zip(variables, found, strict=True))


def _key(path: str) -> tuple[str, ...]:
    """The last two parts of a variable's name, without TensorFlow's number: ("dense_1", "kernel")."""
    *before, last = path.removesuffix(":0").split("/")
    # Keras 3 has another name for it in DepthwiseConv2D, and this one in SeparableConv2D.
    return (*before[-1:], "kernel" if last == "depthwise_kernel" else last)


def _of_keras_1(layer: Any, found: list[tuple[str, NDArray[Any]]]) -> list[tuple[str, NDArray[Any]]]:
    """Arrays as Keras 1 wrote them, by the names and in the shapes that they have since Keras 2."""
    kind = type(layer).__name__
    named = {_short(name, layer): values for name, values in found}
    if kind in _GATES and len(found) == 3 * len(_GATES[kind]):
        return [
            (new, np.concatenate([named[f"{old}_{gate}"] for gate in _GATES[kind]], axis=-1))
            for old, new in (("W", "kernel"), ("U", "recurrent_kernel"), ("b", "bias"))
        ]
    changed = []
    for name, values in named.items():
        new = _NAMES_OF_KERAS_1.get(name, name)
        if kind == "Embedding":
            new = "embeddings"
        changed.append((new, _kernel_of_keras_1(layer, values) if new == "kernel" else values))
    return changed


def _short(name: str, layer: Any) -> str:
    """`dense_1_W` of the layer `dense_1` is `W`."""
    last = name.removesuffix(":0").rsplit("/", 1)[-1]
    for prefix in (layer.name, safe_name(layer.name)):
        last = last.removeprefix(f"{prefix}_")
    return last


def _kernel_of_keras_1(layer: Any, values: NDArray[Any]) -> NDArray[Any]:
    kind = type(layer).__name__
    if kind == "Conv1D" and values.ndim == 4:
        return np.asarray(values[:, 0])
    if kind == "Conv2D" and layer.data_format == "channels_first":
        return np.transpose(values, (2, 3, 1, 0))
    return values
