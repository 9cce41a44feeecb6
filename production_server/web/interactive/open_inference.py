"""The Open Inference Protocol v2 over HTTP: infer requests and answers, in JSON and with the binary tensor extension.

Source: https://github.com/kserve/open-inference-protocol, and Triton's extension_binary_data.md,
extension_parameters.md and extension_classification.md for what stands in headers and parameters.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from production_server.broker.calls import Inputs, Reply
from production_server.errors import CeleriacError, InvalidInput
from production_server.models.base64_images import image_of_base64
from production_server.models.manifest import Manifest
from production_server.models.registry import Registry
from production_server.models.store import ModelVersion
from production_server.models.tasks.task import Task
from production_server.models.tensor_values import (
    checked_items,
    elements_in,
    finite,
    tensor_of_bytes,
    tensor_of_json,
)
from production_server.models.tensors import STRING, Tensors, elements_to_bytes, name_of, numpy_dtype
from production_server.shown import describe
from production_server.web.interactive.number_lists import MARK, flat_in, items_in, set_apart
from production_server.web.interactive.protocol import Ask, HttpAnswer, HttpRequest, error_answer
from production_server.web.interactive.tensors import (
    checked_objects,
    checked_shape,
    json_object,
)

DATATYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip
BYTES = "BYTES"
DATATYPE_OF = {dtype: datatype for datatype, dtype in DATATYPES.items()} | {STRING: BYTES}
HEADER_LENGTH = "inference-header-content-length"
JSON, BINARY = "application/json", "application/octet-stream"
TIMEOUT = "timeout"
"""The parameter that says how many microseconds a request may take (Triton)."""
CLASSIFICATION = "classification"
"""The parameter of an output that asks for so many of the best labels instead of the numbers (Triton)."""
SHARED_MEMORY = "shared_memory_region"

_PATH = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One output of an answer, whether it is written as raw bytes, and how many labels to write instead of numbers."""

    name: str
    is_binary: bool
    classes: int = 0


@dataclass(frozen=True, slots=True)
class Details:
    """What of a request its answer repeats or obeys."""

    id: str | None
    parameters: Mapping[str, Any]
    outputs: tuple[Wanted, ...]


class OpenInference:
    """Reads and writes infer requests for the models of a registry."""

    name = "v2"
    route = "/v2/models/{model}/infer"

    def __init__(self, registry: Registry, status_of: Callable[[CeleriacError], int]) -> None:
        self._registry = registry
        self._status_of = status_of

    def takes(self, method: str, path: str) -> bool:
        return method == "POST" and path.startswith("/v2/models/") and path.endswith("/infer")

    def read(self, request: HttpRequest) -> Ask:
        match = _PATH.fullmatch(request.path)
        if match is None:
            raise InvalidInput.at("path", "/v2/models/<model>[/versions/<version>]/infer", request.path[:200])
        version = self._registry.draw(match[1], match[2], sticky=request.sticky)
        head, tail = _parted(request)
        usual = _of_numbers(version, head) if head is request.body else None
        body, numbers = usual or (json_object(head, "the request"), None)
        parameters = _parameters(body.get("parameters"), "parameters")
        inputs = _inputs(version, body.get("inputs"), tail) if numbers is None else numbers
        details = Details(
            _identifier(body.get("id")),
            parameters,
            _outputs(version.task, body.get("outputs"), parameters),
        )
        return Ask(version, inputs, _timeout_s(parameters), details)

    def write(self, ask: Ask, reply: Reply) -> HttpAnswer:
        details: Details = ask.details
        manifest, task = ask.version.manifest, ask.version.task
        outputs, tail = [], []
        for wanted in details.outputs:
            output, raw = _output(task, wanted, _outputs_of(reply))
            outputs.append(output)
            tail.append(raw)
        body: dict[str, Any] = {
            "model_name": manifest.name,
            "model_version": manifest.version,
            "outputs": outputs,
        }
        if details.id is not None:
            body["id"] = details.id
        if details.parameters:
            body["parameters"] = details.parameters
        head = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        if not any(wanted.is_binary for wanted in details.outputs):
            return HttpAnswer(200, JSON, head)
        return HttpAnswer(200, BINARY, b"".join([head, *tail]), {HEADER_LENGTH: str(len(head))})

    def write_error(self, error: CeleriacError) -> HttpAnswer:
        return error_answer(error, self._status_of(error))


