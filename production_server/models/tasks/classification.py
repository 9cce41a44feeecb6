"""Classification: one probability for each label; the answer is a label, its score that label's probability."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest
from typing import Any

import numpy as np

from production_server.models.tasks.classification_outputs import is_ranking, rankings
from production_server.models.tasks.evaluation import Evaluation, evaluate
from production_server.models.tasks.label_words import label_of
from production_server.models.tasks.labelled import ALMOST, Labelled, rounded
from production_server.models.tasks.task import Judged, Prediction, Shown
from production_server.models.tensors import Tensors, only

LABEL = "label"
"""The output of an interactive call that names each item's answer."""


class Classification(Labelled):
    """Chooses one of the manifest's labels, whatever goes in."""

    answers = "one of its labels"
    loss_name = "error rate"
    card = "pages/answers/label_card.html"
    is_one_of_its_choices = True
    text_outputs = (LABEL,)

    def check_manifest(self) -> None:
        manifest = self.manifest
        self.check_labels(at_least=2)
        if manifest.threshold is not None and len(manifest.labels) != 2:
            raise ValueError("threshold: only a model with two labels has one")
        if manifest.top is not None and manifest.threshold is not None:
            raise ValueError("top: a model with a threshold keeps both probabilities")
        if manifest.thresholds:
            raise ValueError("thresholds: expected none: one label is the answer")

    def fault_of(self, outputs: Tensors) -> str | None:
        sums = only(outputs).sum(axis=1)
        if np.allclose(sums, 1, atol=ALMOST):
            return super().fault_of(outputs)
        return f"numbers with sums from {sums.min():.3g} to {sums.max():.3g}"

    def predict(self, outputs: Tensors) -> list[Prediction]:
        labels, top = self.manifest.labels, self.manifest.top
        probabilities = only(outputs)
        shares = rounded(probabilities)
        chosen = self._chosen(probabilities)
        scores = shares[np.arange(len(shares)), chosen].tolist()
        kept: Iterable[Any] = rankings(probabilities, shares, top) if top else map(tuple, shares.tolist())
        return [
            Prediction(labels[index], score, output)
            for index, score, output in zip(chosen, scores, kept, strict=True)
        ]

    def show(self, prediction: Prediction) -> Shown:
        return Shown(prediction.label or "", prediction.score)

    def read_truth(self, text: str) -> str | None:
        """A label, its number, or a word that means it."""
        return label_of(text, self.manifest.labels, is_yes_or_no=self._is_yes_or_no)

    @property
    def measures(self) -> str:
        of_two = ", sensitivity, specificity and the ROC curve" if len(self.manifest.labels) == 2 else ""
        return f"accuracy, confusion matrix{of_two}"

    @property
    def _is_yes_or_no(self) -> bool:
        """A threshold is the score from which on the second label is the answer: that one was looked for."""
        return self.manifest.threshold is not None

    def threshold_of(self, place: int) -> float | None:
        threshold = self.manifest.threshold
        return threshold.value if threshold is not None and place == 1 else None

    def margin(self, prediction: Prediction) -> float:
        """The answer's probability less the next one's; with a threshold, how far the score is from that."""
        output, threshold = prediction.output, self.manifest.threshold
        if threshold is not None and len(output) == len(self.manifest.labels):
            return abs(float(output[1]) - threshold.value)
        best = sorted(share for _, share in output) if is_ranking(output) else nlargest(2, output)
        return abs(float(best[-1]) - float(best[-2])) if len(best) > 1 else 1.0

    def evaluate(self, items: Iterable[Judged]) -> Evaluation | None:
        threshold = self.manifest.threshold
        return evaluate(self.manifest.labels, items, threshold=threshold.value if threshold else None)

    def loss(self, prediction: Prediction, truth: str) -> float:
        """1 for a wrong label."""
        return float(prediction.label != truth)

    def texts(self, outputs: Tensors) -> dict[str, list[str]]:
        return {LABEL: [self.manifest.labels[index] for index in self._chosen(only(outputs))]}

    def _chosen(self, probabilities: np.ndarray) -> list[int]:
        """With a threshold, `labels[1]` is the answer where it reaches it; otherwise the largest one wins."""
        if self.manifest.threshold is not None:
            reaches: np.ndarray = probabilities[:, 1] >= self.manifest.threshold.value
            return list(map(int, reaches))
        return [int(index) for index in probabilities.argmax(axis=1)]
