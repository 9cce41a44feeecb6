"""The form of one row: its fields are generated from the manifest, and what people type into them becomes numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from production_server.errors import Fault
from production_server.models.manifest import Feature, Manifest
from production_server.models.table_numbers import Numbers
from production_server.models.tabular import number_fault
from production_server.web.pages.wording import seen

PREFIX = "value."
"""Before each feature's name in the form, so that a feature may be called `model`."""
POINTS = ","
"""Fields are read as cells between commas: where nothing says otherwise, a point is the decimal sign."""


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
        return seen(self.feature)

    @property
    def input_mode(self) -> str:
        """The keyboard that a phone shows; those for numbers often have no minus sign."""
        if self.feature.minimum is None or self.feature.minimum < 0:
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

    An empty field is a missing value where the model knows such; a comma may be the decimal sign, as in a table.
    """
    row: dict[str, float] = {}
    faults: list[Fault] = []
    numbers = Numbers(POINTS)
    for column, feature in enumerate(manifest.features):
        text = typed.get(PREFIX + feature.name, "").strip()
        is_missing = not text and feature.missing is not None
        value = feature.missing if is_missing else numbers.read(0, column, text)
        if value is None or number_fault(feature, value, feature.name) is not None:
            faults.append(_fault(feature, text, numbers))
        else:
            row[feature.name] = value
    undecided = ((manifest.features[place.column], place.text) for place in numbers.undecided())
    faults.extend(_fault(feature, text, numbers) for feature, text in undecided)
    return row, faults


def _fault(feature: Feature, text: str, numbers: Numbers) -> Fault:
    if both := numbers.readings_of(text):
        return Fault(feature.name, *both)
    return Fault(feature.name, "a number", "nothing" if not text else f"“{_shorten(text)}”")


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "…"