class _Tail:
    """The raw bytes after a request's JSON, given out in order."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._position = 0

    def take(self, size: int, field: str) -> memoryview:
        left = len(self._data) - self._position
        if size > left:
            raise InvalidInput.at(field, f"{size} bytes after the JSON", f"{left} bytes")
        self._position += size
        return self._data[self._position - size : self._position]

    def check_end(self) -> None:
        if self._position != len(self._data):
            raise InvalidInput.at(
                "binary_data_size", f"sizes that add up to {len(self._data)} bytes", str(self._position)
            )


def _parted(request: HttpRequest) -> tuple[bytes, _Tail]:
    text = request.headers.get(HEADER_LENGTH)
    if text is None:
        return request.body, _Tail(memoryview(b""))
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= len(request.body)):
        raise InvalidInput.at(
            HEADER_LENGTH, f"a number up to the body's {len(request.body)} bytes", text[:40]
        )
    return request.body[: int(text)], _Tail(memoryview(request.body)[int(text) :])


def _identifier(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise InvalidInput.at("id", "a string", describe(value))
    return value


def _parameters(value: object, field: str) -> dict[str, Any]:
    """Parameters by name. A null is none: MLServer's own types write what is not set as null."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput.at(field, "an object of strings, numbers and booleans", describe(value))
    for name, each in value.items():
        if not isinstance(each, str | int | float | bool | None):
            raise InvalidInput.at(f"{field}.{name[:40]}", "a string, a number or a boolean", describe(each))
    return {name: each for name, each in value.items() if each is not None}


def _timeout_s(parameters: Mapping[str, Any]) -> float | None:
    value = parameters.get(TIMEOUT)
    if value is None:
        return None
    if type(value) is not int or value <= 0:
        raise InvalidInput.at(
            f"parameters.{TIMEOUT}", "a whole number of microseconds above 0", describe(value)
        )
    return value / 1e6


def _of_numbers(version: ModelVersion, body: bytes) -> tuple[dict[str, Any], Tensors] | None:
    """The usual body, whose only input is nothing but numbers, and these; None: it is to be read step by step."""
    apart = set_apart(body, b"data") if len(version.manifest.inputs) == 1 else None
    if apart is None:
        return None
    (spec,) = version.manifest.inputs
    try:
        document = json_object(apart.document, "the request")
        (given,) = checked_objects(document.get("inputs"), "tensors", field="inputs")
        shape = checked_shape(given.get("shape"), field="shape")
        checked_items(shape, spec, field="shape")
    except (CeleriacError, ValueError):
        return None  # with places that are not the client's
    told = {"name": spec.name, "datatype": DATATYPE_OF[spec.dtype], "shape": [*shape], "data": MARK}
    if given != told:
        return None
    is_nested = apart.numbers.find(b"[", 1) > 0
    found = (
        items_in(apart.numbers, shape[1:], spec.dtype)
        if is_nested
        else flat_in(apart.numbers, shape, spec.dtype)
    )
    return None if found is None or found.shape != shape else (document, {spec.name: found})


def _inputs(version: ModelVersion, value: object, tail: _Tail) -> Inputs:
    given = checked_objects(value, "tensors", field="inputs")
    if not given:
        raise InvalidInput.at("inputs", "a list of tensors", "none")
    names = [each.get("name") for each in given]
    manifest = version.manifest
    columns = [feature.name for feature in manifest.features]
    declared = [spec.name for spec in manifest.inputs]
    if len(names) > 1 and sorted(map(str, names)) == sorted(columns):
        inputs: Inputs = {declared[0]: _columns(manifest, given, tail)}
    elif sorted(map(str, names)) == sorted(declared):
        inputs = _tensors(version, given, tail)
    else:
        expected = ", ".join(declared) + (f", or one for each of {', '.join(columns)}" if columns else "")
        raise InvalidInput.at("inputs", expected, ", ".join(str(name)[:40] for name in names[:20]))
    tail.check_end()
    return inputs


