"""Faces of nobody who is known, grouped by likeness: whoever looks at them may give a group a name."""

from __future__ import annotations

import numpy as np

NEAR = 0.95
"""The cosine from which two faces count as alike."""
FEWEST = 3
_AT_ONCE = 1024


def groups(embeddings: np.ndarray, *, near: float = NEAR, at_most: int = 50) -> list[list[int]]:
    """Places of faces [n, 128] that are alike, the largest group first; each face is in one at the most.

    The face that has most like it leads a group, and those like it are in it: a chain of faces, each a little like the
    next, makes no group of two people.
    """
    left = np.ones(len(embeddings), bool)
    neighbours = _neighbours(embeddings, near)
    found: list[list[int]] = []
    while len(found) < at_most:
        counts = np.array([left[each].sum() for each in neighbours]) * left
        if not counts.size or counts.max() < FEWEST:
            break
        leader = int(counts.argmax())
        members = neighbours[leader][left[neighbours[leader]]]
        left[members] = False
        found.append(
            sorted(members.tolist(), key=lambda place: -float(embeddings[place] @ embeddings[leader]))
        )
    return found


def _neighbours(embeddings: np.ndarray, near: float) -> list[np.ndarray]:
    """Of each face the places of those that are like it, itself among them."""
    found: list[np.ndarray] = []
    for start in range(0, len(embeddings), _AT_ONCE):
        alike = embeddings[start : start + _AT_ONCE] @ embeddings.T >= near
        found += [np.flatnonzero(row) for row in alike]
    return found
