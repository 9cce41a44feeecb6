"""Of boxes that overlap the best one is kept."""

from __future__ import annotations

import numpy as np

from production_server.models.faces.boxes import best, moved, squared

BOXES = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [22, 2, 26, 6]], np.float32)
SCORES = np.array([0.8, 0.9, 0.7, 0.95], np.float32)


def test_the_best_of_those_that_overlap_is_kept_best_first() -> None:
    assert best(BOXES, SCORES, most_overlap=0.5, of="union", at_most=9).tolist() == [3, 1, 2]


def test_a_box_in_another_one_overlaps_the_smaller_one_wholly() -> None:
    assert best(BOXES, SCORES, most_overlap=0.5, of="smaller", at_most=9).tolist() == [3, 1]


def test_no_more_are_kept_than_may_be() -> None:
    assert best(BOXES, SCORES, most_overlap=0.5, of="union", at_most=2).tolist() == [3, 1]


def test_of_none_none_is_kept() -> None:
    none = np.empty((0, 4), np.float32)

    assert best(none, np.empty(0, np.float32), most_overlap=0.5, of="union", at_most=9).tolist() == []
    assert squared(none).shape == (0, 4)


def test_a_square_has_the_same_centre_and_the_longer_side() -> None:
    assert squared(np.array([[0, 10, 20, 20]], np.float32)).tolist() == [[0, 5, 20, 25]]


def test_edges_are_moved_by_shares_of_width_and_height() -> None:
    by = np.array([[0.1, -0.5, 0, 0.5]], np.float32)

    assert np.allclose(moved(np.array([[0, 0, 10, 20]], np.float32), by), [[1, -10, 10, 30]])
