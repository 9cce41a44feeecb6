"""Random inputs for a graph: of the shapes and types that it takes, within ranges where those are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from production_server.models.manifest import TensorSpec
from production_server.models.tensors import Tensors

UNKNOWN_SIZE = 16
"""What stands for a size that may differ from item to item."""
Ranges = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""Of inputs by name: smallest and largest numbers, each broadcast to an item."""


def draw(
    specs: Sequence[TensorSpec],
    items: int,
    generator: np.random.Generator,
    *,
    ranges: Ranges | None = None,
    unknown_size: int = UNKNOWN_SIZE,
) -> Tensors:
    """So many items for each input; whole numbers of an unknown range are 0 or 1, which every embedding has."""
    return {
        spec.name: _draw(spec, items, generator, (ranges or {}).get(spec.name), unknown_size)
        for spec in specs
    }


def _draw(
    spec: TensorSpec,
    items: int,
    generator: np.random.Generator,
    within: tuple[np.ndarray, np.ndarray] | None,
    unknown_size: int,
) -> np.ndarray:
    shape = (items, *(unknown_size if size is None else size for size in spec.item_shape))
    if spec.dtype == "string":
        return np.array([f"text {n}" for n in range(int(np.prod(shape)))], dtype=object).reshape(shape)
    if spec.dtype == "bool":
        return generator.integers(0, 2, shape).astype(bool)
    if within is not None:
        drawn = generator.uniform(*within, size=shape)
        is_whole = not spec.dtype.startswith("float")
        return (np.round(drawn) if is_whole else drawn).astype(spec.dtype)
    if spec.dtype.startswith("float"):
        return generator.standard_normal(shape).astype(spec.dtype)
    return generator.integers(0, 2, shape).astype(spec.dtype)
