from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import get_args

import numpy as np
import pytest

from production_server.broker.calls import (
    Reply,
    Request,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from production_server.errors import (
    BrokenVersion,
    CeleriacError,
    Fault,
    InferenceFailed,
    InvalidInput,
    NotFound,
)
from production_server.models.manifest import Dtype
from production_server.models.tensors import Tensors, only


def arrived(tensors: Tensors) -> Tensors:
    inputs = decode_request(encode_request(Request("m", "1", tensors, {}))).inputs
    assert isinstance(inputs, Mapping)
    return inputs


@pytest.mark.parametrize("dtype", [each for each in get_args(Dtype) if each != "string"])
def test_tensors_arrive_as_they_were_sent(dtype: str) -> None:
    tensor = np.arange(24).reshape(2, 3, 4).astype(dtype)
    texts = np.array([["", "a"], ["née", "x" * 300]], dtype=object)
    sent = {"first": tensor, "texts": texts, "last": np.array([1.5, 2], np.float16)}

    request = decode_request(encode_request(Request("m", "1", sent, trace={"traceparent": "00-1"})))

    assert isinstance(request.inputs, Mapping)
    assert list(request.inputs) == ["first", "texts", "last"]
    assert {name: (each.dtype, each.tolist()) for name, each in request.inputs.items()} == {
        name: (each.dtype, each.tolist()) for name, each in sent.items()
    }
    assert (request.model, request.version, request.trace) == ("m", "1", {"traceparent": "00-1"})


def test_a_tensor_that_does_not_lie_in_one_piece_arrives_all_the_same() -> None:
    tensor = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]

    assert np.array_equal(only(arrived({"x": tensor})), tensor)


def test_image_files_arrive_as_they_were_sent() -> None:
    images = [b"first", b"", b"\x00\xff third"]

    assert decode_request(encode_request(Request("m", "1", images, {}))).inputs == images


def test_a_reply_arrives_with_its_outputs_and_errors() -> None:
    fault = Fault("image", "an image file", "other bytes")
    reply = Reply(
        {"probabilities": np.array([[0.25, 0.75], [0, 0]], dtype=np.float32)},
        {1: InvalidInput("no image", (fault,), code="not_an_image")},
        None,
        1.5,
        "worker-1",
        model_ms=1.25,
    )

    told = decode_reply(encode_reply(reply))

    assert told.outputs is not None and only(told.outputs).tolist() == [[0.25, 0.75], [0, 0]]
    error = told.errors[1]
    assert isinstance(error, InvalidInput) and (error.code, error.faults) == ("not_an_image", (fault,))
    assert (told.error, told.run_ms, told.model_ms, told.worker) == (None, 1.5, 1.25, "worker-1")


@pytest.mark.parametrize(
    "error",
    [
        NotFound("no such version", code="version_not_found"),
        BrokenVersion("it does not load"),
        InferenceFailed("it fails"),
        CeleriacError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_all_arrives_with_its_text(error: CeleriacError) -> None:
    told = decode_reply(encode_reply(Reply(None, {}, error, 0.1, "w")))

    assert told.outputs is None and str(told.error) == str(error)
    if type(error) is not CeleriacError:
        assert (type(told.error), told.error and told.error.code) == (type(error), error.code)


def framed(header: object, payload: bytes = b"") -> bytes:
    head = json.dumps(header).encode()
    return struct.pack(">I", len(head)) + head + payload


HEADER = {"model": "m", "version": "1", "trace": {}}


def test_an_error_that_repeats_half_of_a_surrogate_pair_arrives_with_it() -> None:
    sent = Reply(None, {3: InvalidInput("no text: \ud800")}, None, 1.5, "w1")

    reply = decode_reply(encode_reply(sent))

    assert str(reply.errors[3]) == "no text: \ud800"


def test_a_request_that_is_never_too_late_arrives_as_one() -> None:
    sent = Request("table", "1", [b"image"], {})

    assert decode_request(encode_request(sent)) == sent


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\x00",
        b"\xff\xff\xff\xff{}",
        framed([]),
        framed({}),
        framed(HEADER),
        framed(HEADER | {"sizes": [3]}, b"four"),
        framed(HEADER | {"sizes": "x"}),
        framed(HEADER | {"tensors": [["x", "object", [1], 8]]}, b"12345678"),
        framed(HEADER | {"tensors": [["x", "no such", [1], 0]]}),
        framed(HEADER | {"tensors": [["x", "float32", [2, 2], 4]]}, b"1234"),
        framed(HEADER | {"tensors": [["x", "float32", [1], 3]]}, b"123"),
        framed(HEADER | {"tensors": [["x", "float32", [1], 4]]}, b"123"),
        framed(HEADER | {"tensors": [["x", "float32", [1], 4]]}, b"12345"),
        framed(HEADER | {"tensors": [["x", "float32", [1], -4]]}),
        framed(HEADER | {"tensors": [["x", "string", [1], 5]]}, b"\xff\xff\xff\xff1"),
        framed(HEADER | {"tensors": [["x", "string", [2], 4]]}, b"\0\0\0\0"),
        framed(HEADER | {"tensors": [["x", "float32"]]}),
        framed(HEADER | {"tensors": 7}),
        b"\x80\x04K\x01.",
    ],
)
def test_a_message_that_is_no_request_is_an_error_and_no_more(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_request(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        framed([]),
        framed({}),
        framed({"ms": 1, "worker": "w", "tensors": [["x", "float32", [4, 4], 4]]}, b"1234"),
    ],
)
def test_a_message_that_is_no_reply_is_an_error_and_no_more(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_reply(body)
