"""Arrays as Keras 1 wrote them, by the names and in the shapes that they have since Keras 2.

A file of Keras 1 does not say whether Theano or TensorFlow computed with it. The names tell: those of TensorFlow's
variables end with `:0`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from production_server.errors import InvalidInput
from production_server.shown import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Named = tuple[str, Any]
"""An array, or an array of an open HDF5 file, behind its name there."""
_NAMES = {
    "W": "kernel",
    "U": "recurrent_kernel",
    "b": "bias",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",  # it was the variance, whatever it was called
    "alphas": "alpha",
}
_GATES = {"LSTM": ("i", "f", "c", "o"), "GRU": ("z", "r", "h")}
"""The order of the gates' columns since Keras 2; Keras 1 has an array for each gate."""
_LAST = re.compile(r"(?:.*_)?((?:[WUb]_[ifcozrh])|[WUb]|running_mean|running_std|alphas|gamma|beta)")
_OF_TENSORFLOW = ":0"


def of_theano(got: str) -> InvalidInput:
    """The error for weights of Theano: it turns kernels round, and nobody knows whether they were turned back."""
    return InvalidInput.at("weights.backend", "weights of TensorFlow", got)


def arrays(layer: Any, found: Sequence[Named]) -> list[Named]:
    """The arrays of one layer.

    Raises:
        InvalidInput: the layer holds others, or is a convolution that Theano computed.
    """
    kind = type(layer).__name__
    if kind == "TimeDistributed":
        return arrays(layer.layer, found)
    if hasattr(layer, "layers") or kind == "Bidirectional":
        raise InvalidInput.at(
            f"layers.{shown(layer.name)}",
            "a layer without others in it (Keras 1 does not say whose the weights are: save the model by Keras 2)",
            kind,
        )
    if "Conv" in kind and not all(name.endswith(_OF_TENSORFLOW) for name, _ in found):
        raise of_theano(f"{shown(', '.join(name for name, _ in found))}, as Theano has them")
    named = {_short(name): np.asarray(values) for name, values in found}
    if kind in _GATES and len(found) == 3 * len(_GATES[kind]):
        return [
            (new, np.concatenate([named[f"{old}_{gate}"] for gate in _GATES[kind]], axis=-1))
            for old, new in (("W", "kernel"), ("U", "recurrent_kernel"), ("b", "bias"))
        ]
    if kind == "Embedding":
        return [("embeddings", values) for values in named.values()]
    return [
        (_NAMES.get(name, name), _kernel(layer, values) if name == "W" else values)
        for name, values in named.items()
    ]


def _short(name: str) -> str:
    """`dense_1_W:0` is `W`."""
    last = name.removesuffix(_OF_TENSORFLOW).rsplit("/", 1)[-1]
    known = _LAST.fullmatch(last)
    return known[1] if known else last


def _kernel(layer: Any, values: NDArray[Any]) -> NDArray[Any]:
    kind = type(layer).__name__
    if kind == "Conv1D" and values.ndim == 4:
        return np.asarray(values[:, 0])
    if kind == "Conv2D" and layer.data_format == "channels_first":
        return np.transpose(values, (2, 3, 1, 0))
    return values
