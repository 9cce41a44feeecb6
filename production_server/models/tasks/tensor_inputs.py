"""Any number of named inputs of any shape, as the model's graph has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from production_server.errors import CeleriacError, InvalidInput
from production_server.models.array_files import read_arrays
from production_server.models.manifest import Manifest
from production_server.models.table import Truth
from production_server.models.tasks.inputs import CheckedInput, CheckedTable, Decoded, Group, Inputs, gather
from production_server.models.tensor_values import batch_of_json, checked_items, finite
from production_server.models.tensors import (
    STRING,
    Tensors,
    count_items,
    numpy_dtype,
    part,
    tensors_of_bytes,
    tensors_to_bytes,
)
from production_server.shown import describe, describe_names


class TensorInputs(Inputs):
    """Objects with a value for each input, or the value of the only one; files of arrays hold many items."""

    name, noun, plural, takes_tensors = "tensors", "item", "tensors", True

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._specs = {spec.name: spec for spec in manifest.inputs}

    def check_manifest(self) -> None:
        manifest = self._manifest
        for field, specs in (("inputs", manifest.inputs), ("outputs", manifest.outputs)):
            if len({spec.name for spec in specs}) < len(specs):
                raise ValueError(f"{field}: names must differ from each other")
        if manifest.features or manifest.image is not None:
            raise ValueError("features, image: expected none: tensors go in as they are")

    def check_json(self, inputs: Sequence[object], *, max_pixels: int, first: int = 0) -> list[CheckedInput]:  # noqa: ARG002
        return gather(
            partial(self._check_item, each, f"inputs[{index}]") for index, each in enumerate(inputs, first)
        )

    def check_file(self, data: bytes, *, field: str, max_pixels: int) -> None:
        raise NotImplementedError

    def check_arrays(self, data: bytes, *, field: str, max_items: int) -> list[CheckedInput]:
        tensors = self._checked_arrays(read_arrays(data, field=field, names=tuple(self._specs)), field)
        count = count_items(tensors)
        if count > max_items:
            raise InvalidInput.at(field, f"at most {max_items} items", str(count))
        return [CheckedInput(tensors_to_bytes(part(tensors, i, i + 1))) for i in range(count)]

    def check_table(self, data: bytes, *, max_rows: int, truth: Truth) -> CheckedTable:  # noqa: ARG002
        raise InvalidInput.at("csv", f"JSON or .npz: {self._manifest.name} takes tensors", "a table")

    def decode(self, payloads: Sequence[bytes | CeleriacError], *, max_pixels: int) -> Decoded:  # noqa: ARG002
        errors: dict[int, CeleriacError] = {}
        groups: dict[object, list[tuple[int, Tensors]]] = {}
        for place, payload in enumerate(payloads):
            if isinstance(payload, CeleriacError):
                errors[place] = payload
                continue
            item = tensors_of_bytes(payload)
            groups.setdefault(tuple(each.shape for each in item.values()), []).append((place, item))
        return Decoded([_together(items) for items in groups.values()], errors)

    def _check_item(self, item: object, field: str) -> CheckedInput:
        given = self._by_name(item, field)
        tensors = {
            name: batch_of_json([given[name]], spec, field=f"{field}.{name}")
            for name, spec in self._specs.items()
        }
        return CheckedInput(tensors_to_bytes(tensors))

    def _by_name(self, item: object, field: str) -> Mapping[str, object]:
        if isinstance(item, dict):
            if item.keys() != self._specs.keys():
                raise InvalidInput.at(field, f"an object with {', '.join(self._specs)}", describe_names(item))
            return item
        if len(self._specs) == 1:
            return dict.fromkeys(self._specs, item)
        raise InvalidInput.at(field, f"an object with {', '.join(self._specs)}", describe(item))

    def _checked_arrays(self, arrays: Mapping[str, np.ndarray], field: str) -> Tensors:
        counts = {name: array.shape[:1] for name, array in arrays.items()}
        if len(set(counts.values())) != 1 or () in counts.values() or (0,) in counts.values():
            raise InvalidInput.at(
                field,
                "arrays [items, …] of one number of items, at least one",
                ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items()),
            )
        return {name: self._checked_array(arrays[name], name, f"{field}.{name}") for name in self._specs}

    def _checked_array(self, array: np.ndarray, name: str, field: str) -> np.ndarray:
        spec = self._specs[name]
        checked_items(array.shape, spec, field=field)
        if spec.dtype == STRING:
            if array.dtype.kind != "U":
                raise InvalidInput.at(field, "texts", str(array.dtype))
            return array.astype(object)
        if array.dtype.kind not in "fiub" or not np.can_cast(array.dtype, spec.dtype, "same_kind"):
            raise InvalidInput.at(field, spec.dtype, str(array.dtype))
        with np.errstate(over="ignore"):
            cast = array.astype(numpy_dtype(spec.dtype))
        if cast.dtype.kind in "iu" and not np.array_equal(cast, array):
            raise InvalidInput.at(field, f"numbers that {spec.dtype} holds", f"others, of {array.dtype}")
        return finite(cast, field=field)


def _together(items: Sequence[tuple[int, Tensors]]) -> Group:
    places = [place for place, _ in items]
    names = items[0][1]
    return Group({name: np.concatenate([item[name] for _, item in items]) for name in names}, places)
