"""Tiny real model versions, made in milliseconds: for tests of what surrounds a model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from production_server.models.manifest import Manifest

LIMIT = 10
"""The table model fails on a whole batch in which a row's `index` is not below this, unless it holds more memory."""
ZERO_SHA = "0" * 64


def write_table_model(
    store: Path,
    name: str = "table",
    version: str = "1",
    *,
    step: float = 0.05,
    more_mib: int = 0,
    **changes: Any,
) -> Path:
    """A tabular model of two features: P(yes) is `step` × index; `weight` does not matter.

    It holds `more_mib` MiB of memory more than it needs.
    """
    nodes = [
        helper.make_node("Gather", ["features", "zero"], ["column"], axis=1),
        helper.make_node("Cast", ["column"], ["position"], to=TensorProto.INT64),
        helper.make_node("Gather", ["answers", "position"], ["probabilities"], axis=0),
    ]
    answers = np.zeros((LIMIT + more_mib * 2**17, 2), np.float32)
    answers[:LIMIT] = [(1 - step * i, step * i) for i in range(LIMIT)]
    constants = [
        helper.make_tensor("zero", TensorProto.INT64, [], [0]),
        numpy_helper.from_array(answers, "answers"),
    ]
    manifest = {
        "task": "tabular_classification",
        "inputs": [{"name": "features", "shape": [None, 2], "dtype": "float32"}],
        "features": [
            {"name": "index", "label": "Index", "unit": "steps", "minimum": 0, "maximum": 9, "example": 3},
            {"name": "weight", "label": "Weight", "unit": "kg", "minimum": 1, "maximum": 50, "example": 7,
             "missing": 0, "aliases": ["mass"]},
        ],
        "labels": ["no", "yes"],
        "target": "outcome",
        "threshold": {"value": 0.2, "reason": "a test"},
    }  # fmt: skip
    return _write(store, name, version, nodes, constants, manifest | changes)


def write_image_model(store: Path, name: str = "picture", version: str = "1", **changes: Any) -> Path:
    """An image model of 4 × 4 grey pixels: P(bright) is their mean."""
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Sub", ["one", "mean"], ["rest"]),
        helper.make_node("Concat", ["rest", "mean"], ["probabilities"], axis=1),
    ]
    constants = [helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])]
    manifest = {
        "task": "image_classification",
        "inputs": [{"name": "image", "shape": [None, 4, 4, 1], "dtype": "float32"}],
        "image": {"mode": "L", "width": 4, "height": 4, "scale": 1 / 255},
        "labels": ["dark", "bright"],
    }
    return _write(store, name, version, nodes, constants, manifest | changes)


def write_shades_model(store: Path, name: str = "shades", version: str = "1", **changes: Any) -> Path:
    """An image model of 30 shades of grey that keeps its 3 best labels: the nearest shade is the best one."""
    count = 30
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["mean", "last"], ["place"]),
        helper.make_node("Sub", ["place", "places"], ["apart"]),
        helper.make_node("Abs", ["apart"], ["distance"]),
        helper.make_node("Neg", ["distance"], ["nearness"]),
        helper.make_node("Softmax", ["nearness"], ["probabilities"], axis=1),
    ]
    constants = [
        helper.make_tensor("last", TensorProto.FLOAT, [], [count - 1]),
        helper.make_tensor("places", TensorProto.FLOAT, [count], range(count)),
    ]
    manifest = {
        "task": "image_classification",
        "inputs": [{"name": "image", "shape": [None, 4, 4, 1], "dtype": "float32"}],
        "image": {"mode": "L", "width": 4, "height": 4, "scale": 1 / 255},
        "labels": [f"shade {place}" for place in range(count)],
        "top": 3,
    }
    return _write(store, name, version, nodes, constants, manifest | changes)


