"""The same item, asked for in each of the forms that the service's protocols have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from benchmarks.inputs import example, nested
from benchmarks.load import Call

JSON = {"Content-Type": "application/json"}


def tensor_in_json(url: str, model: str) -> Call:
    """Open Inference Protocol, the tensor as numbers in JSON, all outputs in JSON."""
    tensor = _tensor(model) | {"data": example(model).ravel()}
    body = orjson.dumps({"inputs": [tensor]}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Call(f"{url}/v2/models/{model}/infer", body, JSON)


def binary_tensor(url: str, model: str) -> Call:
    """Open Inference Protocol, the tensor as raw bytes behind the JSON, all outputs likewise."""
    raw = example(model).tobytes()
    tensor = _tensor(model) | {"parameters": {"binary_data_size": len(raw)}}
    header = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(header)),
    }
    return Call(f"{url}/v2/models/{model}/infer", header + raw, headers)


def row(url: str, model: str) -> Call:
    """TensorFlow Serving, `instances`."""
    return Call(f"{url}/v1/models/{model}:predict", orjson.dumps({"instances": [nested(model)]}), JSON)


def probabilities(answer: Any) -> list[float]:
    """Those in an answer in the Open Inference Protocol."""
    outputs: dict[str, list[float]] = {output["name"]: output["data"] for output in answer["outputs"]}
    return outputs["probabilities"]


FORMS: dict[str, Callable[[str, str], Call]] = {"JSON": tensor_in_json, "binary": binary_tensor}


def _tensor(model: str) -> dict[str, object]:
    name = {"diabetes": "features", "fashion_mnist": "image"}[model]
    return {"name": name, "shape": example(model).shape, "datatype": "FP32"}
