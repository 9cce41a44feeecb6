"""What a peer's server is told by the benchmark that starts it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.session import session

SHAPES = {"diabetes": (8,), "fashion_mnist": (28, 28, 1)}


@dataclass(frozen=True)
class Given:
    """Where to listen, what to serve, and how."""

    port: int
    model: str
    file: str
    settings: dict[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """One item's shape."""
        return SHAPES[self.model]

    def session(self) -> onnxruntime.InferenceSession:
        """The engine, with as many threads as the setting says."""
        return session(self.file, threads=self.settings["engine_threads"])


def given(**best: Any) -> Given:
    """What the environment tells; `best` are the settings that were found best, which a trial may change."""
    settings = {"engine_threads": 1} | best | json.loads(os.environ.get("PEER_SETTINGS", "{}"))
    return Given(int(os.environ["PEER_PORT"]), os.environ["PEER_MODEL"], os.environ["PEER_FILE"], settings)


def run(engine: onnxruntime.InferenceSession, batch: np.ndarray) -> np.ndarray:
    """The probabilities of a batch."""
    (output,) = engine.run(None, {engine.get_inputs()[0].name: batch})
    return np.asarray(output)
