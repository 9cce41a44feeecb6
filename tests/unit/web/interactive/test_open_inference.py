from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from production_server.broker.calls import Reply
from production_server.errors import CeleriacError, InvalidInput, NotFound, Unavailable
from production_server.models.registry import Registry
from production_server.models.tensors import only
from production_server.web.edge.problems import status_of
from production_server.web.interactive.open_inference import OpenInference
from production_server.web.interactive.protocol import Ask, HttpRequest

TABLE, PICTURE = "/v2/models/table/infer", "/v2/models/picture/infer"


@pytest.fixture
def protocol(small_registry: Registry) -> OpenInference:
    return OpenInference(small_registry, status_of)


def read(
    protocol: OpenInference, body: Any, *, path: str = TABLE, tail: bytes | None = None, **headers: str
) -> Ask:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if tail is not None:
        named.setdefault("inference-header-content-length", str(len(data)))
        data += tail
    return protocol.read(HttpRequest("POST", path, named, data))


def tensor(
    data: Any = None, *, name: str = "features", shape: Any = (2, 2), datatype: str = "FP32", **more: Any
) -> Any:
    given = {"name": name, "shape": shape, "datatype": datatype} | more
    return {"inputs": [given if data is None else given | {"data": data}]}


def the_tensor(ask: Ask) -> np.ndarray:
    """The only input of a call for numbers."""
    assert isinstance(ask.inputs, Mapping)
    return only(ask.inputs)


def answer(protocol: OpenInference, ask: Ask, rows: Any) -> tuple[dict[str, Any], bytes]:
    reply = Reply({"probabilities": np.array(rows, dtype=np.float32)}, {}, None, 1.0, "w")
    written = protocol.write(ask, reply)
    length = int(written.headers.get("inference-header-content-length", len(written.body)))
    return json.loads(written.body[:length]), written.body[length:]


@pytest.mark.parametrize("data", [[1, 2, 3, 4.5], [[1, 2], [3, 4.5]]], ids=["flat", "nested"])
def test_a_tensor_in_json_may_be_flat_or_nested(protocol: OpenInference, data: Any) -> None:
    inputs = the_tensor(read(protocol, tensor(data)))

    assert inputs.dtype == np.float32
    assert inputs.tolist() == [[1, 2], [3, 4.5]]


def test_a_tensor_in_bytes_stands_after_the_json(protocol: OpenInference) -> None:
    raw = np.array([[1, 2], [3, 4]], dtype="<f4").tobytes()

    inputs = the_tensor(read(protocol, tensor(parameters={"binary_data_size": 16}), tail=raw))

    assert np.array_equal(inputs, [[1, 2], [3, 4]])


def test_a_row_may_come_as_one_input_for_each_column_in_any_order_and_datatype(
    protocol: OpenInference,
) -> None:
    body = {
        "inputs": [
            {"name": "weight", "shape": [3, 1], "datatype": "FP64", "data": [[0.5], [1.5], [2.5]]},
            {"name": "index", "shape": [3], "datatype": "INT64", "parameters": {"binary_data_size": 24}},
        ]
    }

    inputs = the_tensor(read(protocol, body, tail=np.array([7, 8, 9], dtype="<i8").tobytes()))

    assert np.array_equal(inputs, [[7, 0.5], [8, 1.5], [9, 2.5]])


def test_image_files_come_as_bytes_or_in_base64(protocol: OpenInference) -> None:
    files = [b"first", b"", b"third file"]
    raw = b"".join(struct.pack("<I", len(each)) + each for each in files)
    binary = tensor(name="image", shape=[3], datatype="BYTES", parameters={"binary_data_size": len(raw)})
    text = tensor(
        [base64.b64encode(each).decode() for each in files], name="image", shape=[3, 1], datatype="BYTES"
    )

    assert read(protocol, binary, path=PICTURE, tail=raw).inputs == files
    assert read(protocol, text, path=PICTURE).inputs == files


