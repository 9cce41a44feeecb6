"""What the measurement of faces makes of pairs."""

from __future__ import annotations

import numpy as np

from benchmarks.faces import _figures


def test_all_of_one_person_before_all_others_is_an_area_of_one() -> None:
    assert _figures(np.arange(1_010) < 10, np.ones(1_010)) == [1, 1, 1]


def test_pairs_accepted_before_a_hundredth_of_the_others() -> None:
    same = np.array([True, *[False] * 5, True, *[False] * 995, True, True])
    area, at_a_hundredth, at_a_thousandth = _figures(same, np.ones(len(same)))
    assert (at_a_hundredth, at_a_thousandth) == (0.5, 0.25)
    np.testing.assert_allclose(area, (1 + 0.995) / 4)


def test_weights_count_a_pair_as_often_as_it_is_drawn() -> None:
    same = np.array([True, *[False] * 1_000, True])
    assert _figures(same, np.where(same, [3, *[1] * 1_000, 1], 1))[1:] == [0.75, 0.75]


def test_nothing_is_accepted_where_the_nearest_pair_is_of_two_people() -> None:
    assert _figures(np.array([False, True, True]), np.ones(3)) == [0, 0, 0]
