"""Between what bounds a share lies of which only some cases were seen."""

from __future__ import annotations

import math

DEVIATIONS = 1.959964
"""Of the normal distribution for an interval that holds the share 95 times in a hundred."""


def wilson(hits: int, count: int, deviations: float = DEVIATIONS) -> tuple[float, float]:
    """The least and the greatest share that `hits` of `count` (at least 1) may come from.

    Wilson, "Probable inference, the law of succession, and statistical inference" (JASA 22, 1927).
    """
    square = deviations**2
    middle = (hits + square / 2) / (count + square)
    half = deviations / (count + square) * math.sqrt(hits * (count - hits) / count + square / 4)
    # With none or all of them a bound is 0 or 1 but for rounding.
    return max(0.0, middle - half) if hits else 0.0, min(1.0, middle + half) if hits < count else 1.0
