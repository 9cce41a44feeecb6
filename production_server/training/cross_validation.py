"""Repeated stratified cross-validation of a two-class model, and the choice of its decision threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Outcome = NDArray[np.int32]
    Predict = Callable[[NDArray[np.intp], NDArray[np.intp]], Floats]
    """(indices of training rows, indices of held-out rows) to the held-out rows' probabilities of class 1."""

THRESHOLDS = np.arange(5, 96) / 100


@dataclass(frozen=True)
class OutOfFold:
    """Each row's probability by a model that never saw it, and the fold it was held out in; both [repeats, rows]."""

    scores: Floats
    folds: NDArray[np.int64]


def cross_validate(
    outcome: Outcome, predict: Predict, *, folds: int, repeats: int, seed: int, advance: Callable[[int], None]
) -> OutOfFold:
    """Call `predict` for each of folds x repeats parts of the rows; calls `advance(1)` after each."""
    from sklearn.model_selection import StratifiedKFold

    scores = np.empty((repeats, len(outcome)))
    numbers = np.empty((repeats, len(outcome)), np.int64)
    for repeat in range(repeats):
        parts = StratifiedKFold(folds, shuffle=True, random_state=seed + repeat)
        for fold, (train, held_out) in enumerate(parts.split(outcome, outcome)):
            scores[repeat, held_out] = predict(train, held_out)
            numbers[repeat, held_out] = fold
            advance(1)
    return OutOfFold(scores, numbers)


def measure(outcome: Outcome, predictions: OutOfFold) -> dict[str, Floats]:
    """Measure each held-out fold: one value per fold and repeat.

    The threshold of a fold is chosen on the out-of-fold scores (of all repeats) of the other folds' rows, never on
    its own.
    """
    values: dict[str, list[float]] = {
        name: [] for name in ("roc_auc", "accuracy", "sensitivity", "specificity", "brier")
    }
    for scores, folds in zip(predictions.scores, predictions.folds, strict=True):
        for fold in np.unique(folds):
            held_out = folds == fold
            threshold = choose_threshold(outcome[~held_out], predictions.scores[:, ~held_out])
            for name, value in _measure_fold(outcome[held_out], scores[held_out], threshold).items():
                values[name].append(value)
    return {name: np.array(folds) for name, folds in values.items()}


def choose_threshold(outcome: NDArray[np.integer], scores: Floats) -> float:
    """The threshold with the largest sum of sensitivity and specificity (Youden's index), in steps of 0.01.

    `scores` are [repeats, rows].
    """
    answers = scores[None] >= THRESHOLDS[:, None, None]
    sensitivity = answers[:, :, outcome == 1].mean(axis=(1, 2))
    specificity = 1 - answers[:, :, outcome == 0].mean(axis=(1, 2))
    return float(THRESHOLDS[np.argmax(sensitivity + specificity)])


def _measure_fold(outcome: Outcome, scores: Floats, threshold: float) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    answers = scores >= threshold
    return {
        "roc_auc": float(roc_auc_score(outcome, scores)),
        "accuracy": float(np.mean(answers == outcome)),
        "sensitivity": float(np.mean(answers[outcome == 1])),
        "specificity": float(np.mean(~answers[outcome == 0])),
        "brier": float(np.mean((scores - outcome) ** 2)),
    }
