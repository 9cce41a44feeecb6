"""Which inputs are almost the same."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from production_server.labels.likeness import are_alike, vector_of
from production_server.models.registry import Registry


def row(small_registry: Registry, *values: float) -> np.ndarray:
    vector = vector_of(small_registry.resolve("table").task, json.dumps(values).encode(), max_pixels=1)
    assert vector is not None
    return vector


def test_each_feature_counts_by_the_range_that_training_saw(small_registry: Registry) -> None:
    # Index is from 0 to 9, weight from 1 to 50.
    first = row(small_registry, 1, 40)

    assert are_alike(first, row(small_registry, 1.2, 41))
    assert not are_alike(first, row(small_registry, 8, 40))
    assert not are_alike(first, row(small_registry, 1, 10))


def test_what_cannot_be_compared_is_like_nothing(small_registry: Registry) -> None:
    task = small_registry.resolve("picture").task
    plain = io.BytesIO()
    Image.new("L", (4, 4), 7).save(plain, "PNG")

    assert vector_of(task, b"no image", max_pixels=100) is None
    assert vector_of(task, plain.getvalue(), max_pixels=100) is None
    assert not are_alike(np.ones(2), np.ones(3))


@pytest.mark.parametrize(
    ("model", "output", "margin"),
    [
        ("picture", (0.3, 0.7), 0.4),
        ("shades", ((4, 0.5), (5, 0.3), (3, 0.1)), 0.2),
        ("table", (0.75, 0.25), 0.05),
    ],
)
def test_a_margin_is_how_far_an_answer_is_from_another(
    small_registry: Registry, model: str, output: tuple[object, ...], margin: float
) -> None:
    from production_server.models.tasks.task import Prediction

    task = small_registry.resolve(model).task

    assert task.margin(Prediction("any", 0.5, output)) == pytest.approx(margin)
