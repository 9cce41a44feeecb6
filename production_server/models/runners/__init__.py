"""Runners: what executes a model version. One small interface, one module per engine, loaded only when needed."""

from __future__ import annotations

import importlib
import logging
from typing import Any, Protocol

import numpy as np

from production_server.errors import InferenceFailed
from production_server.models.manifest import TensorSpec
from production_server.models.store import ModelVersion
from production_server.models.tensors import STRING, Tensors, numpy_dtype

log = logging.getLogger(__name__)


class Runner(Protocol):
    """Executes one version. `run` may be called from several threads at once."""

    def run(self, batch: Tensors) -> Tensors:
        """The manifest's outputs [items, …] for all of its inputs [items, ...], of the dtypes that it declares.

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
    runner: Runner = engine_of(version).load(version, threads=threads)
    return runner


def engine_of(version: ModelVersion) -> Any:
    """The module that runs a version; that its engine is imported takes seconds for some."""
    return importlib.import_module(f"{__name__}.{version.manifest.runner}")


def warm_up(runner: Runner, version: ModelVersion) -> None:
    """Run one item of zeros through, so that the first client does not pay for lazy set-up.

    Raises:
        InferenceFailed: the version does not run. Of inputs whose size nobody knows that proves nothing, and is logged.
    """
    inputs = version.manifest.inputs
    try:
        runner.run({spec.name: _blank(spec) for spec in inputs})
    except InferenceFailed as exc:
        if not any(None in spec.item_shape for spec in inputs):
            raise
        log.info("%s was not warmed up: %s", "/".join(version.key), exc)


def _blank(spec: TensorSpec) -> np.ndarray:
    """One item of zeros, or of empty texts."""
    shape = (1, *spec.known_item_shape)
    return np.full(shape, "" if spec.dtype == STRING else 0, dtype=numpy_dtype(spec.dtype))
