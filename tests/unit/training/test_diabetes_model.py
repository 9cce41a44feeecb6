from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from production_server.training.diabetes_model import Settings, _moments, fit_network
from production_server.training.export import declare, export_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = [
    pytest.mark.training,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # inside Keras, TensorFlow and tf2onnx
]

QUICK = Settings(members=2, hidden=4, epochs=2, batch=64)


def patients(count: int) -> NDArray[np.float32]:
    """Made-up rows in which the glucose decides, with gaps in insulin."""
    generator = np.random.default_rng(4)
    low, high = [0, 60, 50, 10, 20, 18, 0.1, 21], [12, 200, 110, 60, 400, 50, 2.0, 80]
    rows = generator.uniform(low, high, (count, 8)).astype(np.float32)
    rows[::3, 4] = 0
    return rows


def test_means_and_deviations_leave_missing_values_out() -> None:
    rows = np.ones((4, 8), np.float32)
    rows[:, 4] = [0, 100, 200, 0]
    rows[:, 0] = [0, 2, 4, 2]

    mean, deviation = _moments(rows)

    assert (mean[4], deviation[4]) == (150, 50)
    assert mean[0] == 2


def test_the_graph_takes_raw_values_and_exports_with_its_constants_inside(tmp_path: Path) -> None:
    rows = patients(1000)
    outcome = (rows[:, 1] > 130).astype(np.int32)
    model = fit_network(rows, outcome, QUICK, seed=1)

    parity = export_model(model, tmp_path, declare(model, "features"), rows)

    probabilities = np.asarray(model(rows))
    assert parity.max_abs_difference <= 1e-5
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert probabilities[outcome == 1, 1].mean() > probabilities[outcome == 0, 1].mean()


def test_a_missing_value_is_not_read_as_a_very_low_one() -> None:
    rows = patients(300)
    outcome = np.where(rows[:, 4] == 0, np.arange(300) % 2, rows[:, 4] > 200).astype(np.int32)
    settings = Settings(members=2, hidden=8, epochs=20, batch=32, learning_rate=0.02)
    model = fit_network(rows, outcome, settings, seed=1)
    missing, very_low = rows[1:2].copy(), rows[1:2].copy()
    missing[0, 4], very_low[0, 4] = 0, 0.01

    assert float(model(missing)[0, 1]) > float(model(very_low)[0, 1]) + 0.2
