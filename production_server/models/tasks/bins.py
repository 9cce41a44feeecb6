"""Bins of values: where numbers are counted, so that a histogram of any number of them is read from few counts.

A bin is `place` × 10^`exponent` up to the next place. All edges are decimals, so bins of different widths nest:
whatever wider columns a page draws, each bin lies in one of them, and their counts are exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal
from itertools import count
from typing import NamedTuple

DIGITS = 3
"""Of a value of which no range is known so many digits count: up to 900 bins for each power of ten."""
MOST_DIGITS = 9
"""No bin is finer, however narrow the range that is known: places stay small numbers."""
IN_A_RANGE = 50
"""A range that is known has so many bins, or up to ten times as many."""
ZERO = -400
"""The exponent of the bin that has 0 alone: finer than any other, so that it lies in one column whatever is drawn."""
COLUMNS = 20
TAIL = 0.005
"""Of all values so many, at either end, may stand in an open column instead of stretching all others."""

_EXACT = Context(prec=800)
"""Digits enough for the sum of the largest and the smallest double."""


class Bin(NamedTuple):
    """From `place` × 10^`exponent` on, up to (and without) the next place."""

    place: int
    exponent: int

    def __str__(self) -> str:
        return f"{self.place}e{self.exponent}"

    @property
    def start(self) -> Decimal:
        return Decimal(self.place).scaleb(self.exponent, _EXACT)

    @property
    def stop(self) -> Decimal:
        return Decimal(self.place + 1).scaleb(self.exponent, _EXACT)


def read_bin(text: str) -> Bin:
    """A bin as `str` writes it.

    Raises:
        ValueError: it is none.
    """
    place, _, exponent = text.partition("e")
    return Bin(int(place), int(exponent))


def bin_of(value: float, finest: int | None = None) -> Bin:
    """The bin of a finite value, as its shortest decimal writes it: 0.3 lies in the one that begins with 0.3.

    `finest`: the exponent of the bins of a range that is known (`exponent_for`); None: by the value's own digits.
    """
    number = Decimal(repr(value))
    if not number:
        return Bin(0, ZERO)
    exponent = number.adjusted() - DIGITS + 1
    if finest is not None:
        exponent = max(finest, number.adjusted() - MOST_DIGITS + 1)
    place = number.scaleb(-exponent, _EXACT).to_integral_value(ROUND_FLOOR)
    return Bin(int(place), exponent)


def exponent_for(minimum: float | None, maximum: float | None) -> int | None:
    """The exponent of bins for a range; None where it is not known."""
    if minimum is None or maximum is None or not minimum < maximum:
        return None
    width = _EXACT.subtract(Decimal(repr(maximum)), Decimal(repr(minimum)))
    return (width / IN_A_RANGE).adjusted()


@dataclass(frozen=True, slots=True)
class Column:
    """Values from `start` on and below `stop`; None: however small, or large."""

    start: float | None
    stop: float | None
    items: int


def columns_of(counts: Mapping[Bin, int]) -> list[Column]:
    """Columns of one width, at most 20 and two open ones, in which the counts of all bins are; in order."""
    if not counts:
        return []
    ordered = sorted(counts, key=lambda each: each.start)
    middle, step = _middle(ordered, counts)
    first, last = _place(middle[0], step), _place(middle[-1], step)
    inside = [0] * (last - first + 1)
    below = above = 0
    for each in ordered:
        place = _place(each, step)
        if place < first:
            below += counts[each]
        elif place > last:
            above += counts[each]
        else:
            inside[place - first] += counts[each]
    edges = [_finite(step * place) for place in range(first, last + 2)]
    columns = [Column(edges[n], edges[n + 1], items) for n, items in enumerate(inside)]
    lower = [Column(None, edges[0], below)] if below else []
    upper = [Column(edges[-1], None, above)] if above else []
    return [*lower, *columns, *upper]


def _finite(edge: Decimal) -> float | None:
    number = float(edge)
    return number if math.isfinite(number) else None


def _middle(ordered: list[Bin], counts: Mapping[Bin, int]) -> tuple[list[Bin], Decimal]:
    """The bins that get columns, and how wide these are: none of the others reaches into one."""
    middle = _without_tails(ordered, counts)
    while True:
        step = _step(middle)
        start, stop = step * _place(middle[0], step), step * (_place(middle[-1], step) + 1)
        touched = [each for each in ordered if each.start < stop and each.stop > start]
        if len(touched) == len(middle):
            return middle, step
        middle = touched


def _without_tails(ordered: list[Bin], counts: Mapping[Bin, int]) -> list[Bin]:
    most = int(TAIL * sum(counts.values()))
    first, last = 0, len(ordered) - 1
    passed = counts[ordered[first]]
    while passed <= most:
        first += 1
        passed += counts[ordered[first]]
    passed = counts[ordered[last]]
    while passed <= most and last > first:
        last -= 1
        passed += counts[ordered[last]]
    return ordered[first : last + 1]


def _step(bins: list[Bin]) -> Decimal:
    """The narrowest of 1, 2, 5, 10, 20 … that makes few enough columns, and parts no bin between."""
    widest = max(each.exponent for each in bins)
    if widest == ZERO:
        return Decimal(1)
    width = _EXACT.subtract(bins[-1].start, bins[0].start)
    exponent = max(widest, (width / COLUMNS).adjusted() if width else widest)
    steps = steps_from(exponent)
    return next(step for step in steps if _place(bins[-1], step) - _place(bins[0], step) < COLUMNS)


def steps_from(exponent: int) -> Iterator[Decimal]:
    """Round steps, each wider than the one before: 1, 2, 5, 10, 20 … times 10^`exponent`; without end."""
    for power in count(exponent):
        for digit in (1, 2, 5):
            yield Decimal(digit).scaleb(power, _EXACT)


def _place(each: Bin, step: Decimal) -> int:
    return int(_EXACT.divide(each.start, step).to_integral_value(ROUND_FLOOR))
