from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from production_server.training.checkpoint import Checkpoint, Epoch, load_checkpoint, save_checkpoint
from production_server.training.errors import TrainingError

if TYPE_CHECKING:
    from pathlib import Path

EPOCH = Epoch(0.5, 0.8, 0.6, 0.7, wall_s=10.0, cpu_s=15.0)


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    weights = [np.full((2, 3), value, np.float32) for value in range(12)]
    written = Checkpoint("abc", [EPOCH], 0, weights, [np.array(7, np.int64)], weights[::-1])

    save_checkpoint(written, tmp_path / "deep" / "training.npz")
    found = load_checkpoint(tmp_path / "deep" / "training.npz")

    assert found is not None
    assert (found.revision, found.history, found.best_epoch) == ("abc", [EPOCH], 0)
    assert [float(each.mean()) for each in found.weights] == list(range(12))
    assert [float(each.mean()) for each in found.best_weights] == list(range(11, -1, -1))
    assert found.optimizer[0].dtype == np.int64
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["training.npz"]


def test_there_is_no_checkpoint_before_the_first_epoch(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "training.npz") is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a file", b"not an archive"])
def test_a_damaged_checkpoint_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "training.npz").write_bytes(content)

    with pytest.raises(TrainingError, match=r"training\.npz is damaged; remove it"):
        load_checkpoint(tmp_path / "training.npz")
