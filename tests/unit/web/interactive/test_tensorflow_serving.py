from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from production_server.broker.calls import Reply
from production_server.errors import InvalidInput, NotFound
from production_server.models.registry import Registry
from production_server.models.tensors import only
from production_server.web.edge.problems import status_of
from production_server.web.interactive.protocol import Ask, HttpRequest
from production_server.web.interactive.tensorflow_serving import TensorFlowServing

TABLE, PICTURE = "/v1/models/table", "/v1/models/picture"
FILES = [b"first", b"second"]
B64 = [{"b64": base64.b64encode(each).decode()} for each in FILES]
PIXELS = np.arange(32, dtype=np.float32).reshape(2, 4, 4, 1)


@pytest.fixture
def protocol(small_registry: Registry) -> TensorFlowServing:
    return TensorFlowServing(small_registry, status_of)


def read(protocol: TensorFlowServing, body: Any, path: str = f"{TABLE}:predict") -> Ask:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return protocol.read(HttpRequest("POST", path, {}, data))


def the_tensor(ask: Ask) -> np.ndarray:
    """The only input of a call for numbers."""
    assert isinstance(ask.inputs, Mapping)
    return only(ask.inputs)


def answer(protocol: TensorFlowServing, ask: Ask, rows: Any) -> Any:
    return json.loads(
        protocol.write(
            ask, Reply({"probabilities": np.array(rows, dtype=np.float32)}, {}, None, 1.0, "w")
        ).body
    )


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({"instances": [[1, 2], [3, 4]]}, "predictions"),
        ({"instances": [{"features": [1, 2]}, {"features": [3, 4]}]}, "predictions"),
        ({"instances": [{"index": 1, "weight": 2}, {"weight": 4, "index": 3}]}, "predictions"),
        ({"signature_name": "serving_default", "instances": [[1, 2], [3, 4]]}, "predictions"),
        ({"inputs": [[1, 2], [3, 4]]}, "outputs"),
        ({"inputs": {"features": [[1, 2], [3, 4]]}}, "outputs"),
        ({"inputs": {"index": [1, 3], "weight": [2, 4]}}, "outputs"),
    ],
)
def test_rows_of_numbers_come_in_rows_or_columns(protocol: TensorFlowServing, body: Any, member: str) -> None:
    ask = read(protocol, body)

    assert the_tensor(ask).dtype == np.float32
    assert the_tensor(ask).tolist() == [[1, 2], [3, 4]]
    assert answer(protocol, ask, [[0.25, 0.75], [1, 0]]) == {member: [[0.25, 0.75], [1, 0]]}


@pytest.mark.parametrize(
    "body",
    [
        {"instances": B64},
        {"instances": [{"image": each} for each in B64]},
        {"instances": [{"image_bytes": each} for each in B64]},
        {"inputs": B64},
        {"inputs": {"image_bytes": B64}},
        {"inputs": {"image": B64}},
    ],
)
def test_image_files_come_in_base64(protocol: TensorFlowServing, body: Any) -> None:
    assert read(protocol, body, f"{PICTURE}:predict").inputs == FILES


@pytest.mark.parametrize(
    "body",
    [
        {"instances": PIXELS.tolist()},
        {"instances": [{"image": each} for each in PIXELS.tolist()]},
        {"inputs": {"image": PIXELS.tolist()}},
    ],
)
def test_tensors_of_pixels_come_nested(protocol: TensorFlowServing, body: Any) -> None:
    assert np.array_equal(the_tensor(read(protocol, body, f"{PICTURE}:predict")), PIXELS)


def test_classes_come_with_their_scores(protocol: TensorFlowServing) -> None:
    body = {"context": {"weight": 7}, "examples": [{"index": 1}, {"index": [2]}]}

    ask = read(protocol, body, f"{TABLE}:classify")

    assert np.array_equal(the_tensor(ask), [[1, 7], [2, 7]])
    assert answer(protocol, ask, [[0.25, 0.75], [1, 0]]) == {
        "results": [[["no", 0.25], ["yes", 0.75]], [["no", 1], ["yes", 0]]]
    }


def test_scores_of_classes_have_the_digits_of_predictions(protocol: TensorFlowServing) -> None:
    ask = read(protocol, {"examples": [{"index": 1, "weight": 7}]}, f"{TABLE}:classify")
    predict = read(protocol, {"instances": [[1, 7]]}, f"{TABLE}:predict")

    (scored,) = answer(protocol, ask, [[0.1, 0.9]])["results"]

    assert (
        [score for _, score in scored]
        == answer(protocol, predict, [[0.1, 0.9]])["predictions"][0]
        == [0.1, 0.9]
    )


def test_what_a_client_writes_as_null_is_absent(protocol: TensorFlowServing) -> None:
    body = {"signature_name": None, "instances": [[1, 7]], "inputs": None}

    assert np.array_equal(the_tensor(read(protocol, body, f"{TABLE}:predict")), [[1, 7]])


