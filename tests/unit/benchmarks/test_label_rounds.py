"""What is told of rounds of corrections: means of the runs, and which label a model's answer is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import label_rounds
from benchmarks.label_rounds import CLASSES, accuracy, shown
from production_server.training.image_set import ImageSet


def test_the_mean_of_all_runs_is_told_with_each_run() -> None:
    found = {"margin": [[0.80, 0.84], [0.82, 0.88]], "random": [[0.80, 0.82], [0.82, 0.83]]}

    lines = shown(found, [0, 200]).splitlines()

    assert lines[2].split("|")[1:4] == [" 0           ", " 81.0% (80.0, 82.0) ", " 81.0% (80.0, 82.0) "]
    assert lines[3].split("|")[2:4] == [" 86.0% (84.0, 88.0) ", " 82.5% (82.0, 83.0) "]


def test_a_models_answers_are_labels_in_the_order_of_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fashion-MNIST's own order is another one: its first class is the last by the alphabet but one."""
    bags = ImageSet(np.zeros((2, 28, 28, 1), np.uint8), np.full(2, CLASSES.index("Bag"), np.int32))
    monkeypatch.setattr(label_rounds, "session", lambda _: _Always(sorted(CLASSES).index("Bag")))

    assert accuracy(Path("nowhere"), bags) == 1


class _Always:
    """A session whose answer is always one place."""

    def __init__(self, place: int) -> None:
        self._answer = np.eye(len(CLASSES), dtype=np.float32)[[place, place]]
        self.name = "image"

    def get_inputs(self) -> list[_Always]:
        return [self]

    def run(self, _: None, __: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [self._answer]
