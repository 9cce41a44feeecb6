"""The Open Inference Protocol's own OpenAPI description against a running service."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, given, settings
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from testing.celeriac import Celeriac

DESCRIPTION = Path(__file__).parent / "open_inference_rest.yaml"
MODEL = "/v2/models/{MODEL_NAME}/versions/{MODEL_VERSION}"
INFER = f"{MODEL}/infer"


@pytest.fixture(scope="module")
def schema() -> Any:
    """The description, with its placeholders as OpenAPI writes them: they begin with a dollar sign there."""
    text = DESCRIPTION.read_text().replace("${MODEL", "{MODEL")
    return schemathesis.openapi.from_dict(yaml.safe_load(text))


def conforms(schema: Any, path: str, answer: httpx.Response) -> bool:
    """Whether an answer is one that the description has.

    Raises:
        schemathesis.errors.…: it is not; it says in what.
    """
    method = "POST" if path == INFER else "GET"
    schema[path][method].validate_response(answer)
    return True


@pytest.mark.parametrize("model", ["table", "picture", "diabetes", "fashion_mnist"])
def test_metadata_and_readiness_are_as_described(schema: Any, service: Celeriac, model: str) -> None:
    for described, asked in {
        "/v2/": "/v2/",
        "/v2/health/live": "/v2/health/live",
        "/v2/health/ready": "/v2/health/ready",
        MODEL: f"/v2/models/{model}",
        f"{MODEL}/ready": f"/v2/models/{model}/ready",
    }.items():
        for path in (asked, asked.replace(model, f"{model}/versions/1"), asked.removesuffix("/")):
            answer = service.web.get(path)
            assert answer.status_code == 200 and conforms(schema, described, answer), path


def infer(service: Celeriac, model: str, given: dict[str, Any], **more: Any) -> httpx.Response:
    return service.web.post(f"/v2/models/{model}/infer", json={"inputs": [given], **more})


def test_answers_are_as_described(schema: Any, service: Celeriac) -> None:
    buffer = io.BytesIO()
    Image.new("L", (4, 4), 128).save(buffer, "PNG")
    picture = base64.b64encode(buffer.getvalue()).decode()
    answers = [
        infer(service, "table", {"name": "features", "shape": [1, 2], "datatype": "FP32", "data": [[1, 2]]}),
        infer(
            service,
            "table",
            {"name": "features", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]},
            id="42",
            parameters={"mine": 1.5},
            outputs=[{"name": "label"}, {"name": "probabilities", "parameters": {"classification": 1}}],
        ),
        infer(service, "picture", {"name": "image", "shape": [1], "datatype": "BYTES", "data": [picture]}),
    ]

    for answer in answers:
        assert answer.status_code == 200 and conforms(schema, INFER, answer), answer.text


def test_errors_are_as_described(schema: Any, service: Celeriac) -> None:
    answer = infer(service, "table", {"name": "features", "shape": [0, 2], "datatype": "FP32", "data": []})

    assert answer.status_code == 400 and conforms(schema, INFER, answer)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("model", ["table", "picture"])
def test_whatever_is_asked_gets_a_described_answer(
    schema: Any, service: Celeriac, model: str, mode: GenerationMode
) -> None:
    # What a model takes is more than the description can say, and what it calls wrong may be right: an id of null.
    excluded: list[Any] = [positive_data_acceptance, negative_data_rejection]

    @given(case=schema[INFER]["POST"].as_strategy(generation_mode=mode))
    @settings(max_examples=40, database=None, suppress_health_check=list(HealthCheck))
    def send(case: Any) -> None:
        case.path_parameters = {"MODEL_NAME": model, "MODEL_VERSION": "1"}
        case.call_and_validate(base_url=service.url, excluded_checks=excluded)

    send()
