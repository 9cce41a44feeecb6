"""What a request for a model may look like, made from what it takes."""

from __future__ import annotations

import json
import math
from typing import Any

from production_server.models.manifest import TensorSpec
from production_server.models.tasks.task import Task

MAX_NUMBERS = 64
"""An example of more numbers helps nobody."""


def example_items(task: Task) -> str:
    """One item of zeros as JSON, for a model of tensors; empty where that would be too long to read, or for others."""
    manifest = task.manifest
    numbers = sum(math.prod(spec.known_item_shape) for spec in manifest.inputs)
    if not task.inputs.takes_tensors or numbers > MAX_NUMBERS:
        return ""
    return json.dumps([{spec.name: _zeros(spec, spec.known_item_shape) for spec in manifest.inputs}])


def example_request(task: Task) -> str | None:
    """The JSON of a job of one item, for a model that takes no files; None where that would be too long to read."""
    manifest = task.manifest
    if manifest.features:
        row = [int(each.example) if each.integer else each.example for each in manifest.features]
        return json.dumps({"model": manifest.name, "inputs": [row]})
    items = example_items(task)
    return json.dumps({"model": manifest.name, "inputs": json.loads(items)}) if items else None


def _zeros(spec: TensorSpec, shape: tuple[int, ...]) -> Any:
    if not shape:
        return {"string": "", "bool": False}.get(spec.dtype, 0)
    return [_zeros(spec, shape[1:]) for _ in range(shape[0])]
