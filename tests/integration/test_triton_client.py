"""NVIDIA's client for the Open Inference Protocol against a real server: both of its kinds, all that it can ask."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from PIL import Image
from tritonclient.utils import InferenceServerException

from testing.celeriac import Celeriac, celeriac
from testing.event_loop import run_apart
from testing.small_models import LIMIT, write_table_model

ROW = [6, 148, 72, 35, 0, 33.6, 0.627, 50]
EXPECTED = [0.2958, 0.7042]
COLUMNS = [
    "pregnancies", "glucose", "blood_pressure", "skin_thickness", "insulin", "bmi", "diabetes_pedigree", "age",
]  # fmt: skip
Ask = Callable[..., Any]


@pytest.fixture(scope="module", params=["embedded", "broker"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celeriac]:
    folder = tmp_path_factory.mktemp("triton")
    write_table_model(folder / "store")
    settings = {"MODEL_STORE": str(folder / "store")}
    if request.param == "broker":
        node = request.getfixturevalue("rabbitmq").start()
        node.add_vhost("triton")
        settings |= {"BROKER_URL": node.url("triton"), "WORKERS": "2"}
    with celeriac(folder, **settings) as running:
        yield running


@pytest.fixture(params=["sync", "aio"])
def ask(request: pytest.FixtureRequest, service: Celeriac) -> Ask:
    """Calls a method of a client of one of both kinds, and returns what it returns."""
    address = service.url.removeprefix("http://")

    def by_sync(method: str, *args: Any, **kwargs: Any) -> Any:
        with triton.InferenceServerClient(address) as client:
            return getattr(client, method)(*args, **kwargs)

    async def by_aio(method: str, *args: Any, **kwargs: Any) -> Any:
        async with triton_aio.InferenceServerClient(address) as client:
            return await getattr(client, method)(*args, **kwargs)

    if request.param == "sync":
        return by_sync
    return lambda *args, **kwargs: run_apart(by_aio(*args, **kwargs))


def tensor(name: str, values: Any, datatype: str = "FP32", *, binary: bool = True) -> triton.InferInput:
    dtype: Any = {"FP32": np.float32, "INT64": np.int64, "FP64": np.float64, "BYTES": np.object_}[datatype]
    array = np.array(values, dtype=dtype)
    given = triton.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=binary)
    return given


def rows(count: int = 1, *, binary: bool = True) -> triton.InferInput:
    return tensor("features", [ROW] * count, binary=binary)


def outputs(*, binary: bool) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in ("probabilities", "label")]


def texts(answer: Any, name: str) -> list[str]:
    """An output of texts, which are bytes in raw form, and text in JSON."""
    return [each.decode() if isinstance(each, bytes) else each for each in answer.as_numpy(name).reshape(-1)]


def png(value: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (28, 28), value).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_numbers_travel_in_json_and_in_raw_form_compressed_or_not(ask: Ask, compression: str | None) -> None:
    for binary_in, binary_out in itertools.product([True, False], repeat=2):
        answer = ask(
            "infer",
            "diabetes",
            [rows(3, binary=binary_in)],
            outputs=outputs(binary=binary_out),
            request_id="r7",
            request_compression_algorithm=compression,
            response_compression_algorithm=compression,
        )

        assert np.allclose(answer.as_numpy("probabilities"), [EXPECTED] * 3, atol=1e-4)
        assert texts(answer, "label") == ["diabetes"] * 3
        assert answer.get_response()["id"] == "r7"


def test_without_outputs_asked_for_all_come_in_raw_form(ask: Ask) -> None:
    answer = ask("infer", "diabetes", [rows()], model_version="1")

    assert [each["name"] for each in answer.get_response()["outputs"]] == ["probabilities", "label"]
    assert all("binary_data_size" in each["parameters"] for each in answer.get_response()["outputs"])
    assert answer.get_response()["model_version"] == "1"


def test_one_output_alone_comes_alone(ask: Ask) -> None:
    answer = ask("infer", "diabetes", [rows()], outputs=outputs(binary=True)[1:])

    assert answer.as_numpy("probabilities") is None and texts(answer, "label") == ["diabetes"]


def test_a_row_may_be_an_input_for_each_column(ask: Ask) -> None:
    columns = [
        tensor(name, [[value]] * 2, "FP64" if value % 1 else "INT64", binary=bool(place % 2))
        for place, (name, value) in enumerate(zip(COLUMNS, ROW, strict=True))
    ]

    answer = ask("infer", "diabetes", columns[::-1])

    assert np.allclose(answer.as_numpy("probabilities"), [EXPECTED] * 2, atol=1e-4)


def test_image_files_travel_as_bytes_and_in_base64(ask: Ask) -> None:
    files = [png(), png(90)]
    in_bytes = tensor("image", files, "BYTES")
    in_json = tensor("image", [base64.b64encode(each).decode() for each in files], "BYTES", binary=False)

    answers = [
        ask("infer", "fashion_mnist", [given]).as_numpy("probabilities") for given in (in_bytes, in_json)
    ]

    assert answers[0].shape == (2, 10) and np.array_equal(*answers)


def test_the_best_labels_come_with_their_values_and_indexes(ask: Ask) -> None:
    for binary in (True, False):
        wanted = triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=1)

        answer = ask("infer", "diabetes", [rows(2)], outputs=[wanted])

        assert answer.as_numpy("probabilities").shape == (2, 1)
        value, index, label = texts(answer, "probabilities")[0].split(":")
        assert (round(float(value), 4), index, label) == (EXPECTED[1], "1", "diabetes")


def test_parameters_come_back_and_those_for_schedulers_change_nothing(ask: Ask) -> None:
    answer = ask(
        "infer",
        "diabetes",
        [rows()],
        parameters={"mine": "x", "number": 1.5, "flag": True},
        priority=1,
        timeout=5_000_000,
        sequence_id=7,
        sequence_start=True,
    )

    told = answer.get_response()["parameters"]
    assert (told["mine"], told["number"], told["flag"], told["timeout"]) == ("x", 1.5, True, 5_000_000)


def test_health_metadata_and_index_are_read(ask: Ask) -> None:
    assert ask("is_server_live") and ask("is_server_ready")
    assert ask("is_model_ready", "diabetes") and ask("is_model_ready", "diabetes", "1")
    assert not ask("is_model_ready", "none") and not ask("is_model_ready", "diabetes", "9")
    assert ask("get_server_metadata")["extensions"] == ["binary_tensor_data", "parameters", "classification"]
    metadata = ask("get_model_metadata", "fashion_mnist", "1")
    assert metadata["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 28, 28, 1]}]
    assert [output["name"] for output in metadata["outputs"]] == ["probabilities", "label"]
    ready = {"version": "1", "state": "READY", "reason": ""}
    assert ask("get_model_repository_index") == [
        {"name": name} | ready for name in ("diabetes", "fashion_mnist", "table")
    ]


ROW_OF_NAN = tensor("features", [[float("nan")] * 8])
IN_SHARED_MEMORY = triton.InferInput("features", [1, 8], "FP32")
IN_SHARED_MEMORY.set_shared_memory("region", 32)
TO_SHARED_MEMORY = triton.InferRequestedOutput("probabilities")
TO_SHARED_MEMORY.set_shared_memory("region", 8)
REFUSED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "NaN": ("400", r"features\)\[0, 0\]: expected a finite number, got NaN", {"inputs": [ROW_OF_NAN]}),
    "another shape": ("400", r"shape: expected \[items, 8\], got \[1, 1\]", {"inputs": [tensor("features", [[1]])]}),
    "another datatype": ("400", "datatype: expected FP32, got", {"inputs": [tensor("features", [ROW], "FP64")]}),
    "another name": ("400", "inputs: expected features, or one for each", {"inputs": [tensor("x", [ROW])]}),
    "no model": ("404", "there is no model 'none'", {"model_name": "none"}),
    "no version": ("404", "has no version '9'", {"model_version": "9"}),
    "no output": ("400", "outputs.0..name: expected", {"outputs": [triton.InferRequestedOutput("x")]}),
    "no file": (
        "400",
        "input 0: .*expected an image file",
        {"model_name": "fashion_mnist", "inputs": [tensor("image", [b"no image"], "BYTES")]},
    ),
    "a row on which the model fails": (
        "422",
        "input 1: the model failed",
        {"model_name": "table", "inputs": [tensor("features", [[1, 1], [LIMIT, 1]])]},
    ),
    "no time": ("504", "no answer in time", {"timeout": 1}),
    "a time in the past": ("400", "parameters.timeout: .* got -1", {"timeout": -1}),
    "from shared memory": ("400", "no shared memory", {"inputs": [IN_SHARED_MEMORY]}),
    "to shared memory": ("400", "no shared memory", {"outputs": [TO_SHARED_MEMORY]}),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_the_client_gets_the_servers_own_error(ask: Ask, case: str) -> None:
    status, message, changes = REFUSED[case]

    with pytest.raises(InferenceServerException, match=message) as caught:
        ask("infer", **({"model_name": "diabetes", "inputs": [rows()]} | changes))

    assert caught.value.status() == status


@pytest.mark.parametrize(
    "method", ["load_model", "unload_model", "get_model_config", "get_inference_statistics"]
)
def test_what_there_is_not_is_said_to_be_not_there(ask: Ask, method: str) -> None:
    with pytest.raises(InferenceServerException) as caught:
        ask(method, "diabetes")

    assert caught.value.status() == "404" and "not found" in caught.value.message()


def test_many_calls_at_once_get_their_own_answers(service: Celeriac) -> None:
    address = service.url.removeprefix("http://")

    async def infer_many() -> list[list[float]]:
        async with triton_aio.InferenceServerClient(address) as client:
            asked = [client.infer("table", [tensor("features", [[n % LIMIT, n]])]) for n in range(200)]
            return [each.as_numpy("probabilities")[0].tolist() for each in await asyncio.gather(*asked)]

    shares = [round(each[1], 4) for each in run_apart(infer_many())]
    assert shares == [round(0.05 * (n % LIMIT), 4) for n in range(200)]

    with triton.InferenceServerClient(address, concurrency=8) as client:
        asked = [client.async_infer("table", [tensor("features", [[n % LIMIT, n]])]) for n in range(50)]
        shares = [round(float(each.get_result().as_numpy("probabilities")[0, 1]), 4) for each in asked]
    assert shares == [round(0.05 * (n % LIMIT), 4) for n in range(50)]
