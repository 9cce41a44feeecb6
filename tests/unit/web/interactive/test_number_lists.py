"""The short reading of a call's numbers: the same tensors, or the same refusal, as the reading step by step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from production_server.errors import CeleriacError, InvalidInput
from production_server.models.registry import Registry
from production_server.web.edge.problems import status_of
from production_server.web.interactive import open_inference, tensorflow_serving
from production_server.web.interactive.number_lists import LONGEST_BYTES, MARK, flat_in, items_in, set_apart
from production_server.web.interactive.open_inference import OpenInference
from production_server.web.interactive.protocol import Ask, HttpRequest, InferenceProtocol
from production_server.web.interactive.tensorflow_serving import TensorFlowServing

ROWS, PIXELS = [[3, 7.5], [0, -1e-3]], np.arange(32).reshape(2, 4, 4, 1).tolist()
TABLE = {"name": "features", "shape": [2, 2], "datatype": "FP32", "data": ROWS}
USUAL = [
    b'{"instances": [[3, 7.5], [0, -1E-3]]}',
    b'{"instances":[[3,7.5]]}\n',
    b'{ "signature_name": "serving_default",\n\t"instances" : [ [3, 7.5 ] ] }',
    b'{"inputs":[[3,7.5],[1,2]]}',
    json.dumps({"instances": PIXELS}).encode(),
    json.dumps({"inputs": [TABLE]}).encode(),
    json.dumps({"id": "a", "inputs": [TABLE | {"data": [3, 7.5, 0, -1e-3]}], "outputs": []}).encode(),
    json.dumps({"inputs": [dict(reversed(TABLE.items()))], "parameters": {"timeout": 5}}, indent=1).encode(),
]
ODD_VALUES = [
    "null", "true", '"3"', "NaN", "-Infinity", "-0", "-0.0", "1e999", "1e39", "-1e-400", "5e-324",
    "9007199254740993", "9223372036854775808", "18446744073709551616", "123456789012345678901234567890",
    "3.4028235677973366e38", "1.00000017881393421514957253748434595763683319091796875",
    "01", "+1", "1.", ".5", "1e", "--1", "0x1", "1_0", "1 2", "", " ", "\u0661", "\ufeff", "/* */ 1",
    "[]", "[1]", "{}", '{"b64": "YQ=="}', '"data"', '{"data": [1]}',
]  # fmt: skip
NUMBERS = some.one_of(
    some.floats(allow_nan=False, allow_infinity=False).map(repr),
    some.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    some.integers(-(2**70), 2**70).map(str),
    some.integers(-300, 300).map(str),
)
MORE = ["", "", ', "data": [9, 9]', ', "parameters": {}', ', "d\\u0061ta": [1]', f', "x": {json.dumps(MARK)}']
SPACES = some.sampled_from(["", "", " ", "\n", "\t ", "\f"])


@some.composite
def lists(draw: some.DrawFn, shape: tuple[int, ...], leaves: some.SearchStrategy[str]) -> str:
    """Values nested nearly as a shape says."""
    if not shape:
        return draw(leaves)
    size = shape[0] + (draw(some.sampled_from([-1, 1])) if draw(some.integers(0, 30)) == 0 else 0)
    values = [draw(lists(shape[1:], leaves)) for _ in range(size)]
    return f"[{draw(SPACES)}{f',{draw(SPACES)}'.join(values)}{draw(SPACES)}]"


@some.composite
def bodies(draw: some.DrawFn) -> bytes:
    """Bodies of calls as clients write them, and others that are nearly the same."""
    shape = draw(some.sampled_from([(1, 2), (3, 2), (1, 4, 4, 1), (2,), (1, 1), (0, 2)]))
    leaves = draw(some.sampled_from([NUMBERS, NUMBERS, NUMBERS | some.sampled_from(ODD_VALUES)]))
    text = draw(lists(draw(some.sampled_from([shape, shape, (int(np.prod(shape)),)])), leaves))
    name = "image" if len(shape) > 2 else "features"
    numbers = f'"datatype": "FP32", "shape": {[*shape]}, "data": {text}'
    more = draw(some.sampled_from(MORE))
    body = draw(
        some.sampled_from(
            [
                f'{{"instances": {text}}}',
                f'{{"instances": {text}{more}}}',
                f'{{"inputs": {text}, "signature_name": "serving_default"}}',
                f'{{"instances": {text}, "instances": [[1, 2]]}}',
                f'{{"inputs": [{{"name": "{name}", {numbers}}}]}}',
                f'{{"inputs": [{{"name": "{name}", {numbers}{more}}}], "id": "é"}}',
                f'{{"inputs": [{{{numbers}, "name": "data"}}], "id": 1}}',
                f'{{"inputs": [{{"name": "{name}", {numbers}}}], "outputs": [{{"name": "data"}}]}}',
            ]
        )
    ).encode()
    if draw(some.integers(0, 3)):
        return body
    place, byte = draw(some.integers(0, len(body))), draw(some.sampled_from(list(b'[]{},:"\\ 1e-\xff\x00')))
    return (
        body[:place] + bytes([byte]) * draw(some.integers(0, 2)) + body[place + draw(some.integers(0, 2)) :]
    )


def outcome(protocol: InferenceProtocol, path: str, body: bytes) -> Any:
    """All that can be told of what a body was read to."""
    try:
        ask = protocol.read(HttpRequest("POST", path, {}, body))
    except CeleriacError as exc:
        return type(exc), exc.code, str(exc), exc.faults if isinstance(exc, InvalidInput) else ()
    return ask.version.key, ask.timeout_s, ask.details, tensors_of(ask)


def tensors_of(ask: Ask) -> Any:
    if not isinstance(ask.inputs, dict):
        return ask.inputs
    return {name: (str(each.dtype), each.shape, each.tobytes()) for name, each in ask.inputs.items()}


@pytest.fixture(scope="module")
def registry(small_models: Path) -> Registry:
    return Registry([small_models])


@given(bodies())
@example(b'{"instances": [[1, 2]}')
@example(b'{"instances": [1[,2]]}')
@example(b'{"instances": [[1, 2]], "instances": [[1, 2]]}')
@example(b'\xef\xbb\xbf{"instances": [[1, 2]]}')
@example('{"instances": [[1, 2]]}'.encode("utf-16"))
@example(b'{"instances": ' + b"[" * 3000 + b"]" * 3000 + b"}")
@example(
    b'{"inputs": [{"name": "features", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}], "x": "\xff"}'
)
@example(b'{"inputs": [{"name": "features", "shape": [1, 2], "datatype": "FP32", "x\\"data": [1, 2]}]}')
@example(
    b'{"inputs": [{"shape": [1, 2], "datatype": "FP32", "data": [1, 2], "name": "features", "name": 1}]}'
)
def test_a_short_reading_says_what_the_long_one_says(registry: Registry, body: bytes) -> None:
    asked: list[tuple[InferenceProtocol, str]] = [
        (TensorFlowServing(registry, status_of), "/v1/models/table:predict"),
        (TensorFlowServing(registry, status_of), "/v1/models/picture:predict"),
        (OpenInference(registry, status_of), "/v2/models/table/infer"),
        (OpenInference(registry, status_of), "/v2/models/picture/infer"),
    ]
    for protocol, path in asked:
        short = outcome(protocol, path, body)
        with pytest.MonkeyPatch.context() as patch:
            for module in (tensorflow_serving, open_inference):
                patch.setattr(module, "set_apart", lambda *_: None)
            long = outcome(protocol, path, body)
        assert short == long


@pytest.mark.parametrize("body", USUAL)
def test_what_clients_send_is_read_the_short_way(
    registry: Registry, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = "picture" if b"[[[[" in body else "table"

    def never(*_: object) -> None:
        raise AssertionError("it is read step by step")

    monkeypatch.setattr(tensorflow_serving, "_predict", never)
    monkeypatch.setattr(open_inference, "_inputs", never)
    is_v2 = b'"datatype"' in body
    protocol: InferenceProtocol = (OpenInference if is_v2 else TensorFlowServing)(registry, status_of)
    path = f"/v2/models/{model}/infer" if is_v2 else f"/v1/models/{model}:predict"

    ask = protocol.read(HttpRequest("POST", path, {}, body))

    assert isinstance(ask.inputs, dict)
    assert [each.dtype for each in ask.inputs.values()] == [np.float32]


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": [1]' + b" " * LONGEST_BYTES + b"}",
        b'{"data": [1], "data": [1]}',
        b'{"data": [1], "\\u0061": 1}',
        b'{"data": 1}',
        b'{"data" [1]}',
        b'{"data": [1',
        b"{}",
    ],
)
def test_what_may_have_two_readings_is_left_alone(body: bytes) -> None:
    assert set_apart(body, b"data") is None


def test_numbers_that_no_array_of_the_kind_holds_are_left_alone() -> None:
    assert items_in(b"[[1e39]]", (1,), "float32") is None
    assert items_in(b"[[1e39]]", (1,), "float64") is not None
    assert items_in(b"[[1]]", (1,), "int64") is None
    assert items_in(b"[[1]]", (None,), "float32") is None
    assert items_in(b"[1]", (), "float32") is None
    assert flat_in(b"[1,2]", (2**20, 2**20), "float32") is None
