"""Versions side by side: what was measured of each, and in what they differ; for the command line and the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from production_server.learning.promotion import measured_of
from production_server.learning.report import Measured
from production_server.models.manifest import Feature, ImagePreprocessing, Manifest, Metric, TensorSpec
from production_server.models.store import ModelVersion

ON_SAMPLE = "_on_the_sample"
"""Ends the names of metrics that were measured by the gate."""
Kind = Literal["metric", "parity", "size", "moment", "text"]
Value = Metric | float | int | datetime | str | None
"""Of a metric a `Metric`; of parity the largest difference; of a size bytes. None: the version has nothing of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing about each of several versions."""

    kind: Kind
    name: str
    values: tuple[Value, ...]
    is_comparable: bool = True
    """Whether values stand for the same: what was measured on two samples does not."""

    @property
    def is_same(self) -> bool:
        """Whether it is the same of all."""
        return all(value == self.values[0] for value in self.values)


def compare(versions: Sequence[ModelVersion]) -> list[Row]:
    """What there is to know of these versions: metrics, then facts, then what goes in and comes out where that differs.

    Each row has a value for each version, in their order. Reads what the gate has said of each.
    """
    manifests = [version.manifest for version in versions]
    return [
        *_metrics(manifests),
        *_on_samples([measured_of(version) for version in versions]),
        *_facts(manifests),
        *(row for row in _signature(manifests) if not row.is_same),
    ]


def _metrics(manifests: Sequence[Manifest]) -> Iterable[Row]:
    measured = [manifest.metrics.values if manifest.metrics else {} for manifest in manifests]
    names = dict.fromkeys(name for values in measured for name in values)
    for name in names:
        yield Row("metric", name, tuple(values.get(name) for values in measured))


def _on_samples(measured: Sequence[Measured | None]) -> Iterable[Row]:
    """What samples have said, which are not the data that manifests tell of; and which samples those were."""
    known = [each for each in measured if each is not None]
    is_same = len({each.sha256 for each in known}) == 1
    for name in dict.fromkeys(name for each in known for name in each.values):
        values = tuple(each.values.get(name) if each else None for each in measured)
        yield Row("metric", f"{name}{ON_SAMPLE}", values, is_comparable=is_same)
    if known:
        yield Row("text", "sample", tuple(map(_sample, measured)))


def _sample(measured: Measured | None) -> str | None:
    return None if measured is None else f"{measured.data}, SHA-256 {measured.sha256[:12]}…"


def _facts(manifests: Sequence[Manifest]) -> Iterable[Row]:
    facts: tuple[tuple[Kind, str, Callable[[Manifest], Value]], ...] = (
        ("text", "measured on", lambda each: each.metrics.data if each.metrics else None),
        ("parity", "parity", lambda each: each.parity.max_abs_difference if each.parity else None),
        ("size", "size", lambda each: sum(file.size_bytes for file in each.files.values())),
        ("text", "thresholds", _thresholds),
        ("text", "task", lambda each: each.task),
        ("text", "runner", lambda each: each.runner),
        ("text", "made from", _made_from),
        ("moment", "made", lambda each: each.created),
    )
    for kind, name, value in facts:
        row = Row(kind, name, tuple(map(value, manifests)))
        if any(each is not None for each in row.values):
            yield row


def _made_from(manifest: Manifest) -> str | None:
    if manifest.quantized is not None:
        return f"version {manifest.quantized.version}, as int8"
    return manifest.source.file if manifest.source else None


def _thresholds(manifest: Manifest) -> str | None:
    values = [manifest.threshold.value] if manifest.threshold else manifest.thresholds
    return ", ".join(f"{value:g}" for value in values) or None


def _signature(manifests: Sequence[Manifest]) -> Iterable[Row]:
    parts: tuple[tuple[str, Callable[[Manifest], dict[str, str]]], ...] = (
        ("input", lambda each: {spec.name: _tensor(spec) for spec in each.inputs}),
        ("output", lambda each: {spec.name: _tensor(spec) for spec in each.outputs}),
        ("feature", lambda each: {feature.name: _feature(feature) for feature in each.features}),
    )
    for what, described in parts:
        yield from _each(what, [described(manifest) for manifest in manifests])
    yield Row(
        "text", "order of features", _told(manifests, lambda each: [part.name for part in each.features])
    )
    yield Row("text", "labels", _told(manifests, lambda each: each.labels))
    yield Row("text", "images", tuple(_image(each.image) for each in manifests))


def _each(what: str, described: Sequence[dict[str, str]]) -> Iterable[Row]:
    for name in dict.fromkeys(name for each in described for name in each):
        yield Row("text", f"{what} {name}", tuple(each.get(name) for each in described))


def _told(manifests: Sequence[Manifest], names: Callable[[Manifest], Sequence[str]]) -> tuple[Value, ...]:
    return tuple(", ".join(names(each)) or None for each in manifests)


def _tensor(spec: TensorSpec) -> str:
    return f"{spec.sizes} {spec.dtype}"


def _feature(feature: Feature) -> str:
    bounds = (
        f"{word} {bound:g}"
        for word, bound in (
            ("from", feature.minimum),
            ("to", feature.maximum),
            ("missing as", feature.missing),
        )
        if bound is not None
    )
    whole = "whole numbers" if feature.integer else "numbers"
    return " ".join((whole, *bounds, *([feature.unit] if feature.unit else [])))


def _image(image: ImagePreprocessing | None) -> str | None:
    if image is None:
        return None
    return f"{image.width} x {image.height} {image.mode}, pixel x {image.scale:g} + {image.offset:g}"


def as_plain(value: Value) -> Any:
    """A value of a row as JSON has it."""
    if isinstance(value, Metric):
        return value.model_dump()
    return value.isoformat() if isinstance(value, datetime) else value
