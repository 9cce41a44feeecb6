"""Wilson's interval, beside the values of his formula as others publish them."""

from __future__ import annotations

import pytest

from production_server.intervals import wilson


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    # Newcombe, "Two-sided confidence intervals for the single proportion" (Statistics in Medicine 17, 1998), table I.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_bounds_are_those_of_the_literature(hits: int, count: int, low: float, high: float) -> None:
    assert wilson(hits, count) == pytest.approx((low, high), abs=5e-5)


def test_all_and_none_are_mirrored() -> None:
    low, high = wilson(7, 7)

    assert high == 1
    assert low == pytest.approx(1 - wilson(0, 7)[1])
