"""What two versions lose on the same items, and how long their calls take side by side."""

from __future__ import annotations

import numpy as np

from production_server.errors import InferenceFailed, InvalidInput
from production_server.learning.probing import Probe
from production_server.learning.report import Measured
from production_server.models.importing.sample import HeldOut, Rows, Sample
from production_server.models.manifest import Metric
from production_server.models.store import ModelVersion
from production_server.models.tensors import Tensors
from production_server.shown import describe

ROUNDS = 10
MOST_CALLS, FEWEST_CALLS = 50, 3
ROUND_S = 0.15
"""So long a round of calls takes, or so many: all rounds of both take some seconds."""


def losses(probe: Probe, sample: Sample | None) -> np.ndarray | None:
    """What a version loses on each item whose truth is known, float64 [items].

    None: no item has a truth that is known, or the task has no loss.

    Raises:
        InvalidInput: the sample is none for this model. InferenceFailed, ImportFailed: as `Probe.run`.
    """
    task, truths = probe.version.task, _truths(probe.version, sample)
    if sample is None or truths is None or not task.loss_name or not any(truths):
        return None
    predictions = task.predict(probe.run(_inputs(probe.version, sample)))
    lost = []
    for place, truth in enumerate(truths):
        prediction = predictions[place]
        if isinstance(prediction, InferenceFailed):
            raise InferenceFailed(f"item {place} of the sample: {prediction}")
        if truth is not None:
            lost.append(task.loss(prediction, truth))
    return np.array(lost, np.float64)


def measured(version: ModelVersion, sample: Sample, lost: np.ndarray) -> Measured:
    """What `losses` found on a sample, float64 [items]: the mean, and the standard error of the mean."""
    error = float(lost.std(ddof=1)) / len(lost) ** 0.5 if len(lost) > 1 else None
    name = version.task.loss_name.replace(" ", "_")
    return Measured(
        data=sample.origin,
        sha256=sample.sha256,
        items=len(lost),
        values={name: Metric(mean=float(lost.mean()), std=error)},
    )


def check_truths(version: ModelVersion, sample: Sample | None) -> None:
    """See that a sample which says what is true says so in words of the model's.

    Raises:
        InvalidInput: it does not (field `target`); names the first item.
    """
    if sample is None or not version.task.loss_name or (truths := _truths(version, sample)) is None:
        return
    for place, (text, truth) in enumerate(zip(sample.truths, truths, strict=True), 1):
        if text and truth is None:
            raise InvalidInput.at(f"target, item {place} of the sample", version.task.truths, describe(text))
    if not any(truths):
        raise InvalidInput.at("target", "what is true of at least one item of the sample", "empty cells")


def times_of(candidate: tuple[Probe, Tensors], stable: tuple[Probe, Tensors]) -> dict[str, float]:
    """p50 and p99 of calls with one item, in seconds, of both in turns, so that both have the same neighbours."""
    taken: dict[str, list[float]] = {"candidate": [], "stable": []}
    pairs = {"candidate": candidate, "stable": stable}
    calls = {name: _calls(probe, inputs) for name, (probe, inputs) in pairs.items()}
    for _ in range(ROUNDS):
        for name, (probe, inputs) in pairs.items():
            taken[name] += probe.time_calls(inputs, calls[name])
    return {
        f"{name}_{label}": float(np.quantile(seconds, share))
        for name, seconds in taken.items()
        for label, share in (("p50", 0.5), ("p99", 0.99))
    }


def _calls(probe: Probe, inputs: Tensors) -> int:
    """How many calls make a round; the first ones are not counted."""
    first = min(probe.time_calls(inputs, FEWEST_CALLS))
    return int(np.clip(ROUND_S / max(first, 1e-9), FEWEST_CALLS, MOST_CALLS))


def _inputs(version: ModelVersion, sample: Sample) -> Tensors:
    spec = version.manifest.inputs[0]
    if isinstance(sample, HeldOut):
        return sample.tensors
    if isinstance(sample, Rows):
        return {spec.name: sample.values.astype(spec.dtype, copy=False)}
    image = version.manifest.image
    if image is None:
        raise InvalidInput.at("sample", "rows: this model takes no images", "a folder of images")
    return {spec.name: sample.pixels(image).astype(spec.dtype, copy=False)}


def _truths(version: ModelVersion, sample: Sample | None) -> list[str | None] | None:
    """What is true of each item, as the task reads it; None: the sample does not say."""
    if isinstance(sample, Rows) and sample.target is None:
        return None
    if sample is None or len(version.manifest.inputs) != 1:
        return None
    return [version.task.read_truth(text) if text else None for text in sample.truths]
