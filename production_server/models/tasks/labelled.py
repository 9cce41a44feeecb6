"""What tasks whose answers are labels have in common: a probability for each label of the manifest."""

from __future__ import annotations

from typing import Any

import numpy as np

from production_server.models.manifest import the_only
from production_server.models.tasks.classification_outputs import is_ranking, rank
from production_server.models.tasks.label_words import words_for
from production_server.models.tasks.task import Bar, LabelScore, Prediction, Task
from production_server.models.tensors import Tensors, only

BEST_LABELS = 5
"""So many best labels are told of an item of whose model all probabilities are kept."""
MAX_LABEL_BYTES = 1_000
"""Labels are in indexes, and PostgreSQL's have no room for texts of 2.7 kB."""
ALMOST = 1e-3
"""How far from shares, or from sums of 1, probabilities may be that were rounded to float16."""
MAX_LABEL_COLUMNS = 20
"""A model with more labels than this gets no column per label in a table: its JSON has all probabilities."""


class Labelled(Task):
    """Answers with probabilities of labels, all of which are kept, or the manifest's `top` best ones."""

    verb = "classify"

    def check_labels(self, *, at_least: int) -> None:
        """Whether there are labels, one for each number of the only output.

        Raises:
            ValueError: there are not.
        """
        manifest = self.manifest
        output, count = the_only(manifest.outputs, "outputs"), len(manifest.labels)
        if count < at_least:
            raise ValueError(f"labels: expected at least {['none', 'one', 'two'][at_least]}")
        if len(set(manifest.labels)) != count:
            raise ValueError("labels must differ from each other")
        if any(len(label.encode()) > MAX_LABEL_BYTES for label in manifest.labels):
            raise ValueError(f"labels: expected at most {MAX_LABEL_BYTES} bytes each")
        if output.item_shape != (count,):
            raise ValueError(f"outputs: expected one probability per label, shape [null, {count}]")
        if manifest.top is not None and manifest.top >= count:
            raise ValueError(f"top: expected fewer than all {count} labels")
        if manifest.quantity is not None:
            raise ValueError("quantity: expected none: the answers are labels")

    def fault_of(self, outputs: Tensors) -> str | None:
        numbers = only(outputs)
        is_share = (numbers >= -ALMOST) & (numbers <= 1 + ALMOST)
        return None if is_share.all() else f"numbers from {numbers.min():.3g} to {numbers.max():.3g}"

    @property
    def choices(self) -> tuple[str, ...]:
        return self.manifest.labels

    @property
    def truths(self) -> str:
        return words_for(self.manifest.labels)

    def numbers(self, prediction: Prediction) -> list[int | float] | None:
        return None if is_ranking(prediction.output) else list(prediction.output)

    def best_labels(self, prediction: Prediction) -> list[LabelScore]:
        output, labels = prediction.output, self.manifest.labels
        best = output if is_ranking(output) else rank(output, BEST_LABELS)
        try:
            return [LabelScore(labels[place], share) for place, share in best]
        except IndexError:  # another version has taken its number since
            return []

    def bars(self, prediction: Prediction) -> list[Bar]:
        output, labels, answers = prediction.output, self.manifest.labels, self.answered(prediction)
        if is_ranking(output):
            places = {label: place for place, label in enumerate(labels)}
            best = self.best_labels(prediction)
            return [
                Bar(each.label, each.score, each.label in answers, self.threshold_of(places[each.label]))
                for each in best
            ]
        if len(output) != len(labels):
            return []
        return [
            Bar(label, share, label in answers, self.threshold_of(place))
            for place, (label, share) in enumerate(zip(labels, output, strict=True))
        ]

    def answered(self, prediction: Prediction) -> tuple[str, ...]:
        """The labels that are the answer."""
        return () if prediction.label is None else (prediction.label,)

    def threshold_of(self, place: int) -> float | None:
        """From which probability on the label at `place` is an answer, where that is marked."""
        raise NotImplementedError

    def columns(self) -> list[str]:
        """A column for each label; of a model that keeps only its best labels two for each of those."""
        labels, top = self.manifest.labels, self.manifest.top
        if top is not None:
            return [f"{what} {place}" for place in range(1, top + 1) for what in ("label", "score")]
        return [f"probability {label}" for label in labels] if len(labels) <= MAX_LABEL_COLUMNS else []

    def cells(self, prediction: Prediction) -> list[object]:
        if is_ranking(prediction.output):
            best = self.best_labels(prediction)
            return [cell for each in best for cell in (each.label, each.score)]
        return list(prediction.output)

    def results(self, outputs: Tensors) -> list[Any]:
        """Each item's labels with their probabilities."""
        labels = self.manifest.labels
        return [list(zip(labels, row, strict=True)) for row in only(outputs)]


def rounded(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities as they are kept: float64, six decimals."""
    return probabilities.astype(float).round(6)
