"""Tensors by name: what a model's graph takes and gives."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Tensors = Mapping[str, np.ndarray]
"""Arrays [items, ...] by the names of a manifest's inputs or outputs, all of one number of items."""
