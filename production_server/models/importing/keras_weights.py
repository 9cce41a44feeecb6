"""Weights of an HDF5 file, put where they belong: by names, not by their order alone.

Two arrays of one shape that change places are no error that anybody sees, so each is put to a variable of its own name.
"""

from __future__ import annotations

import itertools
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from production_server.errors import InvalidInput
from production_server.models.importing import keras1
from production_server.models.importing.foreign_errors import reason_of, refusing
from production_server.models.importing.hdf5 import damaged
from production_server.models.importing.keras_graph import unique_names
from production_server.shown import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import keras

    from production_server.models.importing.keras1 import Named

_NAMED_OTHERWISE = (
    "Names in the file of weights are others than in the architecture: each went where it alone fits."
)
_NUMBER = re.compile(r"_\d+$")
_ALIKE = (
    "names as in the architecture, or shapes that fit in one way (where the model is, save all of it: "
    'model.save("model.h5"))'
)


class Weights:
    """The arrays of an open HDF5 file, by layer and name."""

    def __init__(self, group: Any) -> None:
        self._group = group
        self.version = _text(group.attrs.get("keras_version", "1"))
        self.backend = _text(group.attrs.get("backend", ""))
        self.layers = [name for name in _names(group, "layer_names") if _names(group[name], "weight_names")]

    def of(self, layer: str) -> list[Named]:
        """Names and arrays of one layer, in the file's order; they are read when they are asked for."""
        group = self._group[layer]
        return [(name, group[name]) for name in _names(group, "weight_names")]


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


