"""How well a job's answers agree with the true labels that came with its items; knows no page and no database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from production_server.jobs.records import Item


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


@dataclass(frozen=True, slots=True)
class Evaluation:
    """True labels held against answers: `confusion` counts items, int [true label, answered label]."""

    labels: tuple[str, ...]
    confusion: np.ndarray
    without_answer: int
    """Items whose true label is known and that failed or were cancelled; they count nowhere else."""
    roc: Roc | None
    """Only with two labels, both of which occur; `labels[1]` is the positive one."""

    @property
    def compared(self) -> int:
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        return int(self.confusion.trace())

    @property
    def accuracy(self) -> float:
        return self.correct / self.compared

    @property
    def sensitivity(self) -> float | None:
        """Of the items that are truly `labels[1]`, the share answered so; None without such items."""
        return self._recall(1)

    @property
    def specificity(self) -> float | None:
        """Of the items that are truly `labels[0]`, the share answered so; None without such items."""
        return self._recall(0)

    def mistakes(self, limit: int) -> list[tuple[str, str, int]]:
        """The most frequent wrong answers: true label, answered label, and how many items."""
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
        pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
        return [
            (self.labels[true], self.labels[answered], int(wrong[true, answered]))
            for true, answered in pairs
            if wrong[true, answered]
        ]

    def _recall(self, label: int) -> float | None:
        total = int(self.confusion[label].sum())
        return int(self.confusion[label, label]) / total if total and len(self.labels) == 2 else None


def evaluate(labels: Sequence[str], items: Iterable[Item]) -> Evaluation | None:
    """Hold the answers against the true labels, in one pass; None if no item has both."""
    number = {label: index for index, label in enumerate(labels)}
    true: list[int] = []
    answered: list[int] = []
    scores: list[float] = []
    without_answer = 0
    for item in items:
        if item.expected not in number:
            continue
        if item.label not in number:
            without_answer += 1
            continue
        true.append(number[item.expected])
        answered.append(number[item.label])
        if item.output is not None:
            scores.append(item.output[1])
    if not true:
        return None
    confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confusion, (true, answered), 1)
    curve = (
        roc(np.array(true) == 1, np.array(scores)) if len(labels) == 2 and len(scores) == len(true) else None
    )
    return Evaluation(tuple(labels), confusion, without_answer, curve)


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