def test_a_version_may_be_named_and_the_timeout_is_in_microseconds(protocol: OpenInference) -> None:
    body = tensor([1, 2], shape=[1, 2]) | {"parameters": {"timeout": 1_500_000}}

    ask = read(protocol, body, path="/v2/models/table/versions/1/infer")

    assert (ask.version.key, ask.timeout_s) == (("table", "1"), 1.5)


def test_what_a_client_writes_as_null_is_absent(protocol: OpenInference) -> None:
    """MLServer's types write all that they know of a request, `headers` of its parameters among it."""
    nothing: dict[str, Any] = {"content_type": None, "headers": None}
    body = {
        "id": None,
        "parameters": nothing | {"timeout": None, "mine": 7},
        "inputs": [
            {
                "name": "features",
                "shape": [2, 2],
                "datatype": "FP32",
                "data": None,
                "parameters": nothing | {"content_type": "np", "binary_data_size": 16},
            }
        ],
        "outputs": [
            {"name": "probabilities", "shape": None, "datatype": None, "data": None, "parameters": nothing}
        ],
    }

    ask = read(protocol, body, tail=np.ones((2, 2), "<f4").tobytes())

    assert np.array_equal(the_tensor(ask), np.ones((2, 2)))
    assert ask.timeout_s is None
    assert answer(protocol, ask, [[1, 0], [0, 1]])[0]["parameters"] == {"mine": 7}


@pytest.mark.parametrize("value", [{}, {"a": "b"}, [1]])
def test_of_a_parameter_that_is_no_value_its_name_is_told(protocol: OpenInference, value: Any) -> None:
    with pytest.raises(
        InvalidInput, match=r"parameters.headers: expected a string, a number or a boolean, got"
    ):
        read(protocol, tensor([1, 2, 3, 4]) | {"parameters": {"headers": value}})


def test_an_answer_has_all_outputs_the_id_and_the_parameters(protocol: OpenInference) -> None:
    ask = read(protocol, tensor([1, 2, 3, 4]) | {"id": "42", "parameters": {"who": "me"}})

    body, tail = answer(protocol, ask, [[0.25, 0.75], [1, 0]])

    assert body == {
        "model_name": "table",
        "model_version": "1",
        "id": "42",
        "parameters": {"who": "me"},
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [2, 2], "data": [0.25, 0.75, 1, 0]},
            {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["yes", "no"]},
        ],
    }
    assert not tail


def test_only_wanted_outputs_are_written_each_as_it_is_wanted(protocol: OpenInference) -> None:
    wanted = [{"name": "label", "parameters": {"binary_data": True}}, {"name": "probabilities"}]
    ask = read(protocol, tensor([1, 2], shape=[1, 2]) | {"outputs": wanted})

    body, tail = answer(protocol, ask, [[0.25, 0.75]])

    assert body["outputs"] == [
        {"name": "label", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 7}},
        {"name": "probabilities", "datatype": "FP32", "shape": [1, 2], "data": [0.25, 0.75]},
    ]
    assert tail == b"\x03\x00\x00\x00yes"


def test_all_outputs_are_binary_where_the_request_says_so(protocol: OpenInference) -> None:
    body = tensor([1, 2], shape=[1, 2]) | {"parameters": {"binary_data_output": True}}

    described, tail = answer(protocol, read(protocol, body), [[0.25, 0.75]])

    assert [output["parameters"] for output in described["outputs"]] == [
        {"binary_data_size": 8}, {"binary_data_size": 7},
    ]  # fmt: skip
    assert tail == struct.pack("<2f", 0.25, 0.75) + b"\x03\x00\x00\x00yes"


