"""What is measured of classifiers, as the manifest records it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]
    Integers = NDArray[np.integer]


def accuracy(truth: Integers, probabilities: Floats) -> float:
    """The share of right answers; `probabilities` are [n, classes]."""
    return float(np.mean(probabilities.argmax(axis=1) == truth))


def confusion(truth: Integers, answers: Integers, classes: int) -> NDArray[np.int64]:
    """Count items by (true class, answered class): int64 [classes, classes]."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (truth, answers), 1)
    return table


def macro_f1(table: NDArray[np.int64]) -> float:
    """The mean over classes of the harmonic mean of precision and recall."""
    right = np.diag(table)
    return float(np.mean(2 * right / np.maximum(table.sum(axis=0) + table.sum(axis=1), 1)))


def cross_entropy(truth: Integers, probabilities: Floats) -> float:
    """The mean negative log-likelihood of the true classes, in nats."""
    of_truth = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(of_truth, 1e-12)).mean())
