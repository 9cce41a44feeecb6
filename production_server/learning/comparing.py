"""How much worse one version is than another on the same items, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RESAMPLES = 2_000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean loss of both, and the difference with the interval that holds it at `CONFIDENCE`."""

    candidate: float
    stable: float
    low: float
    high: float
    items: int

    @property
    def mean(self) -> float:
        """How much more the candidate loses; below 0 it is better."""
        return self.candidate - self.stable


def compare_losses(candidate: np.ndarray, stable: np.ndarray) -> Difference:
    """The difference of mean losses, float [items] each of the same items, by a paired bootstrap.

    Items are drawn anew, with what both lost on them (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
    chapter 13: percentile intervals). Seeded: the same losses give the same interval.

    Raises:
        ValueError: they are of different items, or there are none.
    """
    if candidate.shape != stable.shape or candidate.ndim != 1 or not len(candidate):
        raise ValueError(f"losses of the same items are needed: {candidate.shape} and {stable.shape}")
    differences = candidate - stable
    generator, count = np.random.default_rng(1), len(differences)
    # One row at a time: all of them at once would be gigabytes for a large evaluation set.
    means = np.array(
        [differences[generator.integers(0, count, count)].mean() for _ in range(RESAMPLES)], np.float64
    )
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Difference(float(candidate.mean()), float(stable.mean()), float(low), float(high), count)
