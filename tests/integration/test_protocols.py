"""The clients that people have, against a real server, with the built-in models."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from PIL import Image
from tritonclient.utils import InferenceServerException

from tests.services.celeriac import Celeriac, celeriac
from tests.services.event_loop import run_apart

ROW = [6, 148, 72, 35, 0, 33.6, 0.627, 50]
EXPECTED = [0.2958, 0.7042]


@pytest.fixture(scope="module", params=["embedded", "broker"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celeriac]:
    settings = {}
    if request.param == "broker":
        node = request.getfixturevalue("rabbitmq")
        node.add_vhost("protocols")
        settings = {"BROKER_URL": node.url("protocols"), "WORKERS": "2"}
    with celeriac(tmp_path_factory.mktemp("protocols"), **settings) as running:
        yield running


@pytest.fixture
def client(service: Celeriac) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(service.url.removeprefix("http://")) as client:
        yield client


def png(value: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (28, 28), value).save(buffer, "PNG")
    return buffer.getvalue()


def rows(count: int = 1, *, binary: bool = True, values: Any = ROW) -> triton.InferInput:
    tensor = triton.InferInput("features", [count, 8], "FP32")
    tensor.set_data_from_numpy(np.array([values] * count, dtype=np.float32), binary_data=binary)
    return tensor


@pytest.mark.parametrize("is_binary_in", [True, False])
@pytest.mark.parametrize("is_binary_out", [True, False])
def test_triton_client_infers_in_json_and_in_binary(
    client: triton.InferenceServerClient, is_binary_in: bool, is_binary_out: bool
) -> None:
    outputs = [
        triton.InferRequestedOutput(name, binary_data=is_binary_out) for name in ("probabilities", "label")
    ]

    answer = client.infer("diabetes", [rows(3, binary=is_binary_in)], outputs=outputs, request_id="r7")

    assert answer.as_numpy("probabilities").round(4).tolist() == pytest.approx(
        np.array([EXPECTED] * 3), abs=1e-4
    )
    assert [
        bytes(label) if isinstance(label, bytes) else label.encode() for label in answer.as_numpy("label")
    ] == [b"diabetes"] * 3
    assert answer.get_response()["id"] == "r7"


def test_triton_client_infers_asynchronously(service: Celeriac) -> None:
    async def infer_many() -> list[Any]:
        async with triton_aio.InferenceServerClient(service.url.removeprefix("http://")) as client:
            calls = [client.infer("diabetes", [rows()]) for _ in range(50)]
            return [answer.as_numpy("probabilities") for answer in await asyncio.gather(*calls)]

    assert all(np.allclose(each, [EXPECTED], atol=1e-4) for each in run_apart(infer_many()))


def test_triton_client_sends_image_files(client: triton.InferenceServerClient) -> None:
    tensor = triton.InferInput("image", [2], "BYTES")
    tensor.set_data_from_numpy(np.array([png(), png(90)], dtype=object))

    answer = client.infer("fashion_mnist", [tensor], model_version="1")

    assert answer.as_numpy("probabilities").shape == (2, 10)


def test_triton_client_reads_metadata_and_health(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("diabetes") and client.is_model_ready("diabetes", "1")
    assert not client.is_model_ready("none")
    assert client.get_server_metadata()["name"] == "celeriac"
    metadata = client.get_model_metadata("fashion_mnist")
    assert metadata["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 28, 28, 1]}]
    assert [output["name"] for output in metadata["outputs"]] == ["probabilities", "label"]


def test_triton_client_gets_the_servers_own_errors(client: triton.InferenceServerClient) -> None:
    with pytest.raises(
        InferenceServerException, match=r"features\)\[0, 0\]: expected a finite number, got NaN"
    ):
        client.infer("diabetes", [rows(values=[float("nan")] * 8)])
    with pytest.raises(InferenceServerException, match="there is no model"):
        client.infer("none", [rows()])
    with pytest.raises(InferenceServerException, match="has no version"):
        client.infer("diabetes", [rows()], model_version="9")
    broken = triton.InferInput("image", [1], "BYTES")
    broken.set_data_from_numpy(np.array([b"no image"], dtype=object))
    with pytest.raises(InferenceServerException, match=r"input 0: .*expected an image file"):
        client.infer("fashion_mnist", [broken])


def test_compressed_requests_are_read(client: triton.InferenceServerClient) -> None:
    answer = client.infer("diabetes", [rows()], request_compression_algorithm="gzip")

    assert np.allclose(answer.as_numpy("probabilities"), [EXPECTED], atol=1e-4)


def test_tensorflow_servings_requests_are_answered(service: Celeriac) -> None:
    web = service.web
    row = web.post("/v1/models/diabetes:predict", json={"instances": [ROW]}).json()
    column = web.post(
        "/v1/models/diabetes/labels/stable:predict", json={"inputs": {"features": [ROW]}}
    ).json()
    classes = web.post(
        "/v1/models/diabetes/versions/1:classify", json={"examples": [{"features": ROW}]}
    ).json()
    status = web.get("/v1/models/diabetes").json()
    signature = web.get("/v1/models/diabetes/metadata").json()["metadata"]["signature_def"]["signature_def"]

    assert row["predictions"][0] == column["outputs"][0] == pytest.approx(EXPECTED, abs=1e-4)
    assert [label for label, _ in classes["result"][0]] == ["no diabetes", "diabetes"]
    assert status["model_version_status"][0]["state"] == "AVAILABLE"
    assert signature["serving_default"]["inputs"]["features"]["dtype"] == "DT_FLOAT"


@pytest.mark.parametrize("path", ["/v1/models/none", "/v2/models/none", "/v2/nothing", "/v1/models/x/y/z"])
def test_errors_beside_inference_have_the_protocols_form(service: Celeriac, path: str) -> None:
    answer = service.web.get(path)

    assert answer.status_code == 404 and isinstance(answer.json()["error"], str)


def test_every_answer_repeats_the_requests_id(service: Celeriac) -> None:
    body = {"instances": [ROW]}

    def id_of(path: str, **headers: str) -> str:
        return service.web.post(path, json=body, headers=headers).headers["X-Request-Id"]

    good, bad = "/v1/models/diabetes:predict", "/v1/models/nowhere:predict"
    assert id_of(good, **{"X-Request-Id": "a-1"}) == "a-1"
    assert id_of(bad, **{"X-Request-Id": "a-2"}) == "a-2"
    assert len({id_of(good), id_of(good), id_of(good, **{"X-Request-Id": "not fit"})}) == 3


def test_a_bad_row_does_not_harm_the_calls_that_travel_with_it(service: Celeriac) -> None:
    def ask(n: int) -> int:
        body = {"instances": [ROW if n % 5 else ["x"] * 8]}
        return httpx.post(f"{service.url}/v1/models/diabetes:predict", json=body, timeout=30).status_code

    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(ask, range(100)))

    assert codes == [200 if n % 5 else 400 for n in range(100)]


def test_a_body_that_is_too_large_is_refused_before_it_is_read(service: Celeriac) -> None:
    answer = httpx.post(f"{service.url}/v2/models/diabetes/infer", content=b"x" * (17 * 2**20), timeout=30)

    assert answer.status_code == 413 and "limit" in answer.json()["error"]


def test_a_call_with_too_little_time_gets_a_timeout(service: Celeriac) -> None:
    body = {
        "inputs": [{"name": "features", "shape": [1, 8], "datatype": "FP32", "data": ROW}],
        "parameters": {"timeout": 1},
    }

    answer = service.web.post("/v2/models/diabetes/infer", json=body)

    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")


@pytest.mark.parametrize("timeout", ["0", "-1", "soon", "1.5", "9" * 5000])
def test_a_header_that_leaves_no_time_is_refused(service: Celeriac, timeout: str) -> None:
    answer = service.web.post(
        "/v1/models/diabetes:predict", json={"instances": [ROW]}, headers={"X-Request-Timeout-Ms": timeout}
    )

    assert answer.status_code == 400
    assert "x-request-timeout-ms: expected a whole number of milliseconds above 0" in answer.json()["error"]


def test_thousands_of_small_requests_on_one_connection_are_answered(service: Celeriac) -> None:
    body = json.dumps({"instances": [ROW]}).encode()
    head = f"POST /v1/models/diabetes:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        writer = threading.Thread(target=connection.sendall, args=((head + body) * 2000,))
        writer.start()
        seen = 0
        connection.settimeout(60)
        while seen < 2000:
            seen += connection.recv(2**16).count(b"HTTP/1.1 200")
        writer.join()

    assert seen == 2000


def test_clients_that_send_a_byte_now_and_then_do_not_keep_others_waiting(service: Celeriac) -> None:
    slow = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(100)]
    for connection in slow:
        connection.sendall(
            b"POST /v2/models/diabetes/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
        )

    answer = service.web.post("/v1/models/diabetes:predict", json={"instances": [ROW]}, timeout=10)

    assert answer.status_code == 200
    for connection in slow:
        connection.close()


def test_clients_that_leave_cost_nothing_further(service: Celeriac, tmp_path: Path) -> None:
    body = json.dumps({"instances": [ROW] * 50}).encode()
    head = f"POST /v1/models/diabetes:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(head + body)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if service.web.post("/v1/models/diabetes:predict", json={"instances": [ROW]}).status_code == 200:
            break

    assert service.web.get("/v2/health/ready").json() == {"ready": True}
    assert "Traceback" not in service.log
