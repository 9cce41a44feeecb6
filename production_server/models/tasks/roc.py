"""The receiver operating characteristic of answers with two classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Roc:
    """A receiver operating characteristic: a point for each distinct score, from (0, 0) to (1, 1)."""

    false_positive_rate: np.ndarray
    true_positive_rate: np.ndarray
    thresholds: np.ndarray
    """The score from which an item counts as positive at that point; the first is infinite."""

    @property
    def auc(self) -> float:
        """The area under the curve; equal scores count half (trapezoids)."""
        return float(np.trapezoid(self.true_positive_rate, self.false_positive_rate))

    def at(self, threshold: float) -> tuple[float, float]:
        """The false and the true positive rate if scores from `threshold` on count as positive."""
        index = int(np.searchsorted(-self.thresholds, -threshold, side="right")) - 1
        return float(self.false_positive_rate[index]), float(self.true_positive_rate[index])


def roc(is_positive: np.ndarray, scores: np.ndarray) -> Roc | None:
    """The curve over all thresholds; None unless both classes occur.

    `is_positive`: bool [items]; `scores`: float [items], higher means more likely positive.
    """
    positives = int(is_positive.sum())
    negatives = len(is_positive) - positives
    if not positives or not negatives:
        return None
    order = np.argsort(-scores, kind="stable")
    descending = scores[order]
    # Equal scores are passed together: a point only where the score changes.
    last_of_equals = np.append(np.flatnonzero(np.diff(descending)), len(descending) - 1)
    true_positives = np.cumsum(is_positive[order])[last_of_equals]
    false_positives = last_of_equals + 1 - true_positives
    return Roc(
        np.concatenate(([0.0], false_positives / negatives)),
        np.concatenate(([0.0], true_positives / positives)),
        np.concatenate(([np.inf], descending[last_of_equals])),
    )
