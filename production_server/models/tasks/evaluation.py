"""How well answers agree with the true labels that came with the items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from production_server.models.tasks.classification_outputs import is_ranking
from production_server.models.tasks.roc import roc
from production_server.models.tasks.task import Evaluated, Judged


@dataclass(frozen=True, slots=True)
class Evaluation(Evaluated):
    """True labels held against answers: `confusion` counts items, int [true label, answered label]."""

    template: ClassVar[str] = "pages/answers/label_evaluation.html"
    labels: tuple[str, ...]
    confusion: np.ndarray
    without_answer: int
    """Items whose true label is known and that failed or were cancelled; they count nowhere else."""

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


def evaluate(
    labels: Sequence[str], items: Iterable[Judged], *, threshold: float | None = None
) -> Evaluation | None:
    """Hold the answers against the true labels, in one pass; None if no item has both."""
    number = {label: index for index, label in enumerate(labels)}
    true: list[int] = []
    answered: list[int] = []
    scores: list[float] = []
    without_answer = 0
    for item in items:
        if item.expected not in number:
            continue
        answer = item.prediction
        if answer is None or answer.label not in number:
            without_answer += 1
            continue
        true.append(number[item.expected])
        answered.append(number[answer.label])
        if not is_ranking(answer.output):
            scores.append(answer.output[1])
    if not true:
        return None
    confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confusion, (true, answered), 1)
    curve = (
        roc(np.array(true) == 1, np.array(scores)) if len(labels) == 2 and len(scores) == len(true) else None
    )
    return Evaluation(tuple(labels), confusion, without_answer, roc=curve, threshold=threshold)
