"""The runner for versions that do not export: the same answers as ONNX Runtime's, from model.keras."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from production_server.errors import BrokenVersion
from production_server.models.registry import Registry
from production_server.models.runners import load_runner, warm_up
from production_server.models.store import ModelVersion
from production_server.models.tensors import only
from production_server.settings import BUILT_IN_MODEL_STORE

pytestmark = pytest.mark.training

ROWS = {
    "features": np.array(
        [[6, 148, 72, 35, 0, 33.6, 0.627, 50], [1, 85, 66, 29, 0, 26.6, 0.351, 31]], np.float32
    )
}


@pytest.fixture
def with_keras(tmp_path: Path) -> ModelVersion:
    """The built-in diabetes model, to be run by Keras."""
    folder = tmp_path / "diabetes" / "1"
    shutil.copytree(BUILT_IN_MODEL_STORE / "diabetes" / "1", folder)
    told = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(told | {"runner": "keras"}))
    return Registry([tmp_path]).resolve("diabetes")


def test_keras_and_onnx_runtime_answer_alike(with_keras: ModelVersion) -> None:
    keras = load_runner(with_keras, threads=1)
    onnx = load_runner(Registry([BUILT_IN_MODEL_STORE]).resolve("diabetes"), threads=1)

    warm_up(keras, with_keras)

    assert only(keras.run(ROWS)) == pytest.approx(only(onnx.run(ROWS)), abs=1e-5)
    keras.close()


def test_a_keras_file_that_was_changed_is_not_loaded(with_keras: ModelVersion) -> None:
    with (with_keras.folder / "model.keras").open("ab") as file:
        file.write(b"!")

    with pytest.raises(BrokenVersion, match="SHA-256"):
        load_runner(with_keras, threads=1)
