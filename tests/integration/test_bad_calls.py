"""Interactive calls that are wrong, hostile or odd, over HTTP: each gets its error, and nobody else is harmed."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import struct
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from PIL import Image

from testing.celeriac import Celeriac, celeriac
from testing.small_models import write_image_model, write_table_model

INFER, PREDICT = "/v2/models/table/infer", "/v1/models/table:predict"
PICTURE_INFER, PICTURE_PREDICT = "/v2/models/picture/infer", "/v1/models/picture:predict"
GOOD = b'{"instances": [[3, 1]]}'
LIMIT = 100_000


@pytest.fixture(scope="module", params=["embedded", "broker"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celeriac]:
    folder = tmp_path_factory.mktemp("bad")
    write_table_model(folder / "store")
    write_image_model(folder / "store")
    settings = {"MODEL_STORE": str(folder / "store"), "MAX_CALL_BYTES": str(LIMIT), "MAX_WAITING_ITEMS": "64"}
    if request.param == "broker":
        node = request.getfixturevalue("rabbitmq").start()
        node.add_vhost("bad-calls")
        settings["BROKER_URL"] = node.url("bad-calls")
    with celeriac(folder, **settings) as running:
        yield running
        assert "Traceback" not in running.log


@pytest.fixture(autouse=True)
def unharmed(service: Celeriac) -> Iterator[None]:
    """Whatever a test does, the next call is answered."""
    yield
    assert service.web.post(PREDICT, content=GOOD).json() == {"predictions": [[0.85, 0.15]]}


def check(answer: httpx.Response, status: int, message: str) -> None:
    """Whether an answer is an error in the form of both protocols."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert re.search(message, body["error"]) and set(body) == {"error", "code"}, body


def tensor(
    data: Any = None, *, name: str = "features", shape: Any = (2, 2), datatype: str = "FP32", **more: Any
) -> bytes:
    given = {"name": name, "shape": shape, "datatype": datatype} | more
    return json.dumps({"inputs": [given if data is None else given | {"data": data}]}).encode()


def png(side: int = 4) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (side, side)).save(buffer, "PNG")
    return buffer.getvalue()


