"""What the readers of model files are tried on."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from production_server.models.importing.opened import Opened
from production_server.models.tensors import Tensors

KERAS_2 = Path("tests/data/models/keras").resolve()
"""Written by testing/foreign_models/keras2.py."""


@pytest.fixture
def listening_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "version"
    folder.mkdir()
    return folder


@pytest.fixture
def served(into: Path) -> Callable[[Opened, Tensors], Tensors]:
    """What ONNX Runtime answers with the file that was written."""

    def answer(opened: Opened, given: Tensors) -> Tensors:
        session = onnxruntime.InferenceSession(into / "model.onnx", providers=["CPUExecutionProvider"])
        names = [each.name for each in opened.outputs]
        return dict(zip(names, session.run(names, dict(given)), strict=True))

    return answer


def fixed(opened: Opened, name: str) -> tuple[Tensors, Tensors]:
    """The inputs that were given to Keras 2, and what it answered."""
    with np.load(KERAS_2 / f"{name}.npz") as arrays:
        return (
            {spec.name: arrays[f"in_{index}"] for index, spec in enumerate(opened.inputs)},
            {spec.name: arrays[f"out_{index}"] for index, spec in enumerate(opened.outputs)},
        )
