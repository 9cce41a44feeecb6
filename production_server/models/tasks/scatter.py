"""Values held against what is true, as points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Scatter:
    """A point for each item: what is true, and what was answered; both float64 [items], finite."""

    true: np.ndarray
    answered: np.ndarray
    unit: str | None = None