def _tensors(version: ModelVersion, given: Sequence[Mapping[str, Any]], tail: _Tail) -> Inputs:
    """The graph's own inputs, which may come in any order; their bytes stand in the order in which they come."""
    specs = {spec.name: spec for spec in version.manifest.inputs}
    read: dict[str, np.ndarray] = {}
    for place, each in enumerate(given):
        field = f"inputs[{place}] ({each['name']})"
        shape = checked_shape(each.get("shape"), field=f"{field}.shape")
        if each.get("datatype") == BYTES and version.task.inputs.takes_files:
            return _images(each, shape, tail, field)
        spec = specs[each["name"]]
        if each.get("datatype") != DATATYPE_OF[spec.dtype]:
            also = ", or BYTES for image files" if version.task.inputs.takes_files else ""
            raise InvalidInput.at(
                f"{field}.datatype", DATATYPE_OF[spec.dtype] + also, describe(each.get("datatype"))
            )
        checked_items(shape, spec, field=f"{field}.shape")
        read[spec.name] = _values(each, shape, numpy_dtype(spec.dtype), tail, field)
    counts = {name: len(each) for name, each in read.items()}
    if len(set(counts.values())) > 1:
        raise InvalidInput.at(
            "inputs", "one number of items", ", ".join(f"{name} {count}" for name, count in counts.items())
        )
    return {name: read[name] for name in specs}


def _columns(manifest: Manifest, given: Sequence[Mapping[str, Any]], tail: _Tail) -> np.ndarray:
    """A row's values as inputs of their own, each [items] or [items, 1], of any datatype of numbers."""
    by_name: dict[str, np.ndarray] = {}
    for place, each in enumerate(given):
        field = f"inputs[{place}] ({each['name']})"
        shape = checked_shape(each.get("shape"), field=f"{field}.shape")
        dtype = DATATYPES.get(str(each.get("datatype")), "bool")
        if dtype == "bool":
            raise InvalidInput.at(
                f"{field}.datatype", "one of numbers, such as FP32", describe(each.get("datatype"))
            )
        if len(shape) > 2 or shape[1:] not in {(), (1,)}:
            raise InvalidInput.at(f"{field}.shape", "[items] or [items, 1]", str(list(shape)))
        by_name[each["name"]] = _values(each, shape, np.dtype(dtype), tail, field).reshape(-1)
    counts = {len(column) for column in by_name.values()}
    if len(counts) > 1:
        raise InvalidInput.at("inputs", "columns of one length", ", ".join(map(str, sorted(counts))))
    rows = np.column_stack([by_name[feature.name] for feature in manifest.features])
    with np.errstate(over="ignore"):
        return finite(rows.astype(manifest.inputs[0].dtype), field="inputs")


def _values(
    given: Mapping[str, Any], shape: tuple[int, ...], kind: np.dtype[Any], tail: _Tail, field: str
) -> np.ndarray:
    size = _binary_size(given, field)
    if size is None:
        return tensor_of_json(given.get("data"), shape, kind, field=f"{field}.data")
    expected = math.prod(shape) * kind.itemsize
    if kind.kind != "O" and size != expected:
        raise InvalidInput.at(
            f"{field}.binary_data_size", f"{expected} for the shape {list(shape)}", str(size)
        )
    return tensor_of_bytes(tail.take(size, field), shape, kind, field=field)


def _binary_size(given: Mapping[str, Any], field: str) -> int | None:
    parameters = _tensor_parameters(given, field)
    size = parameters.get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise InvalidInput.at(f"{field}.binary_data_size", "a number of bytes", describe(size))
    if given.get("data") is not None:
        raise InvalidInput.at(field, "either data or binary_data_size", "both")
    return size


def _tensor_parameters(given: Mapping[str, Any], field: str) -> dict[str, Any]:
    """The parameters of an input or output. A region that nobody reads or writes would be taken for an answer."""
    parameters = _parameters(given.get("parameters"), f"{field}.parameters")
    if SHARED_MEMORY in parameters:
        raise InvalidInput.at(f"{field}.parameters", "no shared memory: this server has none", SHARED_MEMORY)
    return parameters


def _images(given: Mapping[str, Any], shape: tuple[int, ...], tail: _Tail, field: str) -> list[bytes]:
    if shape[1:] not in {(), (1,)}:
        raise InvalidInput.at(f"{field}.shape", "[items] or [items, 1] for image files", str(list(shape)))
    size = _binary_size(given, field)
    if size is None:
        return _images_of_json(given.get("data"), shape[0], field)
    images = elements_in(tail.take(size, field), field=f"{field}.data")
    if len(images) != shape[0]:
        raise InvalidInput.at(f"{field}.data", f"{shape[0]} image files", str(len(images)))
    return images


