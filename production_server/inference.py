"""Use case: inputs in, predictions out. Knows models and runners, and no transport."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from production_server.errors import CeleriacError, InferenceFailed, Unavailable
from production_server.models.loaded import LoadedVersions
from production_server.models.registry import Registry
from production_server.models.store import ModelVersion
from production_server.models.tasks.inputs import Decoded, Group
from production_server.models.tasks.task import Prediction, Task
from production_server.models.tensors import STRING, Tensors, count_items, numpy_dtype, part

log = logging.getLogger(__name__)

RunBatch = Callable[[Tensors], Tensors]
Ran = tuple[Sequence[int], Tensors | InferenceFailed]
"""The places of some items, and their outputs; of an item on which the model fails, why."""

TRY_AGAIN_S = 60.0
"""What did not load is tried again so much later: its files may have been mended, and are read each time."""
IDLE_S = 60.0
"""A retired version is kept so long after its last batch: its jobs may have more."""
KEPT_S = 600.0
"""… and one that no channel names any more: somebody may go back to it, and is not to wait then."""
MOST_NUMBERS = 1_500_000
"""A runner gets no more at once: 8 photos of 224 × 224 pixels. MobileNetV2 takes 900 MB for 64, and is no quicker."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a model answered to a batch: each output [items, …], zeros where `errors` has the item's error."""

    values: Tensors
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
        self._failed: dict[tuple[str, str], _Failed] = {}

    @property
    def loaded(self) -> list[tuple[str, str]]:
        """Model and version of each that is loaded."""
        return [version.key for version in self._loaded.versions]

    @property
    def failing(self) -> dict[str, str]:
        """Why what was to be loaded is not, by model/version."""
        return {"/".join(key): failed.reason for key, failed in self._failed.items()}

    def has_loaded(self, model: str, version: str) -> bool:
        """Whether a batch for a version that is known would be run at once. Never blocks."""
        found = self._registry.at_hand(model, version)
        return found is not None and self._loaded.has(found)

    def load_wanted(self) -> None:
        """Load what workers are to have loaded and is not; for one thread at a time, which waits for it.

        A version that does not load is logged and left out: it must not keep the others from serving.

        Raises:
            Unavailable: what channels name is not known yet.
        """
        wanted = self._registry.wanted_versions()
        keys = {version.key for version in wanted}
        self._failed = {key: failed for key, failed in self._failed.items() if key in keys}
        loaded = self._loaded.versions
        for version in wanted:
            failed = self._failed.get(version.key)
            if version not in loaded and (failed is None or failed.may_try(version)):
                self._try_to_load(version)

    def load(self, model: str, version: str) -> None:
        """Load a version, check it and warm it up, so that no batch waits for that.

        Raises:
            NotFound, BrokenVersion, InferenceFailed: it is not in this process' stores, does not load, or does not run.
        """
        self._loaded.load(self._registry.version(model, version))

    def release(self, model: str, version: str) -> None:
        """Let a version go; batches in hand end with it, and whoever asks for it afterwards loads it again."""
        for each in self._loaded.versions:
            if each.key == (model, version):
                self._loaded.release(each)

    def release_unused(self) -> None:
        """Let the versions go that were taken away from the stores, and those that nobody wants and that are idle.

        Raises:
            Unavailable: what is wanted is not known yet.
        """
        wanted = {version.key for version in self._registry.wanted_versions()}
        for version in self._loaded.versions:
            if not self._registry.has(version) or (version.key not in wanted and self._is_over(version)):
                self._loaded.release(version)

    def _is_over(self, version: ModelVersion) -> bool:
        name, number = version.key
        kept_s = IDLE_S if number in self._registry.retired(name) else KEPT_S
        return self._loaded.idle_s(version) > kept_s

    def _try_to_load(self, version: ModelVersion) -> None:
        try:
            self._loaded.load(version)
        except CeleriacError as exc:
            log.error("%s", exc)
            self._failed[version.key] = _Failed(version, str(exc), time.monotonic())
        else:
            self._failed.pop(version.key, None)

    def predict_batch(
        self, model: str, version: str, inputs: Sequence[bytes | CeleriacError], *, max_pixels: int
    ) -> PredictedBatch:
        """Predict for a batch of checked inputs, as they are stored; an error that stands for an input is its outcome.

        An input that cannot be decoded, or on which the model fails, gets its error; its neighbours get their results.
        There are fewer outcomes than inputs, or none, where for those behind there was no time or no memory.

        Raises:
            NotFound, BrokenVersion: the version is not in this process' stores, or does not load.
        """
        found = self._registry.version(model, version)
        with self._loaded.use(found) as runner:
            run, begun = _Timed(runner.run), time.perf_counter()
            results: list[Prediction | CeleriacError] = []
            decode_s = 0.0
            for start in range(0, len(inputs), found.task.inputs.at_once):
                part_of = inputs[start : start + found.task.inputs.at_once]
                told, took_s = _predict_part(run, found.task, part_of, max_pixels)
                results += told
                decode_s += took_s
                if len(told) < len(part_of):
                    break
        ms = (time.perf_counter() - begun) * 1000 / len(inputs)
        return PredictedBatch([Outcome(result, ms) for result in results], decode_s, run.seconds)

    def run(self, model: str, version: str, inputs: Tensors | Sequence[bytes], *, max_pixels: int) -> Outputs:
        """What the model's graph answers to one batch: tensors that it takes, or image files.

        Raises:
            NotFound, BrokenVersion: the version is not in this process' stores, or does not load.
        """
        found = self._registry.version(model, version)
        with self._loaded.use(found) as runner:
            run = _Timed(runner.run)
            if isinstance(inputs, Mapping):
                decoded = Decoded((Group(inputs, range(count_items(inputs))),), {})
            else:
                decoded = found.task.inputs.decode(inputs, max_pixels=max_pixels)
            outputs = _in_their_places(_run_groups(run, decoded), decoded.errors, found.task)
        return Outputs(*outputs, run.seconds)

    def close(self) -> None:
        """Let all versions go."""
        self._loaded.close()


