"""Whether two inputs are almost the same: who has just answered one need not answer the other."""

from __future__ import annotations

import numpy as np

from production_server.errors import CeleriacError
from production_server.models.tasks.task import Task

ALIKE = 0.97
"""From this cosine on."""
MOST_NUMBERS = 1024
"""So many numbers of an input are compared."""


def vector_of(task: Task, payload: bytes, *, max_pixels: int) -> np.ndarray | None:
    """An input as a vector of length 1, what all inputs have in common taken out; None: it cannot be compared."""
    try:
        decoded = task.inputs.decode([payload], max_pixels=max_pixels)
    except CeleriacError:
        return None
    numbers = [array.reshape(-1) for group in decoded.groups for array in group.tensors.values()]
    if not numbers:
        return None
    vector = np.concatenate(numbers).astype(np.float64)
    if task.manifest.features:
        vector = _within_ranges(task, vector)
    else:
        vector = vector[:: len(vector) // MOST_NUMBERS + 1]
        vector = vector - vector.mean()
    length = float(np.linalg.norm(vector))
    return vector / length if np.isfinite(length) and length > 0 else None


def are_alike(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two vectors of `vector_of` are of almost the same inputs."""
    return first.shape == second.shape and float(first @ second) >= ALIKE


def _within_ranges(task: Task, row: np.ndarray) -> np.ndarray:
    """A row's values as places in the ranges that training saw, from -0.5 to 0.5: those of all features count alike."""
    low = np.array([0.0 if each.minimum is None else each.minimum for each in task.manifest.features])
    high = np.array([1.0 if each.maximum is None else each.maximum for each in task.manifest.features])
    width = np.where(high > low, high - low, 1.0)
    placed: np.ndarray = (row - low) / width - 0.5
    return placed