def test_an_output_may_be_the_best_labels_instead_of_numbers(protocol: OpenInference) -> None:
    wanted = [{"name": "probabilities", "parameters": {"classification": 5}}]
    ask = read(protocol, tensor([1, 2, 3, 4]) | {"outputs": wanted})

    body, _ = answer(protocol, ask, [[0.25, 0.75], [1, 0]])

    assert body["outputs"] == [
        {
            "name": "probabilities",
            "datatype": "BYTES",
            "shape": [2, 2],
            "data": ["0.750000:1:yes", "0.250000:0:no", "1.000000:0:no", "0.000000:1:yes"],
        }
    ]


def test_the_best_labels_may_come_as_bytes(protocol: OpenInference) -> None:
    wanted = [{"name": "probabilities", "parameters": {"classification": 1, "binary_data": True}}]
    ask = read(protocol, tensor([1, 2], shape=[1, 2]) | {"outputs": wanted})

    body, tail = answer(protocol, ask, [[0.25, 0.75]])

    assert body["outputs"][0]["shape"] == [1, 1]
    assert tail == struct.pack("<I", 14) + b"0.750000:1:yes"


def outputs(**parameters: Any) -> Any:
    return tensor([1, 2, 3, 4]) | {"outputs": [{"name": "probabilities", "parameters": parameters}]}


