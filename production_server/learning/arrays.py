"""Tensors on their way to a probe and back: archives of numpy, without objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from production_server.models.tensors import Tensors


def write_arrays(tensors: Tensors, path: Path) -> None:
    """Write an archive; texts, which are objects here, as texts of one length."""
    plain = {
        name: array.astype(np.str_) if array.dtype == object else array for name, array in tensors.items()
    }
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **plain)


def read_arrays(path: Path) -> Tensors:
    """Read an archive; texts become objects, as runners take them."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return {
        name: array.astype(object) if array.dtype.kind == "U" else array for name, array in arrays.items()
    }
