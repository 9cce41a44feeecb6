"""The form of one row: its fields are generated from the manifest, and what people type into them becomes numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from production_server.errors import Fault
from production_server.models.manifest import Feature, Manifest
from production_server.models.tabular import number_fault
from production_server.web.pages.wording import plain

PREFIX = "value."
"""Before each feature's name in the form, so that a feature may be called `model`."""
MAX_EXACT = 2**53
"""Whole numbers below it are written without a point: as people typed them."""


@dataclass(frozen=True, slots=True)
class FormField:
    """One labelled field, with what the user typed and what is wrong with it."""

    feature: Feature
    value: str = ""
    error: str | None = None

    @property
    def name(self) -> str:
        return PREFIX + self.feature.name

    @property
    def id(self) -> str:
        return f"value-{self.feature.name}"

    @property
    def example(self) -> str:
        return as_typed(self.feature, self.feature.example)

    @property
    def range(self) -> str:
        return f"{plain(self.feature.minimum)} to {plain(self.feature.maximum)}"

    @property
    def input_mode(self) -> str:
        """The keyboard that a phone shows; those for numbers often have no minus sign."""
        if self.feature.minimum < 0:
            return "text"
        return "numeric" if self.feature.integer else "decimal"


def row_fields(
    manifest: Manifest, typed: Mapping[str, str] | None = None, faults: Sequence[Fault] = ()
) -> list[FormField]:
    """The form's fields in feature order; `typed` by field name, `faults` by feature name."""
    errors = {fault.field: f"Expected {fault.expected}, got {fault.got}" for fault in reversed(faults)}
    return [
        FormField(feature, (typed or {}).get(PREFIX + feature.name, ""), errors.get(feature.name))
        for feature in manifest.features
    ]


def typed_values(manifest: Manifest, values: Sequence[float]) -> dict[str, str]:
    """Numbers in feature order as the form would have them typed."""
    return {
        PREFIX + feature.name: as_typed(feature, value)
        for feature, value in zip(manifest.features, values, strict=True)
    }


def as_typed(feature: Feature, value: float) -> str:
    """A number as people would type it; a missing value is an empty field."""
    return "" if value == feature.missing else json.dumps(int(value) if value == int(value) else value)


def read_row(manifest: Manifest, typed: Mapping[str, str]) -> tuple[dict[str, float], list[Fault]]:
    """The row that was typed, by feature name, and what is wrong with it: a fault per field, named by feature.

    An empty field is a missing value where the model knows such; a comma may be the decimal sign.
    """
    row: dict[str, float] = {}
    faults: list[Fault] = []
    for feature in manifest.features:
        text = typed.get(PREFIX + feature.name, "").strip()
        value = feature.missing if not text and feature.missing is not None else _number(text)
        fault = number_fault(feature, value, feature.name)
        if fault is not None:
            got = "nothing" if not text else f"“{_shorten(text)}”"
            faults.append(Fault(feature.name, "a number", got))
        elif isinstance(value, float | int):
            row[feature.name] = value
    return row, faults


def _number(text: str) -> float | str:
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        return text
    return int(value) if value.is_integer() and abs(value) < MAX_EXACT else value


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "…"
