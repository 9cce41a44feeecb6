"""What is served, held against the original: what counts as the same, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from production_server.errors import InvalidInput
from production_server.models.importing.parity import Inputs, batches_of, compare, parity_of
from production_server.models.manifest import Manifest, TensorSpec
from production_server.models.tensors import Tensors

X, Y = (TensorSpec(name=name, shape=(None, 2), dtype="float32") for name in "xy")
ROWS = np.arange(1200, dtype=np.float32).reshape(600, 2)


def manifest(**changes: Any) -> Manifest:
    values = {
        "schema": 1, "name": "mine", "version": "1", "title": "Mine", "created": datetime(2026, 11, 30, tzinfo=UTC),
        "task": "tensors", "inputs": (X,), "outputs": (Y,), "metrics": None, "training_data": (),
        "code_revision": None, "parity": None, "files": {},
    }  # fmt: skip
    return Manifest.model_validate(values | changes)


def adding(offset: Any, *, factor: float = 1.0) -> Any:
    def compute(tensors: Tensors) -> Tensors:
        return {"y": (tensors["x"] * np.float32(factor) + np.float32(offset)).astype(np.float32)}

    return compute


def compared(original: Any, served: Any) -> Any:
    return compare(original, served, batches_of({"x": ROWS}, [X]), [Y])


def test_all_items_are_compared_in_batches() -> None:
    sizes = []

    def served(tensors: Tensors) -> Tensors:
        sizes.append(len(tensors["x"]))
        return {"y": tensors["x"]}

    found = compared(adding(0), served)

    assert (found.items, found.difference, found.largest) == (600, 0, 1199)
    assert sizes == [256, 256, 88]


def test_the_largest_difference_counts_wherever_it_is() -> None:
    def served(tensors: Tensors) -> Tensors:
        return {"y": np.where(tensors["x"] == 700, np.float32(703), tensors["x"])}

    assert compared(adding(0), served).difference == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_within_nothing(value: float) -> None:
    assert not compared(adding(0), adding(value)).is_within(1e9)
    assert not compared(adding(value), adding(0)).is_within(1e9)
    assert not compared(adding(value), adding(value)).is_within(1e9)


def test_another_shape_is_within_nothing() -> None:
    found = compared(adding(0), lambda tensors: {"y": tensors["x"][:, :1]})

    assert not found.is_within(1e9)


def test_texts_are_the_same_or_not() -> None:
    def words(last: str) -> Any:
        return lambda tensors: {"y": np.array(["a"] * (len(tensors["x"]) - 1) + [last], object)}

    assert compared(words("b"), words("b")).is_within(0)
    assert not compared(words("b"), words("c")).is_within(1e9)


def test_a_version_that_answers_otherwise_than_its_original_is_refused() -> None:
    inputs = Inputs({"x": ROWS}, "600 rows of the sample", is_real=True)

    with pytest.raises(InvalidInput, match=r"^parity: .* differ by at most 1e-01, got 5\.0e-01 on 600"):
        parity_of(manifest(), adding(0), adding(0.5), inputs)

    parity = parity_of(manifest(), adding(0), adding(0.1), inputs)
    assert (parity.inputs, parity.drawn, parity.original) == (600, "real", "plain_graph")
    assert parity.max_abs_difference == pytest.approx(0.1, abs=1e-3)


def test_an_original_that_answers_what_is_no_number_is_refused_as_such() -> None:
    inputs = Inputs({"x": ROWS}, "600 random inputs", is_real=False)

    with pytest.raises(InvalidInput, match=r"^edges: expected finite answers for 600 random inputs: "):
        parity_of(manifest(), adding(np.inf), adding(np.inf), inputs)