@pytest.mark.parametrize("path", [f"{TABLE}/versions/1:predict", f"{TABLE}/labels/stable:predict"])
def test_a_version_may_be_named_by_its_number_or_its_label(protocol: TensorFlowServing, path: str) -> None:
    assert read(protocol, {"instances": [[1, 2]]}, path).version.key == ("table", "1")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/models/none:predict", "model_not_found"),
        (f"{TABLE}/versions/9:predict", "version_not_found"),
        (f"{TABLE}/versions/x:predict", "version_not_found"),
        (f"{TABLE}/labels/nightly:predict", "version_not_found"),
        (f"{TABLE}:explain", "not_found"),
        (TABLE, "not_found"),
    ],
)
def test_what_is_not_there_is_named(protocol: TensorFlowServing, path: str, code: str) -> None:
    with pytest.raises(NotFound) as caught:
        read(protocol, {"instances": [[1, 2]]}, path)

    error = protocol.write_error(caught.value)
    assert (caught.value.code, error.status) == (code, 404)
    assert json.loads(error.body)["error"] == str(caught.value)


BAD = {
    "no JSON": (b"{", "the request is not JSON"),
    "neither": ({}, "expected either instances or inputs, got neither"),
    "both": ({"instances": [[1, 2]], "inputs": [[1, 2]]}, "expected either instances or inputs, got both"),
    "another signature": (
        {"signature_name": "x", "instances": [[1, 2]]},
        "signature_name: expected serving_default",
    ),
    "no list": ({"instances": 5}, "instances: expected a list of at least one, got 5"),
    "an empty list": ({"instances": []}, "instances: expected a list of at least one"),
    "too few numbers": (
        {"instances": [[1]]},
        r"instances: expected 2 numbers of the shape \[1, 2\], got 1 of the shape",
    ),
    "one dimension": (
        {"instances": [1, 2]},
        r"instances\[0\]: expected a list of 2 numbers \(a single one: \[\[…\]\]\), got 1",
    ),
    "ragged": ({"instances": [[1, 2], [3]]}, "got lists of different lengths"),
    "text": ({"instances": [["a", 2]]}, r"instances: expected 2 numbers, got \"a\""),
    "a name missing": (
        {"instances": [{"index": 1}]},
        r"instances\[0\]: expected an object with features, or all of index, weight",
    ),
    "a name too many": (
        {"instances": [{"index": 1, "weight": 2, "x": 3}]},
        r"instances\[0\]: expected an object with",
    ),
    "a file for a table": (
        {"instances": [{"b64": "eA=="}]},
        r"instances\[0\]: expected an object with features",
    ),
    "columns of two lengths": (
        {"inputs": {"index": [1, 2], "weight": [1]}},
        "inputs: expected lists of one length",
    ),
    "a column of one number": (
        {"inputs": {"index": 1, "weight": [1]}},
        "inputs: expected lists of one length",
    ),
    # 40 kB of which numpy would make a table of text of 1.6 GB
    "one long text among numbers": ({"instances": [["a" * 20_000], *[[1]] * 20_000]}, "instances: expected"),
    "a long text among short ones": (
        {"instances": [["a" * 20_000, "b"], *[["b", "b"]] * 10_000]},
        r"instances: expected 20002 numbers, got \"aaa",
    ),
    "too large a number": (
        {"instances": [[1, 1e39]]},
        r"instances\[0, 1\]: expected a finite number, got Infinity",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_is_refused_and_the_field_is_named(protocol: TensorFlowServing, case: str) -> None:
    body, message = BAD[case]

    with pytest.raises(InvalidInput, match=message) as caught:
        read(protocol, body)

    assert protocol.write_error(caught.value).status == 400


BAD_IMAGES = {
    "no Base64": ({"instances": [{"b64": "%"}]}, r"instances\[0\].b64: expected an image file in Base64"),
    "a number": (
        {"instances": [{"image": {"b64": 7}}]},
        r"instances\[0\].image.b64: expected an image file in Base64 .*, got 7",
    ),
    "files and pixels": (
        {"instances": [B64[0], [[1]]]},
        "instances: expected either image files or pixels, got both",
    ),
    "another name": (
        {"instances": [{"picture": B64[0]}]},
        r"instances\[0\]: expected an object with image or image_bytes, got picture",
    ),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_a_bad_image_is_refused_and_the_field_is_named(protocol: TensorFlowServing, case: str) -> None:
    body, message = BAD_IMAGES[case]

    with pytest.raises(InvalidInput, match=message):
        read(protocol, body, f"{PICTURE}:predict")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "examples: expected a list of objects"),
        ({"examples": [{"index": 1, "weight": 2}, 1]}, r"examples\[1\]: expected an object, got 1"),
        ({"examples": [{"index": 1}], "context": 5}, "context: expected an object, got 5"),
        ({"examples": []}, "examples: expected a list of at least one"),
        (
            {"examples": [{"index": 1}, {"index": 1, "weight": 2}], "context": {"weight": 7}},
            r"examples\[1\]: expected no feature of the context, got weight",
        ),
        ({"examples": [{"index": [1, 2], "weight": 1}]}, "examples: expected 2 numbers, got a list of 2"),
    ],
)
def test_bad_examples_are_refused(protocol: TensorFlowServing, body: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(protocol, body, f"{TABLE}:classify")


def test_a_regression_is_refused(protocol: TensorFlowServing) -> None:
    with pytest.raises(InvalidInput, match="table classifies: ask :predict or :classify"):
        read(protocol, {"examples": [{}]}, f"{TABLE}:regress")
