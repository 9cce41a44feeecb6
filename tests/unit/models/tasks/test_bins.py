from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from production_server.models.tasks.bins import Bin, Column, bin_of, columns_of, exponent_for, read_bin

VALUES = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-1000, 1000).map(float)
FINEST = st.none() | st.integers(-6, 6)


def counted(values: list[float], finest: int | None = None) -> Counter[Bin]:
    return Counter(bin_of(value, finest) for value in values)


@pytest.mark.parametrize(
    ("value", "finest", "place"),
    [
        (152.3, None, "152e0"),
        (-152.3, None, "-153e0"),
        (0.3, -1, "3e-1"),  # 0.3 / 0.1 is less than 3 in floats
        (1e308, None, "100e306"),
        (5e-324, None, "500e-326"),
        (1e308, 0, "100000000e300"),  # known range or not: no place has 300 digits
        (0.0, None, "0e-400"),
        (-0.0, 2, "0e-400"),
    ],
)
def test_a_value_lies_in_the_bin_of_its_shortest_decimal(
    value: float, finest: int | None, place: str
) -> None:
    assert str(bin_of(value, finest)) == place


@given(VALUES, FINEST)
def test_a_bin_holds_its_value_and_is_read_as_it_is_written(value: float, finest: int | None) -> None:
    found = bin_of(value, finest)

    assert found.start <= Decimal(repr(value)) < found.stop
    assert read_bin(str(found)) == found


@given(st.lists(st.tuples(VALUES, FINEST), min_size=1, max_size=300))
def test_columns_hold_exactly_the_values_between_their_edges(values: list[tuple[float, int | None]]) -> None:
    """Of all versions together, whatever ranges they knew."""
    columns = columns_of(Counter(bin_of(value, finest) for value, finest in values))

    assert len(columns) <= 22
    for column in columns:
        inside = [
            value
            for value, _ in values
            if (column.start is None or value >= column.start)
            and (column.stop is None or value < column.stop)
        ]
        assert len(inside) == column.items


def test_outliers_stand_in_open_columns_and_do_not_stretch_the_others() -> None:
    columns = columns_of(counted([1e300, -1e300, *map(float, range(100, 500))]))

    assert columns[0] == Column(None, 100.0, 1)
    assert columns[-1] == Column(500.0, None, 1)
    assert columns[1] == Column(100.0, 120.0, 20)
    assert len(columns) == 22


def test_what_is_alike_is_one_column_and_nothing_is_none() -> None:
    assert columns_of({}) == []
    assert columns_of(counted([0.0, 0.0])) == [Column(0.0, 1.0, 2)]
    assert columns_of(counted([7.25, 7.25, 7.25])) == [Column(7.25, 7.26, 3)]


@pytest.mark.parametrize(
    ("minimum", "maximum", "exponent"),
    [(1000, 1050, 0), (25, 346, 0), (0, 1, -2), (0, 5e9, 8), (None, 3, None), (3, None, None), (3, 3, None)],
)
def test_a_known_range_has_fifty_to_five_hundred_bins(
    minimum: float | None, maximum: float | None, exponent: int | None
) -> None:
    assert exponent_for(minimum, maximum) == exponent


def test_a_range_wider_than_a_double_is_large_has_bins_too() -> None:
    assert exponent_for(-1.7e308, 1.7e308) == 306
