from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from production_server.errors import InvalidInput
from production_server.models.registry import Registry
from production_server.models.tabular import check_rows, stack_rows


def faults_of(registry: Registry, inputs: list[Any]) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        check_rows(registry.resolve("table").manifest, inputs)
    return [str(fault) for fault in caught.value.faults]


def test_rows_in_feature_order_and_by_name_are_the_same(small_registry: Registry) -> None:
    manifest = small_registry.resolve("table").manifest

    rows = check_rows(manifest, [[3, 7.5], {"weight": 7.5, "index": 3}])

    assert rows[0] == rows[1]
    assert stack_rows(row.to_bytes() for row in rows).tolist() == [[3, 7.5], [3, 7.5]]


def test_values_outside_the_training_range_are_taken_and_marked(small_registry: Registry) -> None:
    rows = check_rows(small_registry.resolve("table").manifest, [[3, 7], [3, 51], [-1, 0.5], [0, 0]])

    assert [row.outside_training_range for row in rows] == [(), ("weight",), ("index", "weight"), ()]


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("7", '"7"'), (None, "null"), (True, "true"), (math.nan, "NaN"), (math.inf, "Infinity"),
        (-math.inf, "-Infinity"), (1e39, "1e+39"), (10**400, "1000"), ([7], "a list of 1"), ({}, "an object"),
    ],
)  # fmt: skip
def test_what_is_not_a_finite_number_is_refused_with_its_place(
    small_registry: Registry, value: object, got: str
) -> None:
    (fault,) = faults_of(small_registry, [[3, 7], [3, value]])

    assert fault.startswith(
        "inputs[1][1] (weight): expected a finite number in kg (a missing value is written 0), got"
    )
    assert got in fault


def test_wrong_numbers_of_values_and_wrong_names_are_refused(small_registry: Registry) -> None:
    faults = faults_of(small_registry, [[1], [1, 2, 3], {"index": 1, "height": 2}, 5, "text"])

    assert faults == [
        "inputs[0]: expected 2 numbers (index, weight), got 1",
        "inputs[1]: expected 2 numbers (index, weight), got 3",
        "inputs[2].weight: expected a number, got nothing",
        "inputs[2].height: expected one of index, weight, got an unknown name",
        "inputs[3]: expected a list of 2 numbers or an object with the keys index, weight, got 5",
        'inputs[4]: expected a list of 2 numbers or an object with the keys index, weight, got "text"',
    ]


def test_no_more_than_twenty_faults_are_named(small_registry: Registry) -> None:
    assert len(faults_of(small_registry, [["a", "b"]] * 500)) == 20


@given(
    st.lists(
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=2),
        min_size=1,
    )
)
def test_every_float32_survives_being_stored(small_models_manifest: Any, rows: list[list[float]]) -> None:
    checked = check_rows(small_models_manifest, rows)

    assert np.array_equal(stack_rows(row.to_bytes() for row in checked), np.array(rows, np.float32))


@pytest.fixture(scope="session")
def small_models_manifest(small_models: Any) -> Any:
    return Registry([small_models]).resolve("table").manifest
