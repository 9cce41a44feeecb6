"""What every reader of a format makes of a file: a graph that can be served, and the original to compare it with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from production_server.models.manifest import TensorSpec
from production_server.models.runners import keras, onnx
from production_server.models.tensors import Tensors

ONNX_FILE, KERAS_FILE = onnx.MODEL_FILE, keras.MODEL_FILE
Compute = Callable[[Tensors], Tensors]
"""What a graph answers to one batch."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that was read; what is served of it lies in the draft's folder, as the runner looks for it."""

    runner: Literal["onnx", "keras"]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    original: Compute
    """What the file itself computes: by its own framework, or by its plain graph."""
    producer: str
    """What wrote it, as far as it tells: `pytorch 2.9.1, opset 18`."""
    notes: tuple[str, ...] = ()
    """What was converted or assumed, one sentence each, for people."""
    last_activation: str | None = None
    """What makes its only output, if that is known: `softmax`, `log_softmax`, `sigmoid`, `linear`; it tells one task
    from another."""
    labels: tuple[str, ...] = ()
    """The names of what it chooses from, if the file has them."""

    @property
    def served_file(self) -> str:
        """The name of what its runner loads."""
        return ONNX_FILE if self.runner == "onnx" else KERAS_FILE
