"""Several labels at once: an independent probability for each label, and each is an answer from its threshold on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from production_server.errors import InferenceFailed
from production_server.models.tasks.classification_outputs import rankings
from production_server.models.tasks.label_sets import BETWEEN, BOUND, labels_in, read_labels, to_text
from production_server.models.tasks.labelled import Labelled, rounded
from production_server.models.tasks.several_evaluation import SeveralEvaluation, evaluate
from production_server.models.tasks.task import Judged, Prediction, Shown
from production_server.models.tensors import Tensors, only

MAX_BYTES = 2_000
"""The labels of one item take no more together: an index of PostgreSQL has no room for texts of 2.7 kB."""


class SeveralLabels(Labelled):
    """Says of each of the manifest's labels whether it fits; its score is the largest probability of all."""

    answers = "any of its labels"
    answers_one_of = "any"
    card = "pages/answers/several_labels_card.html"

    loss_name = "share of wrong labels"

    def check_manifest(self) -> None:
        manifest = self.manifest
        self.check_labels(at_least=1)
        if not manifest.outputs[0].dtype.startswith("float"):
            raise ValueError("outputs: expected probabilities, of a dtype float32, float64 or float16")
        if len(manifest.thresholds) != len(manifest.labels):
            raise ValueError(f"thresholds: expected {len(manifest.labels)}, one for each label")
        if not all(0 < each < 1 for each in manifest.thresholds):
            raise ValueError("thresholds: expected probabilities above 0 and below 1")
        if manifest.threshold is not None:
            raise ValueError("threshold: expected none: each label has one, in thresholds")
        if any(BETWEEN in label or BOUND in label or not label.strip() for label in manifest.labels):
            raise ValueError(f"labels: expected names without {BETWEEN}, which stands between several")

    def predict(self, outputs: Tensors) -> list[Prediction | InferenceFailed]:
        labels, top = self.manifest.labels, self.manifest.top
        probabilities = only(outputs)
        shares = rounded(probabilities)
        is_answer = probabilities >= np.array(self.manifest.thresholds, probabilities.dtype)
        kept: Iterable[Any] = map(tuple, shares.tolist())
        if top:
            kept = self._best(probabilities, shares, is_answer, top)
        return [
            _kept(to_text(labels[place] for place in np.flatnonzero(row)), score, output)
            for row, score, output in zip(is_answer, shares.max(axis=1).tolist(), kept, strict=True)
        ]

    def show(self, prediction: Prediction) -> Shown:
        return Shown(_told(self.answered(prediction)))

    def tell_truth(self, expected: str) -> str:
        return _told(labels_in(expected) or ())

    def read_truth(self, text: str) -> str | None:
        """Labels, or their numbers, with bars between them."""
        return read_labels(text, self.manifest.labels)

    @property
    def truths(self) -> str:
        return f"{super().truths}; several with {BETWEEN} between them, or none"

    @property
    def measures(self) -> str:
        return "precision, recall and F1 of each label, and of all"

    @property
    def example_truth(self) -> str:
        return BETWEEN.join(self.manifest.labels[:2])

    def loss(self, prediction: Prediction, truth: str) -> float:
        """The share of all labels that are answered and not true, or true and not answered (Hamming loss)."""
        wrong = set(self.answered(prediction)) ^ set(labels_in(truth) or ())
        return len(wrong) / len(self.manifest.labels)

    def answered(self, prediction: Prediction) -> tuple[str, ...]:
        return labels_in(prediction.label) or ()

    def threshold_of(self, place: int) -> float | None:
        return self.manifest.thresholds[place]

    def evaluate(self, items: Iterable[Judged]) -> SeveralEvaluation | None:
        return evaluate(self.manifest.labels, items)

    @staticmethod
    def _best(
        probabilities: np.ndarray, shares: np.ndarray, is_answer: np.ndarray, top: int
    ) -> Iterable[Any]:
        """The best labels of each item, and whatever else is an answer of it: thresholds differ."""
        order = rankings(probabilities, shares, probabilities.shape[1])
        for ranking, answers in zip(order, is_answer, strict=True):
            yield tuple(pair for rank, pair in enumerate(ranking) if rank < top or answers[pair[0]])


def _kept(text: str, score: float, output: Any) -> Prediction | InferenceFailed:
    if len(text.encode()) > MAX_BYTES:
        count = len(labels_in(text) or ())
        return InferenceFailed(f"the model answered {count} labels, of more than {MAX_BYTES} bytes together")
    return Prediction(text, score, output)


def _told(labels: Sequence[str]) -> str:
    return ", ".join(labels) or "none of its labels"
