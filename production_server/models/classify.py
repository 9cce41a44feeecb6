"""From a model's probabilities to what it answers: one label and its score for each item, and the best labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from production_server.models.manifest import Manifest

Ranking = tuple[tuple[int, float], ...]
"""Labels by their places in the manifest, each with its probability, best first; of equal ones the first goes first."""


@dataclass(frozen=True, slots=True)
class Classification:
    """What a model answers for one item."""

    label: str
    score: float
    """The probability of `label`."""
    output: tuple[float, ...] | Ranking
    """Probabilities in the order of the manifest's labels; of a model with `top` its best labels only."""


def classify(manifest: Manifest, probabilities: np.ndarray) -> list[Classification]:
    """Name the answer for each row of `probabilities` (float32 [items, labels])."""
    rounded = probabilities.astype(float).round(6)
    chosen = _chosen(manifest, probabilities)
    scores = rounded[np.arange(len(rounded)), chosen].tolist()
    outputs = (
        _rankings(probabilities, rounded, manifest.top) if manifest.top else map(tuple, rounded.tolist())
    )
    return [
        Classification(manifest.labels[index], score, output)
        for index, score, output in zip(chosen, scores, outputs, strict=True)
    ]


def labels_of(manifest: Manifest, probabilities: np.ndarray) -> list[str]:
    """Only the label of each answer."""
    return [manifest.labels[index] for index in _chosen(manifest, probabilities)]


def rank(probabilities: Sequence[float], count: int) -> Ranking:
    """The `count` best labels of one item, or all if there are fewer."""
    places = sorted(range(len(probabilities)), key=probabilities.__getitem__, reverse=True)[:count]
    return tuple((place, probabilities[place]) for place in places)


def _rankings(probabilities: np.ndarray, rounded: np.ndarray, count: int) -> list[Ranking]:
    """As `rank`, for each row; by the numbers before they were rounded, so that the answer is always the first."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    scores = np.take_along_axis(rounded, order, axis=1)
    return [tuple(zip(*row, strict=True)) for row in zip(order.tolist(), scores.tolist(), strict=True)]


def _chosen(manifest: Manifest, probabilities: np.ndarray) -> list[int]:
    """With a threshold, `labels[1]` is the answer where its probability reaches it; otherwise the largest one wins."""
    if manifest.threshold is not None:
        reaches: np.ndarray = probabilities[:, 1] >= manifest.threshold.value
        return list(map(int, reaches))
    return [int(index) for index in probabilities.argmax(axis=1)]
