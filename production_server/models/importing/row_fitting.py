"""Rows of numbers: a graph's inputs become one tensor `[rows, features]`, and its columns get names and ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from production_server.errors import InvalidInput
from production_server.models.importing.described import Described, DescribedFeature
from production_server.models.importing.names import plain_names
from production_server.models.importing.operations import Cast, Column, Operation, Reshape
from production_server.models.importing.sample import Rows, Sample
from production_server.models.manifest import TensorSpec
from production_server.shown import shown

_NUMBERS = (
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
)
_FEATURES = "features"


@dataclass(frozen=True)
class RowFitting:
    """What rows are served as, and what the manifest says of their columns."""

    served: TensorSpec
    before: Mapping[str, Sequence[Operation]]
    fields: dict[str, Any]
    notes: tuple[str, ...] = field(default=())


def looks_like_rows(inputs: Sequence[TensorSpec]) -> bool:
    """Whether all inputs are numbers: one of several columns, or several of one column each."""
    if any(spec.dtype not in _NUMBERS for spec in inputs):
        return False
    if len(inputs) == 1:
        return len(inputs[0].item_shape) == 1 and inputs[0].item_shape[0] is not None
    return all(spec.item_shape in {(), (1,)} for spec in inputs)


def fit_rows(inputs: Sequence[TensorSpec], described: Described, sample: Sample | None) -> RowFitting:
    """What a graph that `looks_like_rows` is served as.

    Raises:
        InvalidInput: the described features, or the sample's columns, are not as many as the model takes.
    """
    rows = sample if isinstance(sample, Rows) else None
    written: tuple[str, ...] = ()
    if len(inputs) == 1:
        (spec,) = inputs
        count = int(spec.item_shape[0] or 0)
        served = TensorSpec(name=spec.name, shape=(None, count), dtype="float32")
        before = {spec.name: _cast(spec)}
    else:
        count, written = len(inputs), tuple(spec.name for spec in inputs)
        served = TensorSpec(name=_FEATURES, shape=(None, count), dtype="float32")
        before = {spec.name: _column(spec, place) for place, spec in enumerate(inputs)}
    features, notes = _features(count, written, [spec.dtype for spec in inputs], described, rows)
    if written:
        notes.append(f"Its {count} inputs of one column each are served as one, features [null, {count}].")
    return RowFitting(served, before, {"features": features}, tuple(notes))


def _cast(spec: TensorSpec) -> list[Operation]:
    return [] if spec.dtype == "float32" else [Cast(spec.dtype)]


def _column(spec: TensorSpec, place: int) -> list[Operation]:
    flat: list[Operation] = [] if spec.item_shape else [Reshape(())]
    return [Column(place), *_cast(spec), *flat]


def _features(
    count: int, written: Sequence[str], dtypes: Sequence[str], described: Described, rows: Rows | None
) -> tuple[list[dict[str, Any]], list[str]]:
    notes: list[str] = []
    said = described.features
    if said:
        _check_count("features", len(said), count, [each.name for each in said])
    if rows is not None:
        _check_count("sample", len(rows.names), count, rows.names)
    names = [each.name for each in said] or list(rows.names if rows else written)
    if not names:
        names = [f"feature_{place}" for place in range(1, count + 1)]
        notes.append(
            f"The {count} features are called feature_1 to feature_{count}: "
            "say what they are by features, or by a sample."
        )
    if len(set(names)) != len(names):
        raise InvalidInput.at("features", "names that differ", shown(", ".join(names)))
    if rows is None and not any(each.minimum is not None for each in said):
        notes.append("Nobody says which values training saw, so none is marked as outside of them.")
    is_whole = [not dtype.startswith("float") for dtype in dtypes] * (count // len(dtypes))
    plain = plain_names(names, otherwise="feature")
    features = [
        _feature(
            plain[place],
            names[place],
            said[place] if said else DescribedFeature(name=names[place]),
            None if rows is None else rows.values[:, place],
            is_whole=is_whole[place],
        )
        for place in range(count)
    ]
    return features, notes


def _feature(
    name: str, label: str, said: DescribedFeature, values: np.ndarray | None, *, is_whole: bool
) -> dict[str, Any]:
    minimum, maximum, integer = said.minimum, said.maximum, said.integer
    example = said.example
    if values is not None:
        minimum = float(values.min()) if minimum is None else minimum
        maximum = float(values.max()) if maximum is None else maximum
        integer = bool(np.all(values == np.round(values))) if integer is None else integer
        example = float(np.quantile(values, 0.5, method="nearest")) if example is None else example
    integer = is_whole if integer is None else integer
    if example is None:
        known = [each for each in (minimum, maximum) if each is not None]
        example = sum(known) / len(known) if known else 0.0
        example = float(round(example)) if integer else example
    return {
        "name": name,
        "label": said.label or label,
        "unit": said.unit,
        "description": said.description,
        "minimum": minimum,
        "maximum": maximum,
        "integer": integer,
        "example": example,
        "missing": said.missing,
        "aliases": said.aliases,
    }


def _check_count(what: str, found: int, count: int, names: Sequence[str]) -> None:
    if found != count:
        raise InvalidInput.at(
            what, f"{count} columns, as the model takes", f"{found}: {shown(', '.join(names))}"
        )
