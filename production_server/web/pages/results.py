"""What a job page says of each item: the answer, its probabilities as bars, and what stood out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from production_server.jobs.records import Item, Job
from production_server.models.manifest import Feature, Manifest
from production_server.web.best_labels import best_labels

ALL_LABELS = 5
"""Up to so many labels all have a bar; of more, the most probable ones."""
ALL_LABELS_ALONE = 12
"""… and of a job's only item up to so many."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A label and its probability."""

    label: str
    share: float
    is_answer: bool
    threshold: float | None
    """From which share on this label is the answer, where the model has a threshold."""


@dataclass(frozen=True, slots=True)
class Value:
    """One number of a row, beside the feature that it belongs to."""

    feature: Feature
    number: float
    is_outside: bool

    @property
    def is_missing(self) -> bool:
        return self.number == self.feature.missing


@dataclass(frozen=True, slots=True)
class Result:
    """One item of a job, ready to be shown."""

    item: Item
    title: str
    bars: tuple[Bar, ...]
    hidden_labels: int
    """So many less likely ones are only in the downloads …"""
    dropped_labels: int
    """… and so many nowhere: the model keeps its best ones."""
    values: tuple[Value, ...]
    outside: tuple[Value, ...]

    @property
    def is_final(self) -> bool:
        return self.item.state not in ("queued", "running")

    @property
    def is_right(self) -> bool | None:
        """Whether the answer is the true label; None where one of them is not known."""
        return (
            None if None in (self.item.expected, self.item.label) else self.item.expected == self.item.label
        )


def to_result(item: Item, job: Job, manifest: Manifest | None, payload: bytes | None) -> Result:
    """An item for the page; without a manifest (the version was removed) only what is stored with the item."""
    values = _values(item, manifest, payload)
    bars = _bars(item, manifest)
    wanted = ALL_LABELS_ALONE if job.total == 1 else ALL_LABELS
    shown = bars if len(bars) <= wanted else sorted(bars, key=lambda bar: -bar.share)[:ALL_LABELS]
    kind = "Row" if manifest is not None and manifest.is_tabular else "Image"
    return Result(
        item=item,
        title=item.name or ("Answer" if job.total == 1 else f"{kind} {item.index + 1}"),
        bars=tuple(shown),
        hidden_labels=len(bars) - len(shown),
        dropped_labels=len(manifest.labels) - len(bars) if manifest is not None and bars else 0,
        values=values,
        outside=tuple(value for value in values if value.is_outside),
    )


def _bars(item: Item, manifest: Manifest | None) -> list[Bar]:
    if manifest is None:
        return []
    if item.kept is not None:
        return [
            Bar(each.label, each.score, each.label == item.label, None)
            for each in best_labels(item, manifest)
        ]
    if item.output is None or len(item.output) != len(manifest.labels):
        return []
    threshold = None if manifest.threshold is None else manifest.threshold.value
    return [
        Bar(label, share, label == item.label, threshold if index == 1 else None)
        for index, (label, share) in enumerate(zip(manifest.labels, item.output, strict=True))
    ]


def _values(item: Item, manifest: Manifest | None, payload: bytes | None) -> tuple[Value, ...]:
    if manifest is None or payload is None or not manifest.is_tabular:
        return ()
    numbers: Sequence[float] = json.loads(payload)
    return tuple(
        Value(feature, number, feature.name in item.outside_training_range)
        for feature, number in zip(manifest.features, numbers, strict=True)
    )