def write_convolution_model(
    store: Path, name: str = "lights", version: str = "1", *, channels: int = 64, **changes: Any
) -> Path:
    """An image model of 16 × 16 grey pixels with two convolutions; it answers whether more than half is bright."""
    generator = np.random.default_rng(5)
    first = generator.random((channels, 1, 3, 3)).astype(np.float32)
    second = generator.random((channels, channels, 3, 3)).astype(np.float32)
    first /= first.sum(axis=(1, 2, 3), keepdims=True)
    second /= second.sum(axis=(1, 2, 3), keepdims=True)
    last = np.stack([np.full(channels, -8 / channels), np.full(channels, 8 / channels)], axis=1)
    nodes = [
        helper.make_node("Transpose", ["image"], ["pixels"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["pixels", "first"], ["edges"]),
        helper.make_node("Relu", ["edges"], ["some"]),
        helper.make_node("Conv", ["some", "second"], ["shapes"]),
        helper.make_node("Relu", ["shapes"], ["more"]),
        helper.make_node("GlobalAveragePool", ["more"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "last"], ["sums"]),
        helper.make_node("Add", ["sums", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = [
        numpy_helper.from_array(first, "first"),
        numpy_helper.from_array(second, "second"),
        numpy_helper.from_array(last.astype(np.float32), "last"),
        numpy_helper.from_array(np.array([4, -4], np.float32), "bias"),
    ]
    manifest = {
        "task": "image_classification",
        "inputs": [{"name": "image", "shape": [None, 16, 16, 1], "dtype": "float32"}],
        "image": {"mode": "L", "width": 16, "height": 16, "scale": 1 / 255},
        "labels": ["dark", "bright"],
    }
    return _write(store, name, version, nodes, constants, manifest | changes)


def write_number_model(store: Path, name: str = "number", version: str = "1", **changes: Any) -> Path:
    """A model of two features that answers with a number, their product, in an output [items, 1] called `value`."""
    nodes = [
        helper.make_node("Split", ["features"], ["first", "second"], axis=1),
        helper.make_node("Mul", ["first", "second"], ["value"]),
    ]
    manifest = {
        "inputs": [{"name": "features", "shape": [None, 2], "dtype": "float32"}],
        "outputs": [{"name": "value", "shape": [None, 1], "dtype": "float32"}],
        "features": [
            {"name": name, "label": name.title(), "minimum": 0, "maximum": 100, "example": 2}
            for name in ("length", "width")
        ],
        "target": "area",
    }
    return _write(store, name, version, nodes, [], manifest | changes, output=("value", 1))


def write_quantity_model(store: Path, name: str = "area", version: str = "1", **changes: Any) -> Path:
    """The model of a product as a regression: an area in m², of which training saw 0 to 100."""
    told = {
        "task": "tabular_regression",
        "quantity": {"name": "area", "label": "Area", "unit": "m²", "minimum": 0, "maximum": 100},
    }
    return write_number_model(store, name, version, **(told | changes))


def write_brightness_model(store: Path, name: str = "brightness", version: str = "1", **changes: Any) -> Path:
    """An image regression of 4 × 4 grey pixels: how bright they are, from 0 to 1, without a unit."""
    nodes = [helper.make_node("ReduceMean", ["image"], ["value"], axes=[1, 2], keepdims=0)]
    manifest = {
        "task": "image_regression",
        "inputs": [{"name": "image", "shape": [None, 4, 4, 1], "dtype": "float32"}],
        "outputs": [{"name": "value", "shape": [None, 1], "dtype": "float32"}],
        "image": {"mode": "L", "width": 4, "height": 4, "scale": 1 / 255},
        "quantity": {"name": "brightness", "label": "Brightness"},
    }
    return _write(store, name, version, nodes, [], manifest | changes, output=("value", 1))


def write_tags_model(store: Path, name: str = "tags", version: str = "1", **changes: Any) -> Path:
    """Several labels at once: the probability of each is the feature of its name."""
    nodes = [helper.make_node("Identity", ["features"], ["probabilities"])]
    labels = ["cat", "dog", "mug"]
    manifest = {
        "task": "tabular_multilabel_classification",
        "inputs": [{"name": "features", "shape": [None, 3], "dtype": "float32"}],
        "features": [
            {"name": label, "label": label.title(), "minimum": 0, "maximum": 1, "example": 0.5}
            for label in labels
        ],
        "labels": labels,
        "thresholds": [0.5, 0.3, 0.9],
        "target": "seen",
    }
    return _write(store, name, version, nodes, [], manifest | changes)


def write_slow_model(store: Path, name: str = "slow", version: str = "1", *, turns: int = 20_000) -> Path:
    """The table model after a loop of `turns` small steps: each batch takes a while, however small it is."""
    step = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["still"]),
            helper.make_node("Add", ["total", "nothing"], ["sum"]),
        ],
        "step",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("total", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, None),
        ],
        [helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.0])],
    )
    nodes = [
        helper.make_node("Loop", ["turns", "true", "features"], ["looped"], body=step),
        helper.make_node("Softmax", ["looped"], ["probabilities"], axis=1),
    ]
    constants = [
        helper.make_tensor("turns", TensorProto.INT64, [], [turns]),
        helper.make_tensor("true", TensorProto.BOOL, [], [True]),
    ]
    manifest = {
        "task": "tabular_classification",
        "inputs": [{"name": "features", "shape": [None, 2], "dtype": "float32"}],
        "features": [
            {"name": name, "label": name, "minimum": 0, "maximum": 100_000, "example": 1}
            for name in ("a", "b")
        ],
        "labels": ["a", "b"],
    }
    return _write(store, name, version, nodes, constants, manifest)


def _write(
    store: Path,
    name: str,
    version: str,
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[onnx.TensorProto],
    manifest: dict[str, Any],
    *,
    output: tuple[str, int] | None = None,
) -> Path:
    """`output` is the graph's, by name and width: a probability for each label, unless it is another one."""
    folder = store / name / version
    folder.mkdir(parents=True)
    (spec,) = manifest["inputs"]
    output_name, width = output or ("probabilities", len(manifest["labels"]))
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(spec["name"], TensorProto.FLOAT, ["batch", *spec["shape"][1:]])],
        [helper.make_tensor_value_info(output_name, TensorProto.FLOAT, ["batch", width])],
        constants,
    )
    data = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    ).SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    digest = {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    told = {
        "schema": 1,
        "name": name,
        "version": version,
        "title": name.title(),
        "description": "A tiny model for tests.",
        "created": "2026-11-20T10:00:00Z",
        "outputs": [{"name": output_name, "shape": [None, width], "dtype": "float32"}],
        "metrics": {"data": "none", "method": "none", "values": {"accuracy": {"mean": 0.5, "std": None}}},
        "training_data": [
            {"name": "none", "url": "https://example.org/", "sha256": ZERO_SHA, "licence": "none"}
        ],
        "code_revision": "unknown",
        "parity": {"max_abs_difference": 0.0, "inputs": 1},
        "files": {"model.onnx": digest},
    }
    (folder / "manifest.json").write_text(Manifest.model_validate(told | manifest).to_json())
    return folder
