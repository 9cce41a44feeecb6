"""The keras runner: TensorFlow through a traced function, for versions that do not export to ONNX.

Needs the training requirements; a serving machine does not install them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from production_server.errors import BrokenVersion, InferenceFailed
from production_server.models.store import ModelVersion

MODEL_FILE = "model.keras"


class KerasRunner:
    """One traced Keras graph; `run` is safe to call from several threads."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def run(self, batch: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(self._function(batch))
        # TensorFlow's errors share no base class below Exception.
        except Exception as exc:
            raise InferenceFailed(f"the model failed on a batch of {len(batch)}: {exc}") from exc

    def close(self) -> None:
        del self._function


def load(version: ModelVersion, *, threads: int) -> KerasRunner:  # noqa: ARG001  # all runners are loaded alike
    """Load a version's model.keras in safe mode; TensorFlow chooses its threads itself, `threads` is not used.

    Raises:
        BrokenVersion: the file does not match the manifest, Keras is not installed, or it cannot be loaded.
    """
    path = version.verified_file(MODEL_FILE)
    try:
        import keras
        import tensorflow as tf
    except ImportError as exc:
        raise BrokenVersion(
            f"{'/'.join(version.key)}: needs Keras and TensorFlow (requirements/training.txt)"
        ) from exc
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as exc:
        raise BrokenVersion(f"{'/'.join(version.key)}: Keras cannot load {MODEL_FILE}: {exc}") from exc
    spec = version.manifest.inputs[0]
    signature = [tf.TensorSpec(spec.shape, spec.dtype)]
    return KerasRunner(tf.function(lambda batch: model(batch, training=False), input_signature=signature))
