"""How well sets of labels agree with the true ones, label by label and over all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from production_server.models.tasks.label_sets import labels_in
from production_server.models.tasks.task import Evaluated, Judged


@dataclass(frozen=True, slots=True)
class Agreement:
    """Items that truly have a label, that were answered with it, and that both is so of."""

    true: int
    answered: int
    both: int

    @property
    def precision(self) -> float | None:
        """Of the items that were answered so, the share that is so; None without such items."""
        return self.both / self.answered if self.answered else None

    @property
    def recall(self) -> float | None:
        """Of the items that are so, the share answered so; None without such items."""
        return self.both / self.true if self.true else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both; None where nobody has the label, truly or as an answer."""
        total = self.true + self.answered
        return 2 * self.both / total if total else None


@dataclass(frozen=True, slots=True)
class SeveralEvaluation(Evaluated):
    """True sets of labels held against answers."""

    template: ClassVar[str] = "pages/answers/several_labels_evaluation.html"
    labels: tuple[tuple[str, Agreement], ...]
    compared: int
    exact: int
    """Items whose answer is the whole true set."""
    without_answer: int
    """Items whose true labels are known and that failed or were cancelled; they count nowhere else."""

    def most_frequent(self, limit: int) -> list[tuple[str, Agreement]]:
        """Labels that some item has, truly or as an answer, in their order; of too many the most frequent ones."""
        found = [(label, each) for label, each in self.labels if each.true or each.answered]
        if len(found) <= limit:
            return found
        return sorted(found, key=lambda entry: -max(entry[1].true, entry[1].answered))[:limit]

    @property
    def micro(self) -> Agreement:
        """All labels of all items taken together."""
        counts = [each for _, each in self.labels]
        return Agreement(
            sum(each.true for each in counts),
            sum(each.answered for each in counts),
            sum(each.both for each in counts),
        )

    @property
    def macro_f1(self) -> float | None:
        """The mean of the labels' F1, of those that have one."""
        found = [each.f1 for _, each in self.labels if each.f1 is not None]
        return sum(found) / len(found) if found else None


def evaluate(labels: Sequence[str], items: Iterable[Judged]) -> SeveralEvaluation | None:
    """Hold the answers against the true labels, in one pass; None if no item has both."""
    place = {label: index for index, label in enumerate(labels)}
    true, answered, both = (np.zeros(len(labels), np.int64) for _ in range(3))
    compared = exact = without_answer = 0
    for item in items:
        wanted = labels_in(item.expected)
        if wanted is None:
            continue
        found = None if item.prediction is None else labels_in(item.prediction.label)
        if found is None:
            without_answer += 1
            continue
        compared += 1
        exact += set(wanted) == set(found)
        for counts, names in ((true, wanted), (answered, found), (both, set(wanted) & set(found))):
            for name in names:
                if name in place:  # another version may have had its number
                    counts[place[name]] += 1
    if not compared:
        return None
    agreements = zip(labels, map(Agreement, true.tolist(), answered.tolist(), both.tolist()), strict=True)
    return SeveralEvaluation(tuple(agreements), compared, exact, without_answer)
