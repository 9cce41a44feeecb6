"""Runners: what executes a model version. One small interface, one module per engine, loaded only when needed."""

from __future__ import annotations

import importlib
from typing import Protocol

import numpy as np

from production_server.models.store import ModelVersion


class Runner(Protocol):
    """Executes one version. `run` may be called from several threads at once."""

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Outputs float32 [items, …] for inputs [items, ...].

        Raises:
            InferenceFailed: the engine failed on this batch.
        """

    def close(self) -> None:
        """Free what the runner holds; it is not used afterwards."""


def load_runner(version: ModelVersion, *, threads: int) -> Runner:
    """Load a version with the runner that its manifest names, after checking its file's digest.

    Raises:
        BrokenVersion: the file does not match the manifest, or the engine cannot load it.
    """
    module = importlib.import_module(f"{__name__}.{version.manifest.runner}")
    runner: Runner = module.load(version, threads=threads)
    return runner


def warm_up(runner: Runner, version: ModelVersion) -> None:
    """Run one item of zeros through, so that the first client does not pay for lazy set-up.

    Raises:
        InferenceFailed: the version does not run.
    """
    spec = version.manifest.inputs[0]
    runner.run(np.zeros((1, *spec.known_item_shape), dtype=spec.dtype))
