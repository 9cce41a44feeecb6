"""Use case: inputs in, predictions out. Knows models and runners, and no transport."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from production_server.errors import CeleriacError, InferenceFailed, Unavailable
from production_server.models.loaded import LoadedVersions
from production_server.models.manifest import TensorSpec
from production_server.models.registry import Registry
from production_server.models.tasks.inputs import Decoded
from production_server.models.tasks.task import Prediction

log = logging.getLogger(__name__)

RunBatch = Callable[[np.ndarray], np.ndarray]

MOST_NUMBERS = 1_500_000
"""A runner gets no more at once: 8 photos of 224 × 224 pixels. MobileNetV2 takes 900 MB for 64, and is no quicker."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a model answered to a batch: float32 [items, …], zeros where `errors` has the item's error."""

    values: np.ndarray
    errors: Mapping[int, CeleriacError]
    model_s: float = 0.0
    """What of the time was the model's own; the rest went by decoding and checking."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input: a prediction, or the error that the input itself caused."""

    result: Prediction | CeleriacError
    ms: float
    """The input's share of the time that its batch took, decoding included."""


@dataclass(frozen=True, slots=True)
class PredictedBatch:
    """What became of each input of a batch, and where its time went, in seconds."""

    outcomes: list[Outcome]
    decode_s: float
    model_s: float


class Engine:
    """Runs the versions of a registry; those that it has loaded can be replaced and let go. Thread-safe."""

    def __init__(self, registry: Registry, *, threads: int) -> None:
        self._registry = registry
        self._loaded = LoadedVersions(threads=threads)

    @property
    def loaded(self) -> list[tuple[str, str]]:
        """Model and version of each that is loaded."""
        return [version.key for version in self._loaded.versions]

    def warm_up(self) -> None:
        """Load what the stable channels name.

        A version that does not load is logged and left out: it must not keep the others from serving.
        """
        for version in self._registry.stable_versions():
            try:
                self._loaded.load(version)
            except CeleriacError as exc:
                log.error("%s", exc)

    def load(self, model: str, version: str | None = None) -> None:
        """Load a version (None: the stable one), check it and warm it up, so that no batch waits for that.

        Raises:
            NotFound, BrokenVersion, InferenceFailed: it is not in this process' stores, does not load, or does not run.
        """
        self._loaded.load(self._registry.resolve(model, version))

    def release(self, model: str, version: str) -> None:
        """Let a version go; batches in hand end with it, and whoever asks for it afterwards loads it again."""
        for each in self._loaded.versions:
            if each.key == (model, version):
                self._loaded.release(each)

    def release_removed(self) -> None:
        """Let the versions go that were taken away from the stores."""
        for version in self._loaded.versions:
            if not self._registry.has(version):
                self._loaded.release(version)

    def predict_batch(
        self, model: str, version: str, inputs: Sequence[bytes | CeleriacError], *, max_pixels: int
    ) -> PredictedBatch:
        """Predict for a batch of checked inputs, as they are stored; an error that stands for an input is its outcome.

        An input that cannot be decoded, or on which the model fails, gets its error; its neighbours get their results.
        There are fewer outcomes than inputs, or none, where for those behind there was no time or no memory.

        Raises:
            NotFound, BrokenVersion: the version is not in this process' stores, or does not load.
        """
        found = self._registry.resolve(model, version)
        with self._loaded.use(found) as runner:
            run, begun = _Timed(runner.run), time.perf_counter()
            decoded = found.task.inputs.decode(inputs, max_pixels=max_pixels)
            decode_s = time.perf_counter() - begun
            outputs = _run_decoded(run, decoded, found.manifest.outputs[0])
            results = _told(found.task.predict(outputs.values), outputs.errors)
        done = next((i for i, each in enumerate(results) if isinstance(each, Unavailable)), len(results))
        ms = (time.perf_counter() - begun) * 1000 / len(results)
        return PredictedBatch([Outcome(result, ms) for result in results[:done]], decode_s, run.seconds)

    def run(
        self, model: str, version: str, inputs: np.ndarray | Sequence[bytes], *, max_pixels: int
    ) -> Outputs:
        """What the model's graph answers to one batch: a tensor [items, ...] that it takes, or image files.

        Raises:
            NotFound, BrokenVersion: the version is not in this process' stores, or does not load.
        """
        found = self._registry.resolve(model, version)
        with self._loaded.use(found) as runner:
            run = _Timed(runner.run)
            if isinstance(inputs, np.ndarray):
                outputs = _run_each(run, inputs, found.manifest.outputs[0].known_item_shape)
            else:
                outputs = _run_decoded(
                    run, found.task.inputs.decode(inputs, max_pixels=max_pixels), found.manifest.outputs[0]
                )
        return Outputs(outputs.values, outputs.errors, run.seconds)

    def close(self) -> None:
        """Let all versions go."""
        self._loaded.close()


class _Timed:
    """A runner's `run` that adds up how long it takes."""

    def __init__(self, run: RunBatch) -> None:
        self._run = run
        self.seconds = 0.0

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        began = time.perf_counter()
        try:
            return self._run(batch)
        finally:
            self.seconds += time.perf_counter() - began


def _told(
    predictions: Sequence[Prediction], errors: Mapping[int, CeleriacError]
) -> list[Prediction | CeleriacError]:
    return [errors.get(place, prediction) for place, prediction in enumerate(predictions)]


def _run_decoded(run: RunBatch, decoded: Decoded, spec: TensorSpec) -> Outputs:
    """Outputs for a whole batch, of which some inputs may not have been decoded."""
    errors = dict(decoded.errors)
    if not errors and decoded.places:
        return _run_each(run, decoded.tensor, spec.known_item_shape)
    values = np.zeros((len(errors) + len(decoded.places), *spec.known_item_shape), dtype=np.float32)
    if decoded.places:
        found = _run_each(run, decoded.tensor, spec.known_item_shape)
        values[list(decoded.places)] = found.values
        errors |= {decoded.places[place]: error for place, error in found.errors.items()}
    return Outputs(values, errors)


def _run_each(run: RunBatch, batch: np.ndarray, item_shape: tuple[int, ...]) -> Outputs:
    """Run a batch; one that is too large is halved, and one that fails is, until what fails is one item."""
    if len(batch) == 1 or batch.size <= MOST_NUMBERS:
        try:
            return Outputs(_run_checked(run, batch), {})
        except InferenceFailed as exc:
            if len(batch) == 1:
                return Outputs(np.zeros((1, *item_shape), dtype=np.float32), {0: exc})
    middle = len(batch) // 2
    left, right = (_run_each(run, half, item_shape) for half in (batch[:middle], batch[middle:]))
    shifted = {middle + place: error for place, error in right.errors.items()}
    return Outputs(np.concatenate([left.values, right.values]), {**left.errors, **shifted})


def _run_checked(run: RunBatch, batch: np.ndarray) -> np.ndarray:
    outputs = run(batch)
    if len(outputs) != len(batch) or not np.isfinite(outputs).all():
        raise InferenceFailed("the model answered numbers that are not finite")
    return outputs
