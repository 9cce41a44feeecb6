"""ONNX Runtime without anything around it: what everyone who is measured runs."""

from __future__ import annotations

from pathlib import Path

import onnxruntime


def session(path: str | Path, *, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session on the CPU that uses `threads` threads inside one call."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
