"""The onnx runner: ONNX Runtime on the CPU; needs no TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Sequence

import onnxruntime

from production_server.errors import BrokenVersion, InferenceFailed
from production_server.models.manifest import TensorSpec
from production_server.models.store import ModelVersion
from production_server.models.tensors import Tensors, count_items

MODEL_FILE = "model.onnx"
TYPES = {
    "bool": "bool", "uint8": "uint8", "uint16": "uint16", "uint32": "uint32", "uint64": "uint64",
    "int8": "int8", "int16": "int16", "int32": "int32", "int64": "int64",
    "float16": "float16", "float32": "float", "float64": "double", "string": "string",
}  # fmt: skip
"""What ONNX Runtime calls the dtypes of a manifest."""

_NO_MEMORY = re.compile(
    r"Failed to allocate memory for requested buffer of size (\d+)|bad_alloc|bad allocation"
)
_NODE = re.compile(r"running (\w+) node")


class OnnxRunner:
    """One ONNX Runtime session; `run` releases the GIL and is safe to call from several threads."""

    def __init__(self, session: onnxruntime.InferenceSession, outputs: Sequence[str]) -> None:
        self._session = session
        self._outputs = list(outputs)

    def run(self, batch: Tensors) -> Tensors:
        try:
            outputs = self._session.run(self._outputs, batch)
        # ONNX Runtime's errors share no base class below Exception.
        except Exception as exc:
            reason = memory_asked(str(exc)) or str(exc)
            raise InferenceFailed(f"the model failed on a batch of {count_items(batch)}: {reason}") from exc
        return dict(zip(self._outputs, outputs, strict=True))

    def close(self) -> None:
        del self._session


def load(version: ModelVersion, *, threads: int) -> OnnxRunner:
    """Load a version's model.onnx with `threads` threads inside one call.

    Raises:
        BrokenVersion: the file does not match the manifest, cannot be loaded, or has other inputs or outputs than
            the manifest declares.
    """
    session = open_session(version, MODEL_FILE, threads=threads)
    manifest = version.manifest
    for what, nodes, specs in (
        ("inputs", session.get_inputs(), manifest.inputs),
        ("outputs", session.get_outputs(), manifest.outputs),
    ):
        found = sorted(f"{node.name}: {node.type}" for node in nodes)
        declared = sorted(map(_told, specs))
        if found != declared:
            raise BrokenVersion(
                f"{'/'.join(version.key)}: the graph has {what} {', '.join(found)}; declared are {', '.join(declared)}"
            )
    return OnnxRunner(session, [spec.name for spec in manifest.outputs])


def open_session(version: ModelVersion, file: str, *, threads: int) -> onnxruntime.InferenceSession:
    """A session of one of a version's files with `threads` threads inside one call.

    Raises:
        BrokenVersion: the file does not match the manifest, or cannot be loaded.
    """
    path = version.verified_file(file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its errors come as exceptions
    # Spinning threads answer a few microseconds sooner and burn a core that decoding and the web process need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as exc:
        # It names the file by where it lies, which is told to whoever may read.
        reason = str(exc).replace(f"{version.folder}/", "")
        raise BrokenVersion(f"{'/'.join(version.key)}: ONNX Runtime cannot load {file}: {reason}") from exc


def memory_asked(message: str) -> str | None:
    """What ONNX Runtime says where it gets no memory, in a few words; None: it says something else."""
    asked = _NO_MEMORY.search(message)
    if asked is None:
        return None
    node = _NODE.search(message)
    how_much = f"{int(asked[1]) / 1e9:.3g} GB of memory at once" if asked[1] else "more memory than there is"
    return f"{f'its operation {node[1]}' if node else 'it'} asks for {how_much}"


def _told(spec: TensorSpec) -> str:
    return f"{spec.name}: tensor({TYPES[spec.dtype]})"
