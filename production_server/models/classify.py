"""From a model's probabilities to what it answers: one label and its score for each item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from production_server.models.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Classification:
    """What a model answers for one item; `probabilities` are in the order of the manifest's labels."""

    label: str
    score: float
    """The probability of `label`."""
    probabilities: tuple[float, ...]


def classify(manifest: Manifest, probabilities: np.ndarray) -> list[Classification]:
    """Name the answer for each row of `probabilities` (float32 [items, labels])."""
    rounded = probabilities.astype(float).round(6).tolist()
    return [
        Classification(manifest.labels[index], row[index], tuple(row))
        for index, row in zip(_chosen(manifest, probabilities), rounded, strict=True)
    ]


def labels_of(manifest: Manifest, probabilities: np.ndarray) -> list[str]:
    """Only the label of each answer."""
    return [manifest.labels[index] for index in _chosen(manifest, probabilities)]


def _chosen(manifest: Manifest, probabilities: np.ndarray) -> list[int]:
    """With a threshold, `labels[1]` is the answer where its probability reaches it; otherwise the largest one wins."""
    if manifest.threshold is not None:
        reaches: np.ndarray = probabilities[:, 1] >= manifest.threshold.value
        return list(map(int, reaches))
    return [int(index) for index in probabilities.argmax(axis=1)]
