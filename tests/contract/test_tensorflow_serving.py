"""The requests and answers of TensorFlow Serving's documentation of its REST API, against a running service.

Source: https://github.com/tensorflow/serving, tensorflow_serving/g3doc/api_rest.md as of commit
146cda04e31ae38e2ae9b9563e639b8c29dd7dd4. Where an example's model has inputs that none of ours has, the same form is
asked of one that we have, and the example itself must be refused in the protocol's form.
"""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import httpx
import pytest
from PIL import Image

from testing.celeriac import Celeriac

HALF, TABLE, PICTURE = "/v1/models/half_plus_three", "/v1/models/table", "/v1/models/picture"
SHARES = {1.0: [0.95, 0.05], 2.0: [0.9, 0.1], 5.0: [0.75, 0.25]}
"""What the model of one column answers."""


def post(service: Celeriac, path: str, body: Any) -> httpx.Response:
    content = body if isinstance(body, str) else json.dumps(body)
    return service.web.post(path, content=content, headers={"Content-Type": "application/json"})


def answered(service: Celeriac, path: str, body: Any) -> Any:
    answer = post(service, path, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def is_refused(answer: httpx.Response, status: int) -> bool:
    """Whether an answer is an error as the documentation has it: an object with `error`, a text."""
    return answer.status_code == status and isinstance(answer.json()["error"], str)


def file(value: int) -> dict[str, str]:
    """An image file as the documentation writes binary values."""
    buffer = io.BytesIO()
    Image.new("L", (4, 4), value).save(buffer, "PNG")
    return {"b64": base64.b64encode(buffer.getvalue()).decode()}


def pixels(value: float) -> list[list[list[float]]]:
    return [[[value]] * 4] * 4


def status_of(version: str) -> dict[str, Any]:
    return {"version": version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}


@pytest.mark.parametrize("of_version", ["/versions/123", "/labels/stable"])
def test_the_status_of_a_version(service: Celeriac, of_version: str) -> None:
    answer = service.web.get(HALF + of_version)

    assert answer.json() == {"model_version_status": [status_of("123")]}


def test_the_status_of_all_versions(service: Celeriac) -> None:
    answer = service.web.get(HALF)

    assert answer.json() == {"model_version_status": [status_of("123"), status_of("122")]}


@pytest.mark.parametrize("of_version", ["", "/versions/123", "/labels/stable"])
def test_metadata(service: Celeriac, of_version: str) -> None:
    found = service.web.get(f"{HALF}{of_version}/metadata").json()

    assert found["model_spec"] == {"name": "half_plus_three", "signature_name": "", "version": "123"}
    signature = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["inputs"]["features"] == {
        "dtype": "DT_FLOAT",
        "tensor_shape": {
            "dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}],
            "unknown_rank": False,
        },
        "name": "features",
    }
    assert list(signature["outputs"]) == ["probabilities"]


@pytest.mark.parametrize("of_version", ["", "/versions/122", "/versions/123", "/labels/stable"])
@pytest.mark.parametrize("member", [("instances", "predictions"), ("inputs", "outputs")])
def test_predict_with_a_number_for_each_item(
    service: Celeriac, of_version: str, member: tuple[str, str]
) -> None:
    found = answered(service, f"{HALF}{of_version}:predict", {member[0]: [1.0, 2.0, 5.0]})

    assert found == {member[1]: list(SHARES.values())}


def test_numbers_may_be_whole_or_have_exponents(service: Celeriac) -> None:
    found = answered(service, f"{HALF}:predict", '{"instances": [1, 20E-1, 0.05e+2]}')

    assert found == {"predictions": list(SHARES.values())}


def test_a_number_that_float32_does_not_have_is_rounded(service: Celeriac) -> None:
    row = [6, 1435774380, 72, 35, 0, 33.6, 0.627, 50]
    rounded = [6, 1435774336, 72, 35, 0, 33.6, 0.627, 50]

    found = answered(service, "/v1/models/diabetes:predict", {"instances": [row, rounded]})

    assert found["predictions"][0] == found["predictions"][1]


def test_predict_with_a_nested_list_for_each_item(service: Celeriac) -> None:
    body = {"instances": [pixels(0.25), pixels(1)]}

    assert answered(service, f"{PICTURE}:predict", body) == {"predictions": [[0.75, 0.25], [0, 1]]}


def test_predict_with_named_inputs_in_rows(service: Celeriac) -> None:
    body = {"instances": [{"index": 1, "weight": 3}, {"index": 5, "weight": 4}]}

    assert answered(service, f"{TABLE}:predict", body) == {"predictions": [SHARES[1], SHARES[5]]}


@pytest.mark.parametrize(
    "inputs",
    [{"index": [1, 5], "weight": [3, 4]}, {"features": [[1, 3], [5, 4]]}, [[1, 3], [5, 4]]],
    ids=["each column", "one tensor by its name", "one tensor"],
)
def test_predict_with_inputs_in_columns(service: Celeriac, inputs: Any) -> None:
    assert answered(service, f"{TABLE}:predict", {"inputs": inputs}) == {"outputs": [SHARES[1], SHARES[5]]}


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [file(51), file(255)]},
        {"instances": [{"image": file(51)}, {"image": file(255)}]},
        {
            "signature_name": "serving_default",
            "instances": [{"image_bytes": file(51)}, {"image_bytes": file(255)}],
        },
    ],
    ids=["alone", "by the input's name", "by its name with _bytes"],
)
def test_predict_with_binary_values(service: Celeriac, body: Any) -> None:
    found = answered(service, f"{PICTURE}:predict", body)

    assert found["predictions"][1] == [0, 1] and found["predictions"][0] == pytest.approx(
        [0.8, 0.2], abs=1e-6
    )


