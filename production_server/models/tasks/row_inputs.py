"""Rows of numbers: one value for each feature of the manifest."""

from __future__ import annotations

import json
from collections.abc import Sequence

from production_server.errors import CeleriacError
from production_server.models.manifest import Manifest, the_only
from production_server.models.table import Truth, parse_table
from production_server.models.tabular import check_rows, stack_rows
from production_server.models.tasks.inputs import CheckedInput, CheckedTable, Decoded, Group, Inputs


class RowInputs(Inputs):
    """Lists in feature order, objects by feature name, or tables."""

    name, noun, plural = "rows", "row", "rows of numbers"

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    def check_manifest(self) -> None:
        tensor = the_only(self._manifest.inputs, "inputs")
        names = self.columns()
        is_like_it = tensor.item_shape == (len(names),) and self._manifest.image is None
        if len(set(names)) != len(names) or not is_like_it:
            raise ValueError("features: expected one per input column, names that differ, and no image")

    def check_json(self, inputs: Sequence[object], *, max_pixels: int, first: int = 0) -> list[CheckedInput]:  # noqa: ARG002
        rows = check_rows(self._manifest, inputs, first=first)
        return [CheckedInput(row.to_bytes(), None, row.outside_training_range) for row in rows]

    def check_file(self, data: bytes, *, field: str, max_pixels: int) -> None:
        raise NotImplementedError

    def check_table(self, data: bytes, *, max_rows: int, truth: Truth) -> CheckedTable:
        table = parse_table(self._manifest, data, max_rows=max_rows, truth=truth)
        expected = table.expected or [None] * len(table.rows)
        inputs = [
            CheckedInput(row.to_bytes(), label, row.outside_training_range)
            for row, label in zip(table.rows, expected, strict=True)
        ]
        return CheckedTable(inputs, table.reading)

    def decode(self, payloads: Sequence[bytes | CeleriacError], *, max_pixels: int) -> Decoded:  # noqa: ARG002
        errors = {place: each for place, each in enumerate(payloads) if isinstance(each, CeleriacError)}
        places = [place for place in range(len(payloads)) if place not in errors]
        if not places:
            return Decoded((), errors)
        rows = stack_rows(each for each in payloads if isinstance(each, bytes))
        return Decoded((Group({self._manifest.inputs[0].name: rows}, places),), errors)

    def columns(self) -> list[str]:
        return [feature.name for feature in self._manifest.features]

    def cells(self, payload: bytes) -> list[object]:
        values: list[object] = json.loads(payload)
        return values
