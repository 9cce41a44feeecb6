from __future__ import annotations

import json
import struct

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


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int32", "int64"])
def test_a_tensor_arrives_as_it_was_sent(dtype: str) -> None:
    tensor = np.arange(24).reshape(2, 3, 4).astype(dtype)

    request = decode_request(encode_request(Request("m", "1", tensor, trace={"traceparent": "00-1"})))

    assert isinstance(request.inputs, np.ndarray)
    assert (request.inputs.dtype, request.inputs.tolist()) == (np.dtype(dtype), tensor.tolist())
    assert (request.model, request.version, request.trace) == ("m", "1", {"traceparent": "00-1"})


def test_a_tensor_that_does_not_lie_in_one_piece_arrives_all_the_same() -> None:
    tensor = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]

    assert np.array_equal(decode_request(encode_request(Request("m", "1", tensor, {}))).inputs, tensor)


def test_image_files_arrive_as_they_were_sent() -> None:
    images = [b"first", b"", b"\x00\xff third"]

    assert decode_request(encode_request(Request("m", "1", images, {}))).inputs == images


def test_a_reply_arrives_with_its_outputs_and_errors() -> None:
    fault = Fault("image", "an image file", "other bytes")
    reply = Reply(
        np.array([[0.25, 0.75], [0, 0]], dtype=np.float32),
        {1: InvalidInput("no image", (fault,), code="not_an_image")},
        None,
        1.5,
        "worker-1",
        model_ms=1.25,
    )

    arrived = decode_reply(encode_reply(reply))

    assert arrived.outputs is not None and arrived.outputs.tolist() == [[0.25, 0.75], [0, 0]]
    error = arrived.errors[1]
    assert isinstance(error, InvalidInput) and (error.code, error.faults) == ("not_an_image", (fault,))
    assert (arrived.error, arrived.run_ms, arrived.model_ms, arrived.worker) == (None, 1.5, 1.25, "worker-1")


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
    arrived = decode_reply(encode_reply(Reply(None, {}, error, 0.1, "w")))

    assert arrived.outputs is None and str(arrived.error) == str(error)
    if type(error) is not CeleriacError:
        assert (type(arrived.error), arrived.error and arrived.error.code) == (type(error), error.code)


def framed(header: object, payload: bytes = b"") -> bytes:
    head = json.dumps(header).encode()
    return struct.pack(">I", len(head)) + head + payload


HEADER = {"model": "m", "version": "1", "trace": {}}


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
        framed(HEADER | {"dtype": "object", "shape": [1]}, b"12345678"),
        framed(HEADER | {"dtype": "no such", "shape": [1]}),
        framed(HEADER | {"dtype": "float32", "shape": [2, 2]}, b"1234"),
        framed(HEADER | {"dtype": "float32", "shape": [1]}, b"123"),
        b"\x80\x04K\x01.",
    ],
)
def test_a_message_that_is_no_request_is_an_error_and_no_more(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_request(body)


@pytest.mark.parametrize(
    "body", [b"", framed([]), framed({}), framed({"ms": 1, "worker": "w", "shape": [4, 4]}, b"1234")]
)
def test_a_message_that_is_no_reply_is_an_error_and_no_more(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_reply(body)
