from __future__ import annotations

from pathlib import Path

import pytest

from production_server.errors import Fault
from production_server.models.manifest import Manifest
from production_server.models.registry import Registry
from production_server.web.pages.fields import read_row, row_fields, typed_values

OTHERS = "a number with the decimal sign of the others:"


@pytest.fixture
def manifest(model_store: Path) -> Manifest:
    return Registry([model_store]).resolve("table").manifest


def test_each_feature_has_a_field_with_its_label_range_and_example(manifest: Manifest) -> None:
    fields = row_fields(manifest)

    told = [(field.feature.label, field.name, field.range, field.example, field.value) for field in fields]
    assert told == [
        ("Index", "value.index", "0 to 9", "3", ""),
        ("Weight", "value.weight", "1 to 50", "7", ""),
    ]


def test_typed_numbers_become_a_row(manifest: Manifest) -> None:
    row, faults = read_row(manifest, {"value.index": " 3 ", "value.weight": "7.5"})

    assert (row, faults) == ({"index": 3.0, "weight": 7.5}, [])


def test_a_comma_may_be_the_decimal_sign(manifest: Manifest) -> None:
    row, faults = read_row(manifest, {"value.index": "3", "value.weight": "7,5"})

    assert (row, faults) == ({"index": 3.0, "weight": 7.5}, [])


def test_an_empty_field_is_a_missing_value_where_the_model_knows_such(manifest: Manifest) -> None:
    row, faults = read_row(manifest, {"value.index": "3", "value.weight": ""})

    assert (row, faults) == ({"index": 3.0, "weight": 0.0}, [])


def test_an_empty_field_is_a_fault_where_the_model_needs_a_value(manifest: Manifest) -> None:
    _, faults = read_row(manifest, {"value.weight": "7"})

    assert faults == [Fault("index", "a number", "nothing")]


@pytest.mark.parametrize(
    "text", ["seven", "1,2,3", "1_000", "nan", "inf", "-Infinity", "1e999", "7 kg", "0x10"]
)
def test_what_is_no_finite_number_is_a_fault_of_its_field(manifest: Manifest, text: str) -> None:
    _, faults = read_row(manifest, {"value.index": text, "value.weight": "7"})

    assert faults == [Fault("index", "a number", f"“{text}”")]


@pytest.mark.parametrize(
    "text", ["\u0665", "\u0661.\u0660\u0664\u0666", "\uff11\u0660", "\uff15,5", "\u0663\u0663\u066b\u0666"]
)
def test_digits_that_are_not_0_to_9_are_a_fault_of_their_field(manifest: Manifest, text: str) -> None:
    _, faults = read_row(manifest, {"value.index": "3", "value.weight": text})

    assert faults == [Fault("weight", "a number in the digits 0 to 9", f'"{text}"')]


def test_a_field_keeps_what_was_typed_and_says_what_is_wrong_with_it(manifest: Manifest) -> None:
    typed = {"value.index": "seven", "value.weight": "7"}

    index, weight = row_fields(manifest, typed, read_row(manifest, typed)[1])

    assert (index.value, index.error) == ("seven", "Expected a number, got “seven”")
    assert (weight.value, weight.error) == ("7", None)


def test_a_stored_row_is_typed_again_as_it_was(manifest: Manifest) -> None:
    assert typed_values(manifest, [3.0, 0.25]) == {"value.index": "3", "value.weight": "0.25"}
    assert typed_values(manifest, [3.0, 0.0]) == {"value.index": "3", "value.weight": ""}


@pytest.mark.parametrize(
    ("index", "weight", "fault"),
    [
        ("3", "1,046", Fault("weight", "a number that can be read in one way", '"1,046": 1046 or 1.046')),
        ("0,5", "1.046", Fault("weight", f"{OTHERS} commas", '"1.046": 1046 or 1.046')),
        ("1.046", "0,5", Fault("index", f"{OTHERS} commas", '"1.046": 1046 or 1.046')),
        ("0,5", "7.5", Fault("weight", f"{OTHERS} commas", '"7.5"')),
        ("3", "50%", Fault("weight", "a number that can be read in one way", "50%: 50 or 0.5")),
    ],
)
def test_what_can_be_read_in_two_ways_is_a_fault_with_both(
    manifest: Manifest, index: str, weight: str, fault: Fault
) -> None:
    _, faults = read_row(manifest, {"value.index": index, "value.weight": weight})

    assert faults == [fault]


@pytest.mark.parametrize(
    ("index", "weight", "row"), [("3", "1.046", (3, 1.046)), ("0,5", "1,046", (0.5, 1.046))]
)
def test_a_sign_is_a_decimal_one_where_the_other_fields_say_so_and_a_point_where_none_does(
    manifest: Manifest, index: str, weight: str, row: tuple[float, float]
) -> None:
    typed = {"value.index": index, "value.weight": weight}

    assert read_row(manifest, typed) == (dict(zip(("index", "weight"), row, strict=True)), [])
