from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np

from production_server.training import metrics, plots
from production_server.training.checkpoint import Epoch

if TYPE_CHECKING:
    from pathlib import Path

HISTORY = [Epoch(1 / n, 1 - 0.5 / n, 1 / n, 1 - 0.4 / n, wall_s=1, cpu_s=2) for n in range(1, 6)]
TRUTH = np.array([0, 0, 0, 1, 1] * 20)
SCORES = np.linspace(0, 1, 100)


def draw_all(folder: Path) -> dict[str, bytes]:
    plots.draw_learning_curves(HISTORY, folder / "curves.svg", chosen=3)
    plots.draw_confusion(np.array([[8, 2], [0, 5]]), ("cat", "dog"), folder / "confusion.svg")
    plots.draw_roc(TRUTH, SCORES, folder / "roc.svg", threshold=0.4, area="area 0.5")
    plots.draw_calibration(TRUTH, SCORES, folder / "calibration.svg")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_plots_are_svg_files_on_a_white_card_with_their_words_as_text(tmp_path: Path) -> None:
    drawn = draw_all(tmp_path / "plots")

    assert len(drawn) == 4
    assert all(ET.fromstring(content).tag.endswith("svg") for content in drawn.values())
    assert all(b"#ffffff" in content for content in drawn.values())
    assert b">dog</text>" in drawn["confusion.svg"]
    assert b"chosen: epoch 4" in drawn["curves.svg"]


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    assert draw_all(tmp_path / "first") == draw_all(tmp_path / "second")


def test_a_confusion_matrix_counts_by_truth_and_answer() -> None:
    table = metrics.confusion(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0]), 2)

    assert table.tolist() == [[1, 1], [1, 2]]
    assert round(metrics.macro_f1(table), 4) == round((2 / 4 + 4 / 6) / 2, 4)