@dataclass(frozen=True, slots=True)
class _Failed:
    """A version that did not load (monotonic clock)."""

    version: ModelVersion
    reason: str
    at: float

    def may_try(self, version: ModelVersion) -> bool:
        """Whether to try again: it is another one under the same number, or time has passed."""
        return version != self.version or time.monotonic() - self.at > TRY_AGAIN_S


class _Timed:
    """A runner's `run` that adds up how long it takes."""

    def __init__(self, run: RunBatch) -> None:
        self._run = run
        self.seconds = 0.0

    def __call__(self, batch: Tensors) -> Tensors:
        began = time.perf_counter()
        try:
            return self._run(batch)
        finally:
            self.seconds += time.perf_counter() - began


def _predict_part(
    run: RunBatch, task: Task, inputs: Sequence[bytes | CeleriacError], max_pixels: int
) -> tuple[list[Prediction | CeleriacError], float]:
    """What became of each input up to the first for which there was no time or memory, and how long decoding took."""
    begun = time.perf_counter()
    decoded = task.inputs.decode(inputs, max_pixels=max_pixels)
    decode_s = time.perf_counter() - begun
    found: dict[int, Prediction | CeleriacError] = dict(decoded.errors)
    for places, ran in _run_groups(run, decoded):
        told = [ran] if isinstance(ran, InferenceFailed) else task.predict(ran)
        found.update(zip(places, told, strict=True))
    results = [found[place] for place in range(len(inputs))]
    unavailable = (place for place, result in enumerate(results) if isinstance(result, Unavailable))
    return results[: next(unavailable, len(results))], decode_s


def _run_groups(run: RunBatch, decoded: Decoded) -> Iterator[Ran]:
    for group in decoded.groups:
        yield from _run_each(run, group.tensors, group.places)


def _run_each(run: RunBatch, batch: Tensors, places: Sequence[int]) -> Iterator[Ran]:
    """Run a batch; one that is too large is halved, and one that fails is, until what fails is one item."""
    count = len(places)
    if count == 1 or sum(each.size for each in batch.values()) <= MOST_NUMBERS:
        try:
            yield places, _run_checked(run, batch, count)
        except InferenceFailed as exc:
            if count == 1:
                yield places, exc
                return
        else:
            return
    middle = count // 2
    yield from _run_each(run, part(batch, 0, middle), places[:middle])
    yield from _run_each(run, part(batch, middle, count), places[middle:])


def _run_checked(run: RunBatch, batch: Tensors, count: int) -> Tensors:
    outputs = run(batch)
    for name, each in outputs.items():
        if each.shape[:1] != (count,):
            raise InferenceFailed(f"the model answered {name} {list(each.shape)} to {count} items")
        if each.dtype.kind == "f" and not np.isfinite(each).all():
            raise InferenceFailed("the model answered numbers that are not finite")
    return outputs


def _in_their_places(
    runs: Iterable[Ran], errors: Mapping[int, CeleriacError], task: Task
) -> tuple[Tensors, Mapping[int, CeleriacError]]:
    """The outputs of a whole batch, and the errors of those that have none."""
    failed = dict(errors)
    ran: list[tuple[Sequence[int], Tensors]] = []
    for places, outputs in runs:
        if isinstance(outputs, InferenceFailed):
            failed[places[0]] = outputs
        else:
            ran.append((places, outputs))
    if len(ran) == 1 and not failed:
        return ran[0][1], failed
    try:
        return _filled(ran, failed, task), failed
    except ValueError:
        error = InferenceFailed(
            "the answers to these inputs differ in shape: ask for each alone, or submit a job"
        )
        everybody = [*failed, *(place for places, _ in ran for place in places)]
        return _filled([], dict.fromkeys(everybody, error), task), dict.fromkeys(everybody, error)


def _filled(
    ran: Sequence[tuple[Sequence[int], Tensors]],
    failed: Mapping[int, CeleriacError],
    task: Task,
) -> Tensors:
    """All items' outputs, with zeros for those that failed.

    Raises:
        ValueError: items' outputs differ in shape, and the task does not fill them up.
    """
    count = len(failed) + sum(len(places) for places, _ in ran)
    whole: dict[str, np.ndarray] = {}
    for spec in task.manifest.outputs:
        shapes = {outputs[spec.name].shape[1:] for _, outputs in ran} or {spec.known_item_shape}
        if len(shapes) > 1 and not task.pads:
            raise ValueError(f"{spec.name}: items of the shapes {sorted(shapes)}")
        shape = tuple(map(max, *shapes)) if len(shapes) > 1 else shapes.pop()
        blank = "" if spec.dtype == STRING else 0
        whole[spec.name] = np.full((count, *shape), blank, dtype=numpy_dtype(spec.dtype))
        for places, outputs in ran:
            values = outputs[spec.name]
            there: tuple[Any, ...] = (list(places), *map(slice, values.shape[1:]))
            whole[spec.name][there] = values
    return whole
