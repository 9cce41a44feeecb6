"""Shares with the intervals that they lie in, and how far people agree: numbers only."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

Z_95 = 1.959964
"""Of the normal distribution: 95 % lie within so many standard deviations."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many of some are so, and where the share of all lies with 95 % confidence."""

    hits: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.hits / self.of


def wilson(hits: int, of: int) -> Share:
    """A share of at least one with its Wilson interval (1927), which holds for few and for shares near 0 or 1."""
    share, square = hits / of, Z_95**2
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = Z_95 / (1 + square / of) * math.sqrt(share * (1 - share) / of + square / (4 * of**2))
    # With none or all of them a bound is 0 or 1 but for rounding.
    return Share(
        hits,
        of,
        0.0 if hits == 0 else max(middle - half, 0.0),
        1.0 if hits == of else min(middle + half, 1.0),
    )


def kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's kappa of two people's answers: 1 where all are equal, 0 where as many are as by chance.

    None: there are none, or all of both are the same, so that chance explains everything.
    """
    if not pairs:
        return None
    count = len(pairs)
    equal = sum(first == second for first, second in pairs) / count
    firsts, seconds = Counter(first for first, _ in pairs), Counter(second for _, second in pairs)
    by_chance = sum(firsts[label] * seconds[label] for label in firsts) / count**2
    return None if by_chance >= 1 else (equal - by_chance) / (1 - by_chance)