BOMB = base64.b64encode(png(10_000)).decode()
BODIES = {
    "shape": (INFER, tensor([1, 2, 3], shape=[1, 3]), 400, r"\(features\).shape: expected \[items, 2\]"),
    "a shape of zeros": (INFER, tensor([], shape=[0, 2]), 400, r"shape: .* none below 1, got \[0, 2\]"),
    "a negative shape": (INFER, tensor([1, 2], shape=[-1, 2]), 400, r"shape: .* got \[-1, 2\]"),
    "a shape of 2^31": (INFER, tensor([1, 2], shape=[2**31, 2]), 413, r"shape: expected at most \d+ elements"),
    "a shape of 2^40 in one": (INFER, tensor([1, 2], shape=[1, 2**40]), 413, "shape: expected at most"),
    "a long shape": (INFER, tensor([1, 2], shape=[2**62] * 4000), 400, "shape: expected a list of 1 to 32"),
    "datatype": (INFER, tensor([1, 2, 3, 4], datatype="INT64"), 400, "datatype: expected FP32, got"),
    "name": (INFER, tensor([1, 2, 3, 4], name="x"), 400, "inputs: expected features, .* got x"),
    "no tensor": (INFER, b'{"inputs": []}', 400, "inputs: expected a list of tensors"),
    "data too short": (INFER, tensor([1, 2, 3]), 400, r"data: expected 4 numbers, .* got 3"),
    "data too long": (INFER, tensor([1, 2, 3, 4, 5]), 400, r"data: expected 4 numbers, .* got 5"),
    "data for files": (PICTURE_INFER, tensor([1], name="image", shape=[1], datatype="BYTES"), 400, "data.0.: "),
    "a timeout of zero": (
        INFER,
        tensor([1, 2, 3, 4])[:-1] + b', "parameters": {"timeout": 0}}',
        400,
        "parameters.timeout: expected a whole number of microseconds above 0, got 0",
    ),
    "a timeout in the past": (
        INFER,
        tensor([1, 2, 3, 4])[:-1] + b', "parameters": {"timeout": -1}}',
        400,
        "parameters.timeout: .* got -1",
    ),
    "a timeout of no time": (
        INFER,
        tensor([1, 2, 3, 4])[:-1] + b', "parameters": {"timeout": 1}}',
        504,
        "no answer in time",
    ),
    "rows of different lengths": (PREDICT, b'{"instances": [[1, 2], [1]]}', 400, "instances: .* different"),
    "text in rows": (PREDICT, b'{"instances": [[1, "2"]]}', 400, r"instances: expected 2 numbers, got \"2\""),
    "NaN in JSON": (PREDICT, b'{"instances": [[NaN, 1]]}', 400, r"not JSON: instances\[0\]\[0\]: .* got NaN"),
    "Infinity in JSON": (PREDICT, b'{"instances": [[Infinity, 1]]}', 400, r"instances\[0\]\[0\]: .* got Infinity"),
    "a number over all": (PREDICT, b'{"instances": [[1e999, 1]]}', 400, r"instances\[0\]\[0\]: .* got 1e999"),
    "a number over float32": (PREDICT, b'{"instances": [[1e39, 1]]}', 400, r"instances\[0, 0\]: .* got Infinity"),
    "a row on which the model fails": (PREDICT, b'{"instances": [[1, 1], [10, 1]]}', 422, "input 1: the model"),
    "no version": (f"{INFER[:-6]}/versions/9/infer", tensor([1, 2, 3, 4]), 404, "no version '9'; it has 1"),
    "no version in v1": (PREDICT.replace(":", "/versions/9:"), GOOD, 404, "has no version '9'; it has 1"),
    "no label": (PREDICT.replace(":", "/labels/nightly:"), GOOD, 404, "has no label 'nightly'; it has stable"),
    "no model": ("/v2/models/none/infer", GOOD, 404, "no model 'none'; known models: "),
    "no model but bytes": ("/v2/models/%ff%00/infer", GOOD, 404, "there is no model"),
    "a path in a name": ("/v2/models/..%2f..%2fetc/infer", GOOD, 400, "path: expected /v2/models/<model>"),
    "nothing": (PREDICT, b"", 400, "not JSON: .*empty"),
    "half": (PREDICT, GOOD[:-2], 400, "not JSON"),
    "more": (PREDICT, GOOD + b"}", 400, "not JSON: .*Extra data"),
    "no UTF-8": (PREDICT, b'{"instances": [["\xff\xfe", 1]]}', 400, "not JSON: .*UTF-8"),
    "half a surrogate": (PREDICT, b'{"instances": [["\\ud800", 1]]}', 400, "not JSON: .*surrogate"),
    "nested lists": (PREDICT, b'{"instances": ' + b"[" * 90_000, 400, "not JSON: too many brackets in each other"),
    "nested objects": (INFER, b'{"a": ' * 15_000, 400, "not JSON: too many brackets in each other"),
    "nested as deep as may be": (
        PREDICT,
        b'{"instances": ' + b"[" * 1000 + b"]" * 1000 + b"}",
        400,
        "instances: expected",
    ),
    "a text as long as may be": (
        PREDICT,
        json.dumps({"instances": [["a" * 50_000, 1], *[["b", 1]] * 4000]}).encode(),
        400,
        r"instances: expected 8002 numbers, got \"aaa",
    ),
    "more items than may wait": (PREDICT, b'{"instances": [' + b"[1, 1]," * 64 + b"[1, 1]]}", 413, "65 items are"),
    "a file that is none": (PICTURE_PREDICT, b'{"instances": [{"b64": "eA=="}]}', 400, "input 0: .*image file"),
    "no Base64": (PICTURE_PREDICT, b'{"instances": [{"b64": "%"}]}', 400, r"instances\[0\].b64: expected an"),
    "an image of too many pixels": (
        PICTURE_PREDICT,
        b'{"instances": [{"b64": "%s"}]}' % BOMB.encode(),
        413,
        "input 0: .*pixels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BODIES)
def test_a_bad_body_gets_an_error_that_names_the_field(service: Celeriac, case: str) -> None:
    path, body, status, message = BODIES[case]

    check(service.web.post(path, content=body), status, message)


def test_a_name_that_comes_twice_has_two_readings_and_is_refused(service: Celeriac) -> None:
    answer = service.web.post(PREDICT, content=b'{"instances": [[3, 1]], "instances": [[4, 1]]}')

    check(answer, 400, 'expected each name once in an object, got "instances" twice')


@pytest.mark.parametrize(
    ("size", "length", "raw", "message"),
    [
        (16, None, struct.pack("<3f", 1, 2, 3), "expected 16 bytes after the JSON, got 12 bytes"),
        (16, None, bytes(20), "expected sizes that add up to 20 bytes, got 16"),
        (12, None, bytes(12), r"binary_data_size: expected 16 for the shape \[2, 2\], got 12"),
        (-1, None, bytes(16), "binary_data_size: expected a number of bytes, got -1"),
        (2**63, None, bytes(16), "binary_data_size: expected 16"),
        (16, "999999", bytes(16), "inference-header-content-length: expected a number up to the body's"),
        (16, "-1", bytes(16), "inference-header-content-length: expected a number up to the body's"),
        (16, "7", bytes(16), "the request is not JSON"),
        (16, None, struct.pack("<4f", 1, float("nan"), 3, 4), r"\(features\)\[0, 1\]: .* got NaN"),
        (16, None, struct.pack("<4f", 1, 2, float("-inf"), 4), r"\(features\)\[1, 0\]: .* got -Infinity"),
    ],
)
def test_bytes_that_are_not_what_is_said_of_them_are_refused(
    service: Celeriac, size: int, length: str | None, raw: bytes, message: str
) -> None:
    head = tensor(parameters={"binary_data_size": size})
    headers = {"Inference-Header-Content-Length": length or str(len(head))}

    check(service.web.post(INFER, content=head + raw, headers=headers), 400, message)


@pytest.mark.parametrize("raw", [b"\x05\x00\x00\x00four", b"\xff\xff\xff\xff1234", b"\x01\x00", bytes(8)])
def test_files_whose_lengths_lie_are_refused(service: Celeriac, raw: bytes) -> None:
    head = tensor(name="image", shape=[1], datatype="BYTES", parameters={"binary_data_size": len(raw)})
    headers = {"Inference-Header-Content-Length": str(len(head))}

    check(
        service.web.post(PICTURE_INFER, content=head + raw, headers=headers), 400, r"\(image\).data: expected"
    )


COMPRESSED = {
    "a bomb of zlib": (
        zlib.compress(bytes(50 * 2**20)),
        "deflate",
        413,
        f"over the server's limit of {LIMIT} bytes",
    ),
    "a bomb of gzip": (gzip.compress(bytes(2**26)), "gzip", 413, "over the server's limit"),
    "cut off": (gzip.compress(GOOD)[:-5], "gzip", 400, "the body is not gzip: it is cut off"),
    "no gzip": (GOOD, "gzip", 400, "the body is not gzip: .*incorrect header"),
    "something after it": (gzip.compress(GOOD) + b"x", "gzip", 400, "1 bytes follow"),
    "unknown": (GOOD, "br", 415, "Content-Encoding: expected gzip or deflate, got br"),
    "twice": (gzip.compress(gzip.compress(GOOD)), "gzip, gzip", 415, "Content-Encoding: expected gzip or"),
}


@pytest.mark.parametrize("case", COMPRESSED)
def test_a_compressed_body_that_is_bad_is_refused(service: Celeriac, case: str) -> None:
    body, encoding, status, message = COMPRESSED[case]

    check(service.web.post(PREDICT, content=body, headers={"Content-Encoding": encoding}), status, message)


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", "gzip, identity", "deflate", "identity"])
def test_a_compressed_call_is_taken_whatever_its_header_looks_like(service: Celeriac, coding: str) -> None:
    marked = b"\xef\xbb\xbf" + GOOD
    several = gzip.compress(marked[:9]) + gzip.compress(marked[9:])
    body = {"deflate": zlib.compress(marked), "identity": marked}.get(coding, several)

    answer = service.web.post(PREDICT, content=body, headers={"Content-Encoding": coding})

    assert answer.json() == {"predictions": [[0.85, 0.15]]}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_method_is_told_which_one_to_take(service: Celeriac, method: str) -> None:
    answer = service.web.request(method, INFER)

    check(answer, 405, "method")
    assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize("timeout", ["0", "-1", "soon", "1.5", "9" * 5000])
def test_a_header_that_leaves_no_time_is_refused(service: Celeriac, timeout: str) -> None:
    answer = service.web.post(PREDICT, content=GOOD, headers={"X-Request-Timeout-Ms": timeout})

    check(answer, 400, "x-request-timeout-ms: expected a whole number of milliseconds above 0")


@pytest.mark.parametrize("path", ["/v1/models/none", "/v2/models/none", "/v2/nothing", "/v1/models/x/y/z"])
def test_errors_beside_inference_have_the_same_form(service: Celeriac, path: str) -> None:
    check(service.web.get(path), 404, "no")


def test_every_answer_repeats_the_requests_id(service: Celeriac) -> None:
    def id_of(path: str, **headers: str) -> str:
        return service.web.post(path, content=GOOD, headers=headers).headers["X-Request-Id"]

    bad = PREDICT.replace("table", "nowhere")
    assert id_of(PREDICT, **{"X-Request-Id": "a-1"}) == "a-1"
    assert id_of(bad, **{"X-Request-Id": "a-2"}) == "a-2"
    assert len({id_of(PREDICT), id_of(PREDICT), id_of(PREDICT, **{"X-Request-Id": "not fit"})}) == 3


def test_bad_calls_do_not_harm_those_that_travel_with_them(service: Celeriac) -> None:
    pictures = [base64.b64encode(png()).decode(), "eA==", BOMB]

    # A client for each thread: one that they share may close a connection of which another thread reads.
    own = threading.local()
    clients: list[httpx.Client] = []

    def connect() -> None:
        own.web = httpx.Client(base_url=service.url, timeout=60)
        clients.append(own.web)

    def ask(n: int) -> int:
        if n % 2:
            body: Any = {"instances": [[[n % 10, 1], [10, 1], [-99, 1]][n // 2 % 3]]}
            return int(own.web.post(PREDICT, json=body).status_code)
        body = {"instances": [{"b64": pictures[n // 2 % 3]}]}
        return int(own.web.post(PICTURE_PREDICT, json=body).status_code)

    with ThreadPoolExecutor(32, initializer=connect) as pool:
        codes = list(pool.map(ask, range(240)))
    for client in clients:
        client.close()

    expected = [[200, 422, 422][n // 2 % 3] if n % 2 else [200, 400, 413][n // 2 % 3] for n in range(240)]
    assert codes == expected