def load_weights(model: keras.Model, path: Path, note: Callable[[str], None]) -> None:
    """Put the weights in `path` into `model`, a checked HDF5 file; all of its variables are in it.

    `note` is told what was not found by its name.

    Raises:
        InvalidInput: they are another model's, or fit in more than one way; the field names the layer.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            is_of_keras_3 = "layers" in file and "layer_names" not in file.attrs
            if not is_of_keras_3:
                _load(model, Weights(file.get("model_weights", file)), note)
    except (OSError, RuntimeError, KeyError, TypeError, UnicodeError) as exc:
        raise damaged(exc) from exc
    if is_of_keras_3:
        _load_by_keras(model, path)


def _load_by_keras(model: keras.Model, path: Path) -> None:
    """`save_weights()` of Keras 3 has neither names of layers nor of arrays: it is read as Keras itself reads it."""
    with tempfile.TemporaryDirectory() as folder, refusing(_others):
        named = Path(folder, "model.weights.h5")  # another name it does not take
        named.symlink_to(path)
        model.load_weights(named)


def _others(exc: Exception) -> InvalidInput:
    return InvalidInput.at("weights", "those of the model", reason_of(exc))


def _load(model: keras.Model, weights: Weights, note: Callable[[str], None]) -> None:
    layers = [layer for layer in model.layers if layer.weights]
    if weights.backend not in ("tensorflow", "", "jax", "torch", "numpy"):
        raise keras1.of_theano(shown(weights.backend))
    by_name = {layer.name: layer for layer in layers}
    new_names = unique_names(weights.layers)
    if set(new_names) == set(by_name):
        pairs = [(by_name[new], old) for new, old in zip(new_names, weights.layers, strict=True)]
    elif len(layers) == len(weights.layers):
        pairs = _only_fitting(layers, weights)
        note(_NAMED_OTHERWISE)
    else:
        missing = sorted(set(by_name) ^ set(new_names))
        raise InvalidInput.at(
            "weights", f"weights of the model's {len(layers)} layers that have some",
            f"those of {len(weights.layers)}; only in one of both: {shown(', '.join(missing))}",
        )  # fmt: skip
    for layer, name in pairs:
        for variable, (_, values) in _arranged(layer, _arrays(layer, name, weights), note):
            variable.assign(np.asarray(values))
        _finalize(layer)


def _arrays(layer: Any, name: str, weights: Weights) -> list[Named]:
    found = weights.of(name)
    return keras1.arrays(layer, found) if weights.version.startswith("1") else found


def _finalize(layer: Any) -> None:
    from production_server.models.importing.keras_export import all_layers

    for each in all_layers(layer):
        if hasattr(each, "finalize_state"):
            each.finalize_state()


def _only_fitting(layers: Sequence[Any], weights: Weights) -> list[tuple[Any, str]]:
    """Which layer of the file is which of the model's, by shapes alone.

    Raises:
        InvalidInput: one has none in the file, or several.
    """
    pairs = []
    for layer in layers:
        fitting = [name for name in weights.layers if _fits(layer, name, weights)]
        if len(fitting) != 1:
            found = f"{len(fitting)} that fit: {', '.join(fitting)}" if fitting else "none that fits"
            raise InvalidInput.at(f"layers.{shown(layer.name)}", _ALIKE, shown(found))
        pairs.append((layer, fitting[0]))
    return pairs


def _fits(layer: Any, name: str, weights: Weights) -> bool:
    try:
        _arranged(layer, _arrays(layer, name, weights), note=lambda _: None)
    except (InvalidInput, KeyError):
        return False
    return True


def _arranged(layer: Any, found: list[Named], note: Callable[[str], None]) -> list[tuple[Any, Named]]:
    """Which array is which variable's.

    Raises:
        InvalidInput: there are more or fewer of them, or of other shapes.
    """
    variables = list(layer.trainable_weights) + list(layer.non_trainable_weights)
    if len(found) != len(variables):
        raise _other(layer, f"{len(variables)} arrays", f"{len(found)}")
    pairs = _by_names(variables, found)
    if pairs is None:
        pairs = [(variable, _only_array(layer, variable, found)) for variable in variables]
        note(_NAMED_OTHERWISE)
    for variable, (name, values) in pairs:
        if tuple(variable.shape) != tuple(values.shape):
            raise _other(
                layer,
                f"{variable.name} of the shape {list(variable.shape)}",
                f"{shown(name)}, {list(values.shape)}",
            )
    return pairs


def _other(layer: Any, expected: str, got: str) -> InvalidInput:
    return InvalidInput.at(f"layers.{shown(layer.name)}", expected, f"{got} in the file of weights")


def _by_names(variables: Sequence[Any], found: Sequence[Named]) -> list[tuple[Any, Named]] | None:
    """By the ends of their names, as long as these have to be to tell them apart; None: they are called otherwise.

    Keras 2 numbers cells of recurrent layers, and Keras 3 does not: so also without numbers.
    """
    for is_numbered in (True, False):
        wanted = [_parts(each.path, is_numbered=is_numbered) for each in variables]
        named = [_parts(name, is_numbered=is_numbered) for name, _ in found]
        for count in range(1, max(map(len, (*wanted, *named)), default=1) + 1):
            ends = [each[-count:] for each in wanted]
            given = dict(zip((each[-count:] for each in named), found, strict=True))
            if len(given) == len(found) and set(given) == set(ends):
                return [(variable, given[end]) for variable, end in zip(variables, ends, strict=True)]
    return None


def _only_array(layer: Any, variable: Any, found: Sequence[Named]) -> Named:
    last, shape = _parts(variable.path)[-1], tuple(variable.shape)
    fitting = [each for each in found if _parts(each[0])[-1] == last and tuple(each[1].shape) == shape]
    if len(fitting) > 1:
        raise _other(layer, _ALIKE, f"{shown(', '.join(name for name, _ in fitting))} for {variable.path}")
    if not fitting:
        names = shown(", ".join(f"{name} {list(values.shape)}" for name, values in found))
        raise _other(layer, f"an array {shown(variable.path)} {list(shape)}", names)
    return fitting[0]


def _parts(path: str, *, is_numbered: bool = True) -> tuple[str, ...]:
    """The parts of a variable's name, without TensorFlow's number: ("dense_1", "kernel")."""
    *before, last = path.removesuffix(":0").split("/")
    # Keras 3 has another name for it in DepthwiseConv2D, and this one in SeparableConv2D.
    parts = (*before, "kernel" if last == "depthwise_kernel" else last)
    return parts if is_numbered else tuple(_NUMBER.sub("", part) for part in parts)
