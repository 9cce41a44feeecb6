"""The best labels of an item, and what of its probabilities a model keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from production_server.models.manifest import Manifest, read_manifest
from production_server.models.tasks import task_of
from production_server.models.tasks.classification_outputs import rank
from production_server.models.tasks.task import LabelScore, Prediction
from production_server.models.tensors import Tensors
from testing.small_models import write_image_model, write_shades_model


@pytest.fixture
def shades(tmp_path: Path) -> Manifest:
    return read_manifest(write_shades_model(tmp_path))


def told(array: np.ndarray) -> Tensors:
    return {"probabilities": array}


def row(**shares: float) -> np.ndarray:
    """Probabilities of the 30 shades: `_7=0.5` is that of the shade 7."""
    found = np.zeros((1, 30), np.float32)
    for place, share in shares.items():
        found[0, int(place[1:])] = share
    return found


def test_the_best_labels_come_best_first() -> None:
    assert rank([0.1, 0.5, 0.3, 0.1], 3) == ((1, 0.5), (2, 0.3), (0, 0.1))


def test_of_fewer_labels_than_asked_for_all_are_told() -> None:
    assert rank([0.25, 0.75], 5) == ((1, 0.75), (0, 0.25))
    assert rank((), 5) == ()


def test_a_model_without_top_keeps_all_probabilities_in_the_order_of_its_labels(tmp_path: Path) -> None:
    manifest = read_manifest(write_image_model(tmp_path))

    assert task_of(manifest).predict(told(np.array([[0.25, 0.75]], np.float32))) == [
        Prediction("bright", 0.75, (0.25, 0.75))
    ]


def test_a_model_with_top_keeps_its_best_labels_by_their_places(shades: Manifest) -> None:
    (found,) = task_of(shades).predict(told(row(_3=0.1, _17=0.6, _8=0.2, _9=0.05)))

    assert found == Prediction("shade 17", 0.6, ((17, 0.6), (8, 0.2), (3, 0.1)))


def test_the_answer_is_the_first_of_the_best_labels_also_where_rounding_makes_two_alike(
    shades: Manifest,
) -> None:
    (found,) = task_of(shades).predict(told(row(_3=0.30000001, _8=0.30000007, _9=0.1)))

    assert found == Prediction("shade 8", 0.3, ((8, 0.3), (3, 0.3), (9, 0.1)))


def test_of_equal_probabilities_the_earlier_label_is_the_better_one(shades: Manifest) -> None:
    batch = np.concatenate([row(_20=0.5, _4=0.5), np.full((1, 30), 1 / 30, np.float32)])

    first, second = task_of(shades).predict(told(batch))

    assert isinstance(first, Prediction) and isinstance(second, Prediction)
    assert (first.label, first.output) == ("shade 4", ((4, 0.5), (20, 0.5), (0, 0.0)))
    assert (second.label, [place for place, _ in second.output]) == ("shade 0", [0, 1, 2])


def test_the_five_best_labels_are_told_of_an_item_of_which_all_probabilities_are_kept(tmp_path: Path) -> None:
    task = task_of(read_manifest(write_image_model(tmp_path)))
    shades = task_of(read_manifest(write_shades_model(tmp_path, top=None)))
    many = Prediction("shade 1", 0.3, (0.05, 0.3, 0.1, 0.25, 0.0, 0.25) + (0.0,) * 24)

    assert task.best_labels(Prediction("bright", 0.75, (0.25, 0.75))) == [
        LabelScore("bright", 0.75),
        LabelScore("dark", 0.25),
    ]
    assert [(each.label, each.score) for each in shades.best_labels(many)] == [
        ("shade 1", 0.3), ("shade 3", 0.25), ("shade 5", 0.25), ("shade 2", 0.1), ("shade 0", 0.05),
    ]  # fmt: skip


def test_of_a_model_with_top_those_labels_are_told_that_were_kept(shades: Manifest) -> None:
    task, kept = task_of(shades), Prediction("shade 17", 0.6, ((17, 0.6), (8, 0.2), (3, 0.1)))

    assert [each.label for each in task.best_labels(kept)] == ["shade 17", "shade 8", "shade 3"]
    assert task.numbers(kept) is None
    assert task.columns() == ["label 1", "score 1", "label 2", "score 2", "label 3", "score 3"]
    assert task.cells(kept) == ["shade 17", 0.6, "shade 8", 0.2, "shade 3", 0.1]


def test_labels_that_another_version_under_the_number_does_not_have_are_not_told(tmp_path: Path) -> None:
    task = task_of(read_manifest(write_image_model(tmp_path)))

    assert task.best_labels(Prediction("shade 17", 0.6, ((17, 0.6), (8, 0.2)))) == []
