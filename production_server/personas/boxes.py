"""Which boxes of one picture are the same face, found twice. Knows no rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Box = Sequence[float]
"""Left, top, right, bottom."""

LEAST_OVERLAP = 0.5
"""Intersection over union from which two boxes are of one face."""


def pairs(some: Sequence[Box], others: Sequence[Box]) -> list[tuple[int, int]]:
    """The places of boxes that are of the same face: one to one, those first that overlap most."""
    shares = overlaps(some, others)
    places, other_places = np.nonzero(shares >= LEAST_OVERLAP)
    found: dict[int, int] = {}
    taken: set[int] = set()
    for at in np.lexsort((other_places, places, -shares[places, other_places])):
        place, other = int(places[at]), int(other_places[at])
        if place not in found and other not in taken:
            found[place] = other
            taken.add(other)
    return list(found.items())


def overlaps(some: Sequence[Box], others: Sequence[Box]) -> np.ndarray:
    """Intersection over union of each with each, 0 to 1: float64 [some, others]."""
    one = np.asarray(some, np.float64).reshape(-1, 1, 4)
    other = np.asarray(others, np.float64).reshape(1, -1, 4)
    ends = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    common = np.maximum(ends, 0).prod(axis=-1)
    union = _areas(one) + _areas(other) - common
    shares: np.ndarray = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return shares


def _areas(boxes: np.ndarray) -> np.ndarray:
    areas: np.ndarray = np.maximum(boxes[..., 2:] - boxes[..., :2], 0).prod(axis=-1)
    return areas
