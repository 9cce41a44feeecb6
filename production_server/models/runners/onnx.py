"""The onnx runner: ONNX Runtime on the CPU; needs no TensorFlow."""

from __future__ import annotations

import numpy as np
import onnxruntime

from production_server.errors import BrokenVersion, InferenceFailed
from production_server.models.store import ModelVersion

MODEL_FILE = "model.onnx"


class OnnxRunner:
    """One ONNX Runtime session; `run` releases the GIL and is safe to call from several threads."""

    def __init__(self, session: onnxruntime.InferenceSession, input_name: str, output_name: str) -> None:
        self._session = session
        self._input_name = input_name
        self._outputs = [output_name]

    def run(self, batch: np.ndarray) -> np.ndarray:
        try:
            (output,) = self._session.run(self._outputs, {self._input_name: batch})
        # ONNX Runtime's errors share no base class below Exception.
        except Exception as exc:
            raise InferenceFailed(f"the model failed on a batch of {len(batch)}: {exc}") from exc
        return np.asarray(output)

    def close(self) -> None:
        del self._session


def load(version: ModelVersion, *, threads: int) -> OnnxRunner:
    """Load a version's model.onnx with `threads` threads inside one call.

    Raises:
        BrokenVersion: the file does not match the manifest, cannot be loaded, or has other inputs or outputs than
            the manifest declares.
    """
    path = version.verified_file(MODEL_FILE)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its errors come as exceptions
    # Spinning threads answer a few microseconds sooner and burn a core that decoding and the web process need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as exc:
        raise BrokenVersion(f"{'/'.join(version.key)}: ONNX Runtime cannot load {MODEL_FILE}: {exc}") from exc
    spec_in, spec_out = version.manifest.inputs[0], version.manifest.outputs[0]
    found = ([node.name for node in session.get_inputs()], [node.name for node in session.get_outputs()])
    if found != ([spec_in.name], [spec_out.name]):
        raise BrokenVersion(
            f"{'/'.join(version.key)}: the graph has inputs and outputs {found}, not the declared ones"
        )
    return OnnxRunner(session, spec_in.name, spec_out.name)
