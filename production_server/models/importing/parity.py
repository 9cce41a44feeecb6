"""What is served, held against what the file itself computes: on real inputs where there are some, else random ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from production_server.errors import InferenceFailed, InvalidInput
from production_server.models.importing.drawn import Ranges, draw
from production_server.models.importing.opened import Compute
from production_server.models.importing.sample import HeldOut, Images, Rows, Sample
from production_server.models.manifest import Feature, Manifest, Parity, TensorSpec
from production_server.models.store import ModelVersion
from production_server.models.tensors import Tensors, count_items, part

MOST_ITEMS = 1_000
MOST_NUMBERS = 20_000_000
"""Of random inputs in all: some 130 photos of 224 x 224."""
BATCH_NUMBERS = 2_000_000
ALLOWED = 1e-4
"""Of the largest number that the original answers, or of 1: what engines differ by, in networks with many layers."""
_HUGE = 1e6
_HOW = "where such values cannot be, say which can, by minimum and maximum of features"


@dataclass(frozen=True)
class Inputs:
    """What is compared on, and where it comes from, for people."""

    tensors: Tensors
    origin: str
    is_real: bool


def inputs_for(manifest: Manifest, sample: Sample | None) -> Inputs:
    """The sample as a model gets it; without one, random numbers within the ranges that the manifest knows.

    Raises:
        InvalidInput: an image of the sample cannot be read.
    """
    if isinstance(sample, Rows):
        rows = sample.values[:MOST_ITEMS].astype(np.float32)
        return Inputs({manifest.inputs[0].name: rows}, sample.origin, is_real=True)
    if isinstance(sample, HeldOut):
        return Inputs(sample.tensors, sample.origin, is_real=True)
    if isinstance(sample, Images) and manifest.image is not None:
        return Inputs({manifest.inputs[0].name: sample.pixels(manifest.image)}, sample.origin, is_real=True)
    numbers = sum(int(np.prod(spec.known_item_shape)) for spec in manifest.inputs)
    items = int(np.clip(MOST_NUMBERS // max(1, numbers), 8, MOST_ITEMS))
    drawn = draw(manifest.inputs, items, np.random.default_rng(1), ranges=ranges_of(manifest))
    return Inputs(drawn, f"{items:,} random inputs", is_real=False)


def ranges_of(manifest: Manifest) -> Ranges:
    """Between which numbers the inputs lie, as far as the manifest knows: features, or pixels."""
    (first, *others) = manifest.inputs
    if others:
        return {}
    if manifest.image is not None:
        ends = [pixel * manifest.image.scale + manifest.image.offset for pixel in (0, 255)]
        return {first.name: (np.array(min(ends)), np.array(max(ends)))}
    if manifest.features:
        lows, highs = zip(*map(_range_of, manifest.features), strict=True)
        return {first.name: (np.array(lows), np.array(highs))}
    return {}


@dataclass(frozen=True)
class Compared:
    """How far answers are from those of the original."""

    difference: float
    """The largest one between two numbers; NaN or infinite where shapes differ, or one is no number."""
    largest: float
    """The largest number that the original answers, or 1; NaN or infinite where that answers such."""
    items: int

    def is_within(self, allowed: float) -> bool:
        """Whether it is no more than `allowed`, of the largest number."""
        return math.isfinite(self.largest) and self.difference <= allowed * self.largest


def compare(
    original: Compute, served: Compute, batches: Iterable[Tensors], outputs: Sequence[TensorSpec]
) -> Compared:
    """Have both answer the same inputs.

    Raises:
        InferenceFailed: one of both fails.
    """
    differences, numbers, items = [0.0], [1.0], 0
    for batch in batches:
        wanted, found = original(batch), served(batch)
        items += count_items(batch)
        for name in (spec.name for spec in outputs):
            differences.append(_difference(wanted[name], found[name]))
            if wanted[name].dtype.kind == "f":
                numbers.append(float(np.max(np.abs(wanted[name]), initial=0.0)))
    # Of NaN and a number numpy's maximum is NaN, which no limit lets pass; Python's is either.
    return Compared(float(np.max(differences)), float(np.max(numbers)), items)


def parity_of(manifest: Manifest, original: Compute, served: Compute, inputs: Inputs) -> Parity:
    """What the manifest says of a version that answers as the original does.

    Raises:
        InvalidInput: it does not, by more than rounding explains (field `parity`), or the original itself answers what
            is not a number (`edges`).
        InferenceFailed: one of both fails.
    """
    found = compare(original, served, batches_of(inputs.tensors, manifest.inputs), manifest.outputs)
    if not math.isfinite(found.largest):
        raise InvalidInput.at("edges", f"finite answers for {inputs.origin}: {_HOW}", "NaN or infinity")
    if not found.is_within(ALLOWED):
        raise InvalidInput.at(
            "parity",
            f"answers that differ by at most {ALLOWED * found.largest:.0e}",
            f"{found.difference:.1e} on {inputs.origin}",
        )
    return Parity(
        max_abs_difference=found.difference,
        inputs=found.items,
        original="plain_graph" if manifest.source is None or manifest.source.format == "onnx" else "keras",
        drawn="real" if inputs.is_real else "random",
    )


def check_answers(version: ModelVersion, answers: Tensors) -> None:
    """Whether answers can be those of the version's task.

    Raises:
        InvalidInput: they cannot (field `activation`).
    """
    fault = version.task.fault_of(answers)
    if fault is not None:
        expected = (
            "probabilities, or what is to be put behind the output, as activation: softmax; "
            "where several labels may fit, a task that ends in multilabel_classification"
        )
        raise InvalidInput.at("activation", expected, fault)


def edge_notes(manifest: Manifest, served: Compute) -> list[str]:
    """What happens at the edges: zeros, the ends of the ranges, and huge numbers; one sentence for each that fails.

    Raises:
        InvalidInput: zeros, or the ends of the ranges, give what is not a number (field `edges`).
    """
    notes = []
    for name, tensors in _edges(manifest):
        fault = _fault_of(served, tensors)
        if fault is not None and name == "huge numbers":
            notes.append(f"Items with {name} ({_HUGE:.0e}) will fail: {fault}.")
        elif fault is not None:
            raise InvalidInput.at("edges", f"finite answers for {name}: {_HOW}", fault)
    return notes


def _edges(manifest: Manifest) -> Iterator[tuple[str, Tensors]]:
    shapes = {spec.name: (1, *spec.known_item_shape) for spec in manifest.inputs}
    numeric = {spec.name: spec.dtype for spec in manifest.inputs if spec.dtype not in {"string", "bool"}}
    if len(numeric) < len(manifest.inputs):
        return
    ranges = ranges_of(manifest)
    if not manifest.features or any(None in (each.minimum, each.maximum) for each in manifest.features):
        yield "zeros", {name: np.zeros(shapes[name], dtype) for name, dtype in numeric.items()}
    for place, end in enumerate(("smallest", "largest")):
        if ranges:
            yield (
                f"the {end} values in range",
                {
                    name: np.broadcast_to(ranges[name][place], shapes[name]).astype(dtype)
                    for name, dtype in numeric.items()
                },
            )
    if all(dtype == "float32" for dtype in numeric.values()):
        yield "huge numbers", {name: np.full(shapes[name], _HUGE, np.float32) for name in numeric}


def _fault_of(served: Compute, tensors: Tensors) -> str | None:
    try:
        found = served(tensors)
    except InferenceFailed as exc:
        return str(exc)
    numbers = [array for array in found.values() if array.dtype.kind == "f"]
    return None if all(np.isfinite(array).all() for array in numbers) else "NaN or infinity"


def _range_of(feature: Feature) -> tuple[float, float]:
    low, high = feature.minimum, feature.maximum
    if low is None and high is None:
        return -3.0, 3.0  # where most of a standardized column lies
    if low is None or high is None:
        known = next(each for each in (low, high) if each is not None)
        return known - abs(known) - 1, known + abs(known) + 1
    return low, high


def batches_of(tensors: Tensors, specs: Sequence[TensorSpec]) -> Iterator[Tensors]:
    """The items in batches that are not too large for the layers of a network of photos."""
    numbers = sum(int(np.prod(spec.known_item_shape)) for spec in specs)
    size = int(np.clip(BATCH_NUMBERS // max(1, numbers), 1, 256))
    for start in range(0, count_items(tensors), size):
        yield part(tensors, start, start + size)


def _difference(wanted: np.ndarray, found: np.ndarray) -> float:
    if wanted.shape != found.shape:
        return float("inf")
    if wanted.dtype.kind not in "fiu":
        return 0.0 if np.array_equal(wanted, found) else float("inf")
    with np.errstate(invalid="ignore"):  # of two infinite numbers
        return float(np.max(np.abs(wanted.astype(np.float64) - found.astype(np.float64)), initial=0.0))
