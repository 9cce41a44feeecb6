"""A training's state on disk, so that an interrupted training goes on where it stopped."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from production_server.training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Arrays = Sequence[NDArray[Any]]


@dataclass(frozen=True)
class Epoch:
    """What one epoch measured; times in seconds."""

    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    wall_s: float
    cpu_s: float


@dataclass
class Checkpoint:
    """Everything that a training needs to go on after its last finished epoch."""

    revision: str
    """The code revision that the training started with."""
    history: list[Epoch] = field(default_factory=list)
    best_epoch: int = -1
    """Index of the epoch with the best validation accuracy (the later one of equals)."""
    weights: Arrays = ()
    optimizer: Arrays = ()
    best_weights: Arrays = ()


_ARRAYS = ("weights", "optimizer", "best_weights")


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write `checkpoint` to `path` in one step: a crash leaves the former file or the new one, never half of one."""
    state = {
        "revision": checkpoint.revision,
        "best_epoch": checkpoint.best_epoch,
        "history": [asdict(epoch) for epoch in checkpoint.history],
    }
    arrays: dict[str, NDArray[np.generic]] = {"state": np.array(json.dumps(state))}
    for group in _ARRAYS:
        arrays.update(
            {f"{group}/{index:04}": array for index, array in enumerate(getattr(checkpoint, group))}
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the names for its own keywords
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load_checkpoint(path: Path) -> Checkpoint | None:
    """Read the checkpoint at `path`, or None if there is none.

    Raises:
        TrainingError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        return _read(path)
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as exc:
        raise TrainingError(f"the checkpoint {path} is damaged; remove it to start anew") from exc


def _read(path: Path) -> Checkpoint:
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        state = json.loads(str(file["state"]))
        groups = {
            name: [file[key] for key in sorted(file.files) if key.startswith(f"{name}/")] for name in _ARRAYS
        }
    history = [Epoch(**epoch) for epoch in state["history"]]
    return Checkpoint(revision=state["revision"], history=history, best_epoch=state["best_epoch"], **groups)
