"""Use case: inputs in, classifications out. Knows models and runners, and no transport."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from production_server.errors import CeleriacError, InferenceFailed, InvalidInput
from production_server.models.classify import Classification, classify
from production_server.models.images import decode_image
from production_server.models.loaded import LoadedVersions
from production_server.models.manifest import Manifest
from production_server.models.registry import Registry
from production_server.models.tabular import stack_rows

log = logging.getLogger(__name__)

RunBatch = Callable[[np.ndarray], np.ndarray]

MOST_NUMBERS = 1_500_000
"""A runner gets no more at once: 8 photos of 224 × 224 pixels. MobileNetV2 takes 900 MB for 64, and is no quicker."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a model answered to a batch: float32 [items, labels], zeros where `errors` has the item's error."""

    values: np.ndarray
    errors: Mapping[int, CeleriacError]
    model_s: float = 0.0
    """What of the time was the model's own; the rest went by decoding and checking."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input: a classification, or the error that the input itself caused."""

    result: Classification | CeleriacError
    ms: float
    """The input's share of the time that its batch took, decoding included."""


@dataclass(frozen=True, slots=True)
class ClassifiedBatch:
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

    def classify_batch(
        self, model: str, version: str, inputs: Sequence[bytes | CeleriacError], *, max_pixels: int
    ) -> ClassifiedBatch:
        """Classify a batch of inputs (rows or image files); an error that stands for an input is its outcome.

        An input that cannot be decoded, or on which the model fails, gets its error; its neighbours get their results.

        Raises:
            NotFound, BrokenVersion: the version is not in this process' stores, or does not load.
        """
        found = self._registry.resolve(model, version)
        with self._loaded.use(found) as runner:
            run, begun = _Timed(runner.run), time.perf_counter()
            decoded = _decode(found.manifest, inputs, max_pixels)
            decode_s = time.perf_counter() - begun
            results = _classified(found.manifest, _run_decoded(found.manifest, run, decoded))
        ms = (time.perf_counter() - begun) * 1000 / len(results)
        return ClassifiedBatch([Outcome(result, ms) for result in results], decode_s, run.seconds)

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
                outputs = _run_each(run, inputs, labels=len(found.manifest.labels))
            else:
                outputs = _run_decoded(found.manifest, run, _decode(found.manifest, inputs, max_pixels))
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


def _decode(
    manifest: Manifest, inputs: Sequence[bytes | CeleriacError], max_pixels: int
) -> list[np.ndarray | CeleriacError]:
    """Each input as the array that the graph takes, or the error that it caused, or was."""
    if manifest.image is None:
        return list(stack_rows([payload for payload in inputs if isinstance(payload, bytes)]))
    decoded: list[np.ndarray | CeleriacError] = []
    for payload in inputs:
        if isinstance(payload, CeleriacError):
            decoded.append(payload)
            continue
        try:
            decoded.append(decode_image(payload, manifest.image, max_pixels=max_pixels))
        except InvalidInput as exc:
            decoded.append(exc)
    return decoded


def _run_decoded(manifest: Manifest, run: RunBatch, decoded: Sequence[np.ndarray | CeleriacError]) -> Outputs:
    tensors = {place: item for place, item in enumerate(decoded) if isinstance(item, np.ndarray)}
    errors = {place: item for place, item in enumerate(decoded) if isinstance(item, CeleriacError)}
    values = np.zeros((len(decoded), len(manifest.labels)), dtype=np.float32)
    if tensors:
        places = list(tensors)
        found = _run_each(run, np.stack(list(tensors.values())), labels=len(manifest.labels))
        values[places] = found.values
        errors |= {places[place]: error for place, error in found.errors.items()}
    return Outputs(values, errors)


def _classified(manifest: Manifest, outputs: Outputs) -> list[Classification | CeleriacError]:
    answers = classify(manifest, outputs.values)
    return [outputs.errors.get(place, answer) for place, answer in enumerate(answers)]


def _run_each(run: RunBatch, batch: np.ndarray, *, labels: int) -> Outputs:
    """Run a batch; one that is too large is halved, and one that fails is, until what fails is one item."""
    if len(batch) == 1 or batch.size <= MOST_NUMBERS:
        try:
            return Outputs(_run_checked(run, batch), {})
        except InferenceFailed as exc:
            if len(batch) == 1:
                return Outputs(np.zeros((1, labels), dtype=np.float32), {0: exc})
    middle = len(batch) // 2
    left, right = (_run_each(run, half, labels=labels) for half in (batch[:middle], batch[middle:]))
    shifted = {middle + place: error for place, error in right.errors.items()}
    return Outputs(np.concatenate([left.values, right.values]), {**left.errors, **shifted})


def _run_checked(run: RunBatch, batch: np.ndarray) -> np.ndarray:
    outputs = run(batch)
    if len(outputs) != len(batch) or not np.isfinite(outputs).all():
        raise InferenceFailed("the model answered numbers that are not finite")
    return outputs
