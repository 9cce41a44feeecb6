"""Classification: one probability for each label; the answer is a label, its score that label's probability."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from production_server.models.manifest import the_only
from production_server.models.tasks.classification_outputs import is_ranking, rank, rankings
from production_server.models.tasks.evaluation import Evaluation, evaluate
from production_server.models.tasks.label_words import label_of, words_for
from production_server.models.tasks.task import Bar, Judged, LabelScore, Prediction, Shown, Task
from production_server.models.tensors import Tensors, only

BEST_LABELS = 5
"""So many best labels are told of an item of whose model all probabilities are kept."""
MAX_LABEL_COLUMNS = 20
"""A model with more labels than this gets no column per label in a table: its JSON has all probabilities."""
LABEL = "label"
"""The output of an interactive call that names each item's answer."""


class Classification(Task):
    """Chooses one of the manifest's labels, whatever goes in."""

    answers = "one of its labels"
    verb = "classify"
    loss_name = "error rate"
    text_outputs = (LABEL,)

    def check_manifest(self) -> None:
        manifest = self.manifest
        output, count = the_only(manifest.outputs, "outputs"), len(manifest.labels)
        if count < 2:
            raise ValueError("labels: expected at least two")
        if len(set(manifest.labels)) != count:
            raise ValueError("labels must differ from each other")
        if output.item_shape != (count,):
            raise ValueError(f"outputs: expected one probability per label, shape [null, {count}]")
        if manifest.threshold is not None and count != 2:
            raise ValueError("threshold: only a model with two labels has one")
        if manifest.top is not None and manifest.top >= count:
            raise ValueError(f"top: expected fewer than all {count} labels")
        if manifest.top is not None and manifest.threshold is not None:
            raise ValueError("top: a model with a threshold keeps both probabilities")

    def predict(self, outputs: Tensors) -> list[Prediction]:
        labels, top = self.manifest.labels, self.manifest.top
        probabilities = only(outputs)
        rounded = probabilities.astype(float).round(6)
        chosen = self._chosen(probabilities)
        scores = rounded[np.arange(len(rounded)), chosen].tolist()
        kept: Iterable[Any] = rankings(probabilities, rounded, top) if top else map(tuple, rounded.tolist())
        return [
            Prediction(labels[index], score, output)
            for index, score, output in zip(chosen, scores, kept, strict=True)
        ]

    def show(self, prediction: Prediction) -> Shown:
        return Shown(prediction.label or "", prediction.score)

    @property
    def choices(self) -> tuple[str, ...]:
        return self.manifest.labels

    def read_truth(self, text: str) -> str | None:
        """A label, its number, or a word that means it."""
        return label_of(text, self.manifest.labels, is_yes_or_no=self._is_yes_or_no)

    @property
    def truths(self) -> str:
        return words_for(self.manifest.labels)

    @property
    def _is_yes_or_no(self) -> bool:
        """A threshold is the score from which on the second label is the answer: that one was looked for."""
        return self.manifest.threshold is not None

    def numbers(self, prediction: Prediction) -> list[float] | None:
        return None if is_ranking(prediction.output) else list(prediction.output)

    def best_labels(self, prediction: Prediction) -> list[LabelScore]:
        output, labels = prediction.output, self.manifest.labels
        best = output if is_ranking(output) else rank(output, BEST_LABELS)
        try:
            return [LabelScore(labels[place], share) for place, share in best]
        except IndexError:  # another version has taken its number since
            return []

    def bars(self, prediction: Prediction) -> list[Bar]:
        output, manifest = prediction.output, self.manifest
        if is_ranking(output):
            best = self.best_labels(prediction)
            return [Bar(each.label, each.score, each.label == prediction.label, None) for each in best]
        if len(output) != len(manifest.labels):
            return []
        threshold = None if manifest.threshold is None else manifest.threshold.value
        return [
            Bar(label, share, label == prediction.label, threshold if index == 1 else None)
            for index, (label, share) in enumerate(zip(manifest.labels, output, strict=True))
        ]

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

    def evaluate(self, items: Iterable[Judged]) -> Evaluation | None:
        threshold = self.manifest.threshold
        return evaluate(self.manifest.labels, items, threshold=threshold.value if threshold else None)

    def loss(self, prediction: Prediction, truth: str) -> float:
        """1 for a wrong label."""
        return float(prediction.label != truth)

    def texts(self, outputs: Tensors) -> dict[str, list[str]]:
        return {LABEL: [self.manifest.labels[index] for index in self._chosen(only(outputs))]}

    def results(self, outputs: Tensors) -> list[Any]:
        """Each item's labels with their probabilities."""
        labels = self.manifest.labels
        return [list(zip(labels, row, strict=True)) for row in only(outputs)]

    def _chosen(self, probabilities: np.ndarray) -> list[int]:
        """With a threshold, `labels[1]` is the answer where it reaches it; otherwise the largest one wins."""
        if self.manifest.threshold is not None:
            reaches: np.ndarray = probabilities[:, 1] >= self.manifest.threshold.value
            return list(map(int, reaches))
        return [int(index) for index in probabilities.argmax(axis=1)]