BAD = {
    "no JSON": (b"{", "the request is not JSON"),
    "no object": ([], "the request: expected a JSON object, got a list of 0"),
    "deep": (b"[" * 100_000, "the request is not JSON"),
    "no inputs": ({}, "inputs: expected a list of tensors, got null"),
    "no tensors": ({"inputs": [1]}, r"inputs\[0\]: expected an object, got 1"),
    "another name": (
        tensor([1, 2, 3, 4], name="x"),
        "inputs: expected features, or one for each of index, weight, got x",
    ),
    "a column too few": (
        {"inputs": [{"name": "index", "shape": [1], "datatype": "FP32", "data": [1]}]},
        "inputs: expected features",
    ),
    "twice": ({"inputs": tensor([1, 2])["inputs"] * 2}, "inputs: expected features"),
    "another datatype": (tensor([1, 2, 3, 4], datatype="FP64"), r"datatype: expected FP32, got \"FP64\""),
    "files for a table": (tensor(["eA=="], shape=[1], datatype="BYTES"), "datatype: expected FP32"),
    "no datatype": (
        {"inputs": [{"name": "features", "shape": [1, 2], "data": [1, 2]}]},
        "datatype: expected FP32, got null",
    ),
    "no shape": (
        {"inputs": [{"name": "features", "datatype": "FP32", "data": [1, 2]}]},
        "shape: expected a list of 1 to 32 whole numbers",
    ),
    "a shape of text": (tensor([1], shape="12"), "shape: expected a list of 1 to 32 whole numbers"),
    "a shape with a zero": (tensor([], shape=[0, 2]), r"shape: expected .* none below 1, got \[0, 2\]"),
    "a negative shape": (tensor([1, 2], shape=[-1, 2]), r"shape: .* got \[-1, 2\]"),
    "a shape of halves": (tensor([1, 2], shape=[1.0, 2]), "shape: expected a list of 1 to 32 whole numbers"),
    "a shape of booleans": (
        tensor([1, 2], shape=[True, 2]),
        "shape: expected a list of 1 to 32 whole numbers",
    ),
    "an enormous shape": (tensor([1], shape=[2**31, 2]), "shape: expected at most .* elements"),
    "many dimensions": (tensor([1], shape=[1] * 1000), "shape: expected"),
    # the product of so many would take seconds, in which the event loop answers nobody
    "many large dimensions": (tensor([1], shape=[2**62] * 25_000), "shape: expected a list of 1 to 32"),
    "a long text among short ones": (
        tensor(["a" * 20_000, *["b"] * 19_999], shape=[10_000, 2]),
        r"data: expected 20000 numbers, got \"aaa",
    ),
    "deep data": (
        b'{"inputs": [{"name": "features", "shape": [1, 2], "datatype": "FP32", "data": '
        + b"[" * 900
        + b"1"
        + b"]" * 900
        + b"}]}",
        "data: expected 2 numbers, flat or of the shape",
    ),
    "an object in the data": (tensor([1, {"a": 1}, 3, 4]), "data: expected 4 numbers, got an object"),
    "objects for lists": (tensor([{"a": 1, "b": 2}, [3, 4]]), "data: expected"),
    "nothing": (tensor([]), "data: expected 4 numbers, .* got 0"),
    "empty lists": (tensor([[], []]), "data: expected 4 numbers, .* got 0 of the shape"),
    "data and bytes": (
        tensor([1, 2, 3, 4], parameters={"binary_data_size": 16}),
        "expected either data or binary_data_size, got both",
    ),
    "another shape": (tensor([1, 2, 3], shape=[1, 3]), r"shape: expected \[items, 2\], got \[1, 3\]"),
    "too little data": (tensor([1, 2, 3]), r"data: expected 4 numbers, flat or of the shape \[2, 2\], got 3"),
    "too much data": (tensor([1, 2, 3, 4, 5]), "data: expected 4 numbers.* got 5"),
    "another nesting": (tensor([[1, 2, 3, 4]]), r"got 4 of the shape \[1, 4\]"),
    "ragged data": (
        tensor([[1, 2], [3]]),
        r"data: expected 4 numbers, .* got lists of different lengths",
    ),
    "text": (tensor([1, "2", 3, 4]), r"data: expected 4 numbers, got \"2\""),
    "nothing in a list": (tensor([1, None, 3, 4]), "data: expected 4 numbers, got null"),
    "booleans": (tensor([True, False, True, True]), "data: expected 4 numbers, got true"),
    "no list": (tensor(7), "data: expected a list of 4 numbers, got 7"),
    "too large a number": (tensor([1, 2, 1e39, 4]), r"data\[1, 0\]: expected a finite number, got Infinity"),
    "NaN": (
        b'{"inputs": [{"name": "features", "shape": [1, 2], "datatype": "FP32", "data": [NaN, 1]}]}',
        "not JSON",
    ),
    "an id of numbers": (tensor([1, 2, 3, 4]) | {"id": 7}, "id: expected a string, got 7"),
    "parameters of lists": (
        tensor([1, 2, 3, 4]) | {"parameters": {"a": []}},
        "parameters.a: expected a string, a number or a boolean, got a list of 0",
    ),
    "a timeout of zero": (
        tensor([1, 2, 3, 4]) | {"parameters": {"timeout": 0}},
        "parameters.timeout: expected .* above 0, got 0",
    ),
    "a timeout in the past": (
        tensor([1, 2, 3, 4]) | {"parameters": {"timeout": -5}},
        "parameters.timeout: .* got -5",
    ),
    "an unknown output": (
        tensor([1, 2, 3, 4]) | {"outputs": [{"name": "x"}]},
        r"outputs\[0\].name: expected one of probabilities, label",
    ),
    "an output twice": (
        tensor([1, 2, 3, 4]) | {"outputs": [{"name": "label"}, {"name": "label"}]},
        "outputs: expected each output once, got label, label",
    ),
    "no best labels": (
        outputs(classification=0),
        r"outputs\[0\].parameters.classification: expected a number of labels above 0, got 0",
    ),
    "best labels of text": (outputs(classification="3"), r"classification: expected a number .* got \"3\""),
    "best labels of a label": (
        tensor([1, 2, 3, 4]) | {"outputs": [{"name": "label", "parameters": {"classification": 1}}]},
        "classification: expected an output of numbers, probabilities, got label",
    ),
    "an output in shared memory": (
        outputs(shared_memory_region="r", shared_memory_byte_size=8),
        r"outputs\[0\].parameters: expected no shared memory",
    ),
    "an input in shared memory": (
        tensor(parameters={"shared_memory_region": "r", "shared_memory_byte_size": 16}),
        r"inputs\[0\] \(features\).parameters: expected no shared memory",
    ),
    "binary neither true nor false": (
        outputs(binary_data=1),
        r"outputs\[0\].parameters.binary_data: expected true or false, got 1",
    ),
    "outputs of text": (
        tensor([1, 2, 3, 4]) | {"outputs": ["label"]},
        r"outputs\[0\]: expected an object, got .label",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_is_refused_and_the_field_is_named(protocol: OpenInference, case: str) -> None:
    body, message = BAD[case]

    with pytest.raises(InvalidInput, match=message) as caught:
        read(protocol, body)

    error = protocol.write_error(caught.value)
    assert error.status in {400, 413} and json.loads(error.body)["error"] == str(caught.value)


BAD_BINARY = {
    "a size that lies": ({"binary_data_size": 12}, b"1" * 16, "binary_data_size: expected 16 for the shape"),
    "a negative size": (
        {"binary_data_size": -1},
        b"",
        "binary_data_size: expected a number of bytes, got -1",
    ),
    "a size of text": ({"binary_data_size": "16"}, b"1" * 16, "binary_data_size: expected a number of bytes"),
    "bytes missing": ({"binary_data_size": 16}, b"1" * 15, "expected 16 bytes after the JSON, got 15 bytes"),
    "bytes too many": ({"binary_data_size": 16}, b"1" * 17, "expected sizes that add up to 17 bytes, got 16"),
    "NaN": (
        {"binary_data_size": 16},
        struct.pack("<4f", 1, 2, float("nan"), 4),
        r"\[1, 0\]: expected a finite number, got NaN",
    ),
}


@pytest.mark.parametrize("case", BAD_BINARY)
def test_bad_bytes_are_refused_and_the_field_is_named(protocol: OpenInference, case: str) -> None:
    parameters, tail, message = BAD_BINARY[case]

    with pytest.raises(InvalidInput, match=message):
        read(protocol, tensor(parameters=parameters), tail=tail)


@pytest.mark.parametrize("length", ["-1", "99999", "x", "", "9" * 5000])
def test_a_length_of_the_json_that_lies_is_refused(protocol: OpenInference, length: str) -> None:
    with pytest.raises(InvalidInput, match="inference-header-content-length: expected a number up to"):
        read(protocol, tensor([1, 2, 3, 4]), tail=b"", inference_header_content_length=length)


@pytest.mark.parametrize("raw", [b"\x05\x00\x00\x00four", b"\x01\x00", b"\xff\xff\xff\xff1234"])
def test_files_whose_lengths_lie_are_refused(protocol: OpenInference, raw: bytes) -> None:
    body = tensor(name="image", shape=[1], datatype="BYTES", parameters={"binary_data_size": len(raw)})

    with pytest.raises(InvalidInput, match="expected elements of the lengths that they have"):
        read(protocol, body, path=PICTURE, tail=raw)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/models/none/infer", "model_not_found"),
        ("/v2/models/table/versions/9/infer", "version_not_found"),
        ("/v2/models/..%2f..%2fetc/infer", "model_not_found"),
    ],
)
def test_what_is_not_there_is_named(protocol: OpenInference, path: str, code: str) -> None:
    with pytest.raises(NotFound) as caught:
        read(protocol, tensor([1, 2, 3, 4]), path=path)

    assert (caught.value.code, protocol.write_error(caught.value).status) == (code, 404)


def test_an_error_says_when_to_come_back_only_if_that_helps(protocol: OpenInference) -> None:
    busy = protocol.write_error(Unavailable("too many calls are waiting", code="overloaded"))
    bug = protocol.write_error(CeleriacError("a bug"))

    assert (busy.status, busy.headers["retry-after"], json.loads(busy.body)["code"]) == (
        503,
        "1",
        "overloaded",
    )
    assert (bug.status, bug.headers) == (500, {})
