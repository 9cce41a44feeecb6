"""How sure it is that one version is worse than another."""

from __future__ import annotations

import numpy as np
import pytest

from production_server.learning.comparing import compare_losses


def test_of_the_same_answers_nothing_is_unsure() -> None:
    losses = np.array([0.0, 1.0, 0.0])

    found = compare_losses(losses, losses)

    assert (found.mean, found.low, found.high, found.items) == (0.0, 0.0, 0.0, 3)


def test_the_interval_is_that_of_paired_items() -> None:
    """Both lose much on the same items: unpaired, nothing could be told; a normal interval says what to expect."""
    generator = np.random.default_rng(7)
    hard = generator.exponential(10.0, 400)
    candidate, stable = hard + generator.normal(0.5, 1.0, 400), hard

    found = compare_losses(candidate, stable)

    spread = 1.96 * np.std(candidate - stable) / 20
    assert found.mean == pytest.approx(np.mean(candidate - stable))
    assert found.low == pytest.approx(found.mean - spread, abs=0.02)
    assert found.high == pytest.approx(found.mean + spread, abs=0.02)
    assert compare_losses(candidate, stable) == found


@pytest.mark.parametrize(("mine", "its"), [([1.0], [1.0, 2.0]), ([], []), ([[1.0]], [[1.0]])])
def test_losses_of_other_items_are_refused(mine: list[float], its: list[float]) -> None:
    with pytest.raises(ValueError, match="the same items"):
        compare_losses(np.array(mine), np.array(its))
