"""The keras runner: TensorFlow through a traced function, for versions that do not export to ONNX.

Needs the training requirements; a serving machine does not install them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from production_server.errors import BrokenVersion, InferenceFailed
from production_server.models.manifest import Manifest
from production_server.models.store import ModelVersion
from production_server.models.tensors import Tensors, count_items, numpy_dtype

MODEL_FILE = "model.keras"


class KerasRunner:
    """One traced Keras graph; `run` is safe to call from several threads."""

    def __init__(self, function: Any, manifest: Manifest) -> None:
        self._function = function
        self._inputs = [spec.name for spec in manifest.inputs]
        self._outputs = manifest.outputs

    def run(self, batch: Tensors) -> Tensors:
        try:
            outputs = self._function(*(batch[name] for name in self._inputs))
        # TensorFlow's errors share no base class below Exception.
        except Exception as exc:
            raise InferenceFailed(f"the model failed on a batch of {count_items(batch)}: {exc}") from exc
        pairs = zip(self._outputs, outputs, strict=True)
        return {spec.name: np.asarray(output, dtype=numpy_dtype(spec.dtype)) for spec, output in pairs}

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
    manifest = version.manifest
    if (len(model.inputs), len(model.outputs)) != (len(manifest.inputs), len(manifest.outputs)):
        raise BrokenVersion(
            f"{'/'.join(version.key)}: {MODEL_FILE} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; "
            f"declared are {len(manifest.inputs)} and {len(manifest.outputs)}"
        )

    def answer(*tensors: Any) -> list[Any]:
        """The outputs in the model's own order, which is the manifest's."""
        flat: list[Any] = keras.tree.flatten(
            model(list(tensors) if len(tensors) > 1 else tensors[0], training=False)
        )
        return flat

    signature = [tf.TensorSpec(spec.shape, spec.dtype) for spec in manifest.inputs]
    return KerasRunner(tf.function(answer, input_signature=signature), manifest)
