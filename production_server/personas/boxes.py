"""Which boxes of one picture are the same face, found twice. Knows no rows."""

from __future__ import annotations

from collections.abc import Sequence

Box = Sequence[float]
"""Left, top, right, bottom."""

LEAST_OVERLAP = 0.5
"""Intersection over union from which two boxes are of one face."""


def pairs(some: Sequence[Box], others: Sequence[Box]) -> list[tuple[int, int]]:
    """The places of boxes that are of the same face: one to one, those first that overlap most."""
    overlaps = [
        (overlap(one, other), place, other_place)
        for place, one in enumerate(some)
        for other_place, other in enumerate(others)
    ]
    found: list[tuple[int, int]] = []
    taken: set[int] = set()
    others_taken: set[int] = set()
    for share, place, other_place in sorted(overlaps, key=lambda each: (-each[0], *each[1:])):
        if share < LEAST_OVERLAP:
            break
        if place not in taken and other_place not in others_taken:
            found.append((place, other_place))
            taken.add(place)
            others_taken.add(other_place)
    return found


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, 0 to 1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0.0) * max(height, 0.0)
    union = _area(one) + _area(other) - common
    return common / union if union > 0 else 0.0


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)
