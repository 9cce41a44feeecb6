"""What is kept of an item's probabilities (`Prediction.output`), and how it is told.

All of them, in the order of the manifest's labels; or, of a model with `top` in its manifest, its best labels only,
best first: pairs of a label's place and its probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Ranking = tuple[tuple[int, float], ...]
"""Labels by their places in the manifest, each with its probability, best first; of equal ones the first goes first."""


def is_ranking(output: Sequence[Any]) -> bool:
    """Whether only the best labels were kept of an item."""
    return bool(output) and isinstance(output[0], tuple)


def rank(probabilities: Sequence[float], count: int) -> Ranking:
    """The `count` best labels of one item, or all if there are fewer."""
    places = sorted(range(len(probabilities)), key=probabilities.__getitem__, reverse=True)[:count]
    return tuple((place, probabilities[place]) for place in places)


def rankings(probabilities: np.ndarray, rounded: np.ndarray, count: int) -> list[Ranking]:
    """As `rank`, for each row; by the numbers before they were rounded, so that the answer is always the first."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    scores = np.take_along_axis(rounded, order, axis=1)
    return [tuple(zip(*row, strict=True)) for row in zip(order.tolist(), scores.tolist(), strict=True)]