def _images_of_json(data: object, count: int, field: str) -> list[bytes]:
    """Image files in Base64: JSON has no strings of bytes."""
    if not isinstance(data, list) or len(data) != count:
        got = str(len(data)) if isinstance(data, list) else describe(data)
        raise InvalidInput.at(f"{field}.data", f"{count} image files in Base64", got)
    images: list[bytes] = []
    for place, text in enumerate(data):
        # Tensors of the shape [items, 1] may be nested.
        value = text[0] if isinstance(text, list) and len(text) == 1 else text
        images.append(image_of_base64(value, field=f"{field}.data[{place}]"))
    return images


def _outputs(task: Task, given: object, parameters: Mapping[str, Any]) -> tuple[Wanted, ...]:
    known = (*(spec.name for spec in task.manifest.outputs), *task.text_outputs)
    is_binary = _flag(parameters, "binary_data_output", "parameters", default=False)
    # As in Triton: who asks for none in particular gets all.
    if given is None or given == []:
        return tuple(Wanted(name, is_binary) for name in known)
    wanted: list[Wanted] = []
    for place, each in enumerate(checked_objects(given, "outputs", field="outputs")):
        field = f"outputs[{place}]"
        if each.get("name") not in known:
            raise InvalidInput.at(f"{field}.name", f"one of {', '.join(known)}", describe(each.get("name")))
        own = _tensor_parameters(each, field)
        is_own_binary = _flag(own, "binary_data", f"{field}.parameters", default=is_binary)
        wanted.append(Wanted(each["name"], is_own_binary, _classes(task, each["name"], own, field)))
    if len({each.name for each in wanted}) < len(wanted):
        raise InvalidInput.at("outputs", "each output once", ", ".join(each.name for each in wanted[:20]))
    return tuple(wanted)


def _flag(parameters: Mapping[str, Any], name: str, field: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InvalidInput.at(f"{field}.{name}", "true or false", describe(value))
    return value


def _classes(task: Task, output: str, parameters: Mapping[str, Any], field: str) -> int:
    """How many of the best labels an output shall have; 0: its numbers."""
    count = parameters.get(CLASSIFICATION)
    if count is None:
        return 0
    name = f"{field}.parameters.{CLASSIFICATION}"
    if output in task.text_outputs:
        raise InvalidInput.at(name, f"an output of numbers, {task.manifest.outputs[0].name}", output)
    if not task.choices:
        raise InvalidInput.at(name, f"nothing: {task.manifest.name} has no labels", describe(count))
    if type(count) is not int or count < 1:
        raise InvalidInput.at(name, "a number of labels above 0", describe(count))
    return min(count, len(task.choices))


def _output(task: Task, wanted: Wanted, outputs: Tensors) -> tuple[dict[str, Any], bytes]:
    """One output as JSON has it, and what of it stands after the JSON."""
    if wanted.name in task.text_outputs:
        texts = task.texts(outputs)[wanted.name]
        return _text_output(wanted, texts, [len(texts)])
    output = outputs[wanted.name]
    if wanted.classes:
        return _text_output(
            wanted, _ranked(task.choices, wanted.classes, output), [len(output), wanted.classes]
        )
    if output.dtype.kind == "O":
        return _text_output(wanted, output.reshape(-1).tolist(), list(output.shape))
    datatype = DATATYPE_OF[name_of(output.dtype)]
    described = {"name": wanted.name, "datatype": datatype, "shape": list(output.shape)}
    if wanted.is_binary:
        raw = output.tobytes()
        return described | {"parameters": {"binary_data_size": len(raw)}}, raw
    return described | {"data": np.ascontiguousarray(output).reshape(-1)}, b""


def _ranked(labels: Sequence[str], count: int, outputs: np.ndarray) -> list[str]:
    """The best labels of each item as Triton writes them: value, index and label."""
    best = (-outputs).argsort(axis=1, kind="stable")[:, :count]
    return [
        f"{row[index]:.6f}:{index}:{labels[index]}"
        for row, indexes in zip(outputs.tolist(), best.tolist(), strict=True)
        for index in indexes
    ]


def _text_output(wanted: Wanted, texts: list[str], shape: list[int]) -> tuple[dict[str, Any], bytes]:
    described: dict[str, Any] = {"name": wanted.name, "datatype": BYTES, "shape": shape}
    if not wanted.is_binary:
        return described | {"data": texts}, b""
    raw = elements_to_bytes(map(str.encode, texts))
    return described | {"parameters": {"binary_data_size": len(raw)}}, raw


def _outputs_of(reply: Reply) -> Tensors:
    if reply.outputs is None:
        raise CeleriacError("a reply without outputs is no answer")
    return reply.outputs
