"""What a job page says of each item: the answer, its probabilities as bars, and what stood out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from production_server.jobs.records import Item, Job
from production_server.models.manifest import Feature, Manifest
from production_server.models.store import ModelVersion
from production_server.models.tasks.task import Bar, Shown, Verdict
from production_server.models.tasks.unknown import UNKNOWN

ALL_LABELS = 5
"""Up to so many labels all have a bar; of more, the most probable ones."""
ALL_LABELS_ALONE = 12
"""… and of a job's only item up to so many."""


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
    shown: Shown | None
    """Its answer in a line, if there is one."""
    verdict: Verdict | None
    """What is true of it, where that is known."""
    has_image: bool
    bars: tuple[Bar, ...]
    hidden_labels: int
    """So many less likely ones are only in the downloads …"""
    dropped_labels: int
    """… and so many nowhere: the model keeps its best ones."""
    kept_labels: int
    written: tuple[tuple[str, str], ...]
    """What is written out of the answer, by name."""
    values: tuple[Value, ...]
    outside: tuple[Value, ...]
    may_be_labelled: bool

    @property
    def is_final(self) -> bool:
        return self.item.state not in ("queued", "running")


def to_result(item: Item, job: Job, version: ModelVersion | None, payload: bytes | None) -> Result:
    """An item for the page; without its version (it was taken away) only what is stored with the item."""
    task, prediction = UNKNOWN if version is None else version.task, item.prediction
    values = () if version is None else _values(item, version.manifest, payload)
    bars = [] if prediction is None else task.bars(prediction)
    wanted = ALL_LABELS_ALONE if job.total == 1 else ALL_LABELS
    shown = bars if len(bars) <= wanted else sorted(bars, key=lambda bar: -bar.share)[:ALL_LABELS]
    return Result(
        item=item,
        title=item.name
        or ("Answer" if job.total == 1 else f"{task.inputs.noun.capitalize()} {item.index + 1}"),
        shown=None if prediction is None else task.show(prediction),
        verdict=None if item.expected is None else task.verdict(item.expected, prediction),
        has_image=task.inputs.takes_files,
        bars=tuple(shown),
        hidden_labels=len(bars) - len(shown),
        kept_labels=len(bars),
        dropped_labels=max(len(task.choices) - len(bars), 0) if bars else 0,
        written=() if prediction is None else tuple(task.values(prediction)),
        values=values,
        outside=tuple(value for value in values if value.is_outside),
        may_be_labelled=task.is_one_of_its_choices and prediction is not None,
    )


def _values(item: Item, manifest: Manifest, payload: bytes | None) -> tuple[Value, ...]:
    if payload is None:
        return ()
    return values_of_row(manifest, json.loads(payload), item.outside_training_range)


def values_of_row(manifest: Manifest, numbers: Sequence[float], outside: Sequence[str]) -> tuple[Value, ...]:
    """The numbers of a row, beside their features; `outside` are names of those that training has not seen."""
    return tuple(
        Value(feature, number, feature.name in outside)
        for feature, number in zip(manifest.features, numbers, strict=True)
    )
