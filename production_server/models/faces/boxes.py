"""Boxes of faces: float32 [n, 4], left, top, right and bottom in pixels."""

from __future__ import annotations

from typing import Literal

import numpy as np

Overlap = Literal["union", "smaller"]
"""Of what the shared area is a share: of both boxes together, or of the smaller one, which may lie in the other."""


def best(
    boxes: np.ndarray, scores: np.ndarray, *, most_overlap: float, of: Overlap, at_most: int
) -> np.ndarray:
    """Places of the boxes that no better one overlaps, best first: int [kept] (non-maximum suppression)."""
    order = np.argsort(-scores, kind="stable")
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    kept: list[int] = []
    while order.size and len(kept) < at_most:
        first, rest = order[0], order[1:]
        kept.append(int(first))
        sides = np.minimum(boxes[first, 2:], boxes[rest, 2:]) - np.maximum(boxes[first, :2], boxes[rest, :2])
        shared = np.prod(np.maximum(0, sides), axis=1)
        smaller = np.minimum(areas[first], areas[rest])
        whole = areas[first] + areas[rest] - shared if of == "union" else smaller
        order = rest[shared <= most_overlap * whole]
    return np.array(kept, dtype=np.intp)


def squared(boxes: np.ndarray) -> np.ndarray:
    """The squares around the same centres that hold the boxes."""
    centres, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) / 2
    return np.concatenate([centres - half, centres + half], axis=1)


def moved(boxes: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Boxes whose edges are moved by shares of their width and height: [n, 4], as the networks answer."""
    sides = boxes[:, 2:] - boxes[:, :2]
    found: np.ndarray = boxes + by * np.concatenate([sides, sides], axis=1)
    return found
