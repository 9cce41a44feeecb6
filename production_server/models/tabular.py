"""Rows of a tabular model: from what a client wrote to checked numbers, and to the tensor that a runner takes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from production_server.errors import MAX_FAULTS, Fault, InvalidInput
from production_server.models.manifest import Feature, Manifest
from production_server.shown import describe

FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Row:
    """One checked input: values in feature order, and the names of those outside the range seen in training."""

    values: tuple[float, ...]
    outside_training_range: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        return json.dumps(self.values, separators=(",", ":")).encode()


def make_row(manifest: Manifest, values: Sequence[float]) -> Row:
    """A row of values that were checked, marked where they leave the training range."""
    outside = tuple(
        feature.name
        for feature, value in zip(manifest.features, values, strict=True)
        if not feature.is_in_training_range(value)
    )
    return Row(tuple(values), outside)


def check_rows(
    manifest: Manifest, inputs: Sequence[object], *, field: str = "inputs", first: int = 0
) -> list[Row]:
    """Check rows as JSON brings them: lists in feature order or objects by feature name; `first` stand before them.

    Raises:
        InvalidInput: one or more rows are not usable; it names the first 20 faults and no row is accepted.
    """
    faults: list[Fault] = []
    rows: list[Row] = []
    for index, item in enumerate(inputs, first):
        row_faults, values = _check_row(manifest, item, f"{field}[{index}]")
        faults += row_faults
        if len(faults) >= MAX_FAULTS:
            break
        if not row_faults:
            rows.append(make_row(manifest, values))
    if faults:
        raise InvalidInput(f"{field}: {_count(faults)} in the values for {manifest.name}", tuple(faults))
    return rows


def stack_rows(payloads: Iterable[bytes]) -> np.ndarray:
    """Stored rows (`Row.to_bytes`) as one float32 tensor [rows, features]."""
    return np.array([json.loads(payload) for payload in payloads], dtype=np.float32)


def number_fault(feature: Feature, value: object, field: str) -> Fault | None:
    """What is wrong with `value` as this feature's number, or None."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and abs(cast(float, value)) <= FLOAT32_MAX:
        return None
    expected = "a finite number" + (f" in {feature.unit}" if feature.unit else "")
    if feature.missing is not None:
        expected += f" (a missing value is written {feature.missing:g})"
    return Fault(field, expected, describe(value))


def _check_row(manifest: Manifest, item: object, field: str) -> tuple[list[Fault], list[float]]:
    names = [feature.name for feature in manifest.features]
    if isinstance(item, Mapping):
        return _check_named_row(manifest, item, field)
    if not isinstance(item, list | tuple):
        expected = f"a list of {len(names)} numbers or an object with the keys {', '.join(names)}"
        return [Fault(field, expected, describe(item))], []
    if len(item) != len(names):
        return [Fault(field, f"{len(names)} numbers ({', '.join(names)})", str(len(item)))], []
    return _check_values(manifest, item, [f"{field}[{i}] ({name})" for i, name in enumerate(names)])


def _check_named_row(
    manifest: Manifest, item: Mapping[object, object], field: str
) -> tuple[list[Fault], list[float]]:
    names = [feature.name for feature in manifest.features]
    faults = [Fault(f"{field}.{name}", "a number", "nothing") for name in names if name not in item]
    faults += [
        Fault(f"{field}.{str(name)[:40]}", f"one of {', '.join(names)}", "an unknown name")
        for name in item
        if name not in names
    ]
    if faults:
        return faults, []
    return _check_values(manifest, [item[name] for name in names], [f"{field}.{name}" for name in names])


def _check_values(
    manifest: Manifest, values: Sequence[object], fields: Sequence[str]
) -> tuple[list[Fault], list[float]]:
    checked = zip(manifest.features, values, fields, strict=True)
    faults = [fault for feature, value, field in checked if (fault := number_fault(feature, value, field))]
    return faults, [] if faults else list(values)  # type: ignore[arg-type]  # all are numbers: no fault was found


def _count(faults: Sequence[Fault]) -> str:
    if len(faults) >= MAX_FAULTS:
        return f"at least {MAX_FAULTS} faults"
    return "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