@pytest.mark.parametrize("of_version", ["", "/versions/1", "/labels/stable"])
@pytest.mark.parametrize(
    "body",
    [
        {"examples": [{"index": 1, "weight": 3}, {"index": 5, "weight": 3}]},
        {"examples": [{"index": [1], "weight": [3]}, {"index": [5], "weight": [3]}]},
        {"context": {"weight": 3}, "examples": [{"index": 1}, {"index": 5}]},
    ],
    ids=["values", "lists", "context"],
)
def test_classify(service: Celeriac, of_version: str, body: Any) -> None:
    (first, second) = answered(service, f"{TABLE}{of_version}:classify", body)["results"]

    assert [label for label, _ in first] == ["no", "yes"]
    assert [[score for _, score in each] for each in (first, second)] == pytest.approx(
        [pytest.approx(SHARES[1]), pytest.approx(SHARES[5])]
    )


def test_classify_image_files(service: Celeriac) -> None:
    found = answered(service, f"{PICTURE}:classify", {"examples": [{"image": file(0)}, {"image": file(255)}]})

    assert found == {"results": [[["dark", 1], ["bright", 0]], [["dark", 0], ["bright", 1]]]}


def test_a_model_that_there_is_not_is_not_found(service: Celeriac) -> None:
    answer = post(service, "/v1/models/half:predict", {"instances": [1.0, 5.0]})

    assert is_refused(answer, 404) and answer.headers["content-type"] == "application/json"


EXAMPLES_OF_OTHER_MODELS: dict[str, tuple[str, Any]] = {
    "texts": ("table:predict", {"instances": ["foo", "bar", "baz"]}),
    "tensors of [1, 2]": ("table:predict", {"instances": [[[1, 2]], [[3, 4]]]}),
    "three inputs in rows": (
        "table:predict",
        {
            "instances": [
                {"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]},
                {"tag": "bar", "signal": [3, 4, 1, 2, 5], "sensor": [[4, 5], [6, 8]]},
            ]
        },
    ),
    "three inputs in columns": (
        "table:predict",
        {
            "inputs": {
                "tag": ["foo", "bar"],
                "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]],
                "sensor": [[[1, 2], [3, 4]], [[4, 5], [6, 8]]],
            }
        },
    ),
    "another signature": (
        "picture:classify",
        {
            "signature_name": "classify_objects",
            "examples": [
                {"image": {"b64": "aW1hZ2UgYnl0ZXM="}, "caption": "seaside"},
                {"image": {"b64": "YXdlc29tZSBpbWFnZSBieXRlcw=="}, "caption": "mountains"},
            ],
        },
    ),
    "not JSON": ("table:classify", '{"example": [{"sensor_readings": [1.0, -3.14, NaN, Infinity]}]}'),
    "a regression": (
        "half_plus_three:regress",
        {"signature_name": "tensorflow/serving/regress", "examples": [{"x": 1.0}, {"x": 2.0}]},
    ),
    "a regression by default": ("half_plus_three:regress", {"examples": [{"x": 1.0}, {"x": 2.0}]}),
    "both forms": ("half_plus_three:predict", {"instances": [1.0], "inputs": [1.0]}),
    "a feature in context and example": (
        "table:classify",
        {"context": {"weight": 3}, "examples": [{"index": 1, "weight": 3}]},
    ),
}


@pytest.mark.parametrize("case", EXAMPLES_OF_OTHER_MODELS)
def test_what_no_model_of_ours_takes_is_refused(service: Celeriac, case: str) -> None:
    path, body = EXAMPLES_OF_OTHER_MODELS[case]

    assert is_refused(post(service, f"/v1/models/{path}", body), 400)
