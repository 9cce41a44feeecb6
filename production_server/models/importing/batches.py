"""Items in batches, as which everything is served: each has to get the answer that it gets alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from production_server.errors import InferenceFailed, InvalidInput
from production_server.models.importing.drawn import draw
from production_server.models.importing.opened import Compute
from production_server.models.manifest import TensorSpec

_TOLERANCE = 1e-4
"""Of the largest number in an answer; sums of float32 come out otherwise in another order."""
_ITEMS = 3


def check_batches(compute: Compute, inputs: Sequence[TensorSpec]) -> None:
    """Whether an item gets the same answer alone and among others, as which it is served.

    Raises:
        InvalidInput: it does not.
    """
    drawn = draw(inputs, _ITEMS, np.random.default_rng(2))
    try:
        alone = [
            compute({name: array[item : item + 1] for name, array in drawn.items()}) for item in range(_ITEMS)
        ]
    except InferenceFailed:
        return  # Not these inputs, and not alone either: that is no matter of the batch.
    try:
        together = compute(drawn)
    except InferenceFailed as exc:
        raise InvalidInput.at(
            "inputs", "a model that answers several items at once", "one that fails on them"
        ) from exc
    for name, answers in together.items():
        wanted = [each[name] for each in alone]
        if not are_alike(answers, wanted):
            raise InvalidInput.at(
                f"outputs.{name}",
                "an answer that depends on its own item alone (is there a normalization over the batch?)",
                "other answers for the same items in one batch",
            )


def are_alike(together: np.ndarray, parts: Sequence[np.ndarray]) -> bool:
    """Whether the answers of one batch are those of its parts, but for rounding."""
    if any(part.ndim == 0 for part in parts) or together.ndim == 0:
        return False
    apart = np.concatenate(parts)
    if together.shape != apart.shape:
        return False
    if together.dtype.kind not in "fc":
        return bool(np.array_equal(together, apart))
    scale = max(1.0, float(np.nanmax(np.abs(apart), initial=0.0)))
    return bool(np.allclose(together, apart, rtol=0, atol=_TOLERANCE * scale, equal_nan=True))
