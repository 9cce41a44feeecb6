"""Files of Keras and TensorFlow of every kind, served by one service: jobs, calls in both protocols and the page."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from production_server.models.importing.described import Described
from testing.celeriac import ROOT, Celeriac, celeriac
from testing.foreign_models.keras3 import Foreign, classifier, of_rows_and_image, write_all
from testing.importing import import_here
from testing.processes import wait_until

pytestmark = [
    pytest.mark.training,
    pytest.mark.filterwarnings("ignore"),
]  # inside Keras, TensorFlow and tf2onnx

LABELS = ("low", "middle", "high")
ROWS = np.random.default_rng(3).standard_normal((4, 4)).astype(np.float32)
KINDS = ("keras", "keras_hdf5", "keras_json", "savedmodel", "savedmodel_zip", "keras_runner")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Foreign]:
    return write_all(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def service(files: dict[str, Foreign], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celeriac]:
    """A service that has a model of each kind, called like it."""
    folder = tmp_path_factory.mktemp("service")
    for kind, each in files.items():
        import_here(folder / "store", each.file, Described(labels=LABELS), name=kind, weights=each.weights)
    of_rows_and_image().save(folder / "two.keras")
    import_here(folder / "store", folder / "two.keras", name="two_inputs")
    with celeriac(folder, MODEL_STORE=str(folder / "store")) as service:
        yield service


def expected(kind: str) -> np.ndarray:
    answers: np.ndarray = classifier("celu" if kind == "keras_runner" else "relu").predict(ROWS, verbose=0)
    return answers


def assert_serves(service: Celeriac, name: str, answers: np.ndarray) -> None:
    web = service.web
    job = service.wait_for(service.submit(name, ROWS.tolist()))
    assert np.allclose([each["output"] for each in service.results(job)], answers, atol=1e-5)
    assert [each["label"] for each in service.results(job)] == [
        LABELS[place] for place in answers.argmax(axis=1)
    ]

    predicted = web.post(f"/v1/models/{name}:predict", json={"instances": ROWS.tolist()}).json()
    assert np.allclose(predicted["predictions"], answers, atol=1e-5)

    (told,) = web.get(f"/v2/models/{name}").json()["inputs"]
    tensor = {"name": told["name"], "shape": [4, 4], "datatype": "FP32", "data": ROWS.ravel().tolist()}
    inferred = web.post(f"/v2/models/{name}/infer", json={"inputs": [tensor]}).json()["outputs"]
    assert np.allclose(np.reshape(inferred[0]["data"], (4, 3)), answers, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_each_kind_serves_jobs_and_both_protocols(service: Celeriac, kind: str) -> None:
    assert_serves(service, kind, expected(kind))


def test_rows_with_an_image_serve_jobs_and_both_protocols(service: Celeriac) -> None:
    images = np.random.default_rng(4).random((4, 8, 8, 1), np.float32)
    answers = of_rows_and_image().predict([ROWS, images], verbose=0)
    inputs = {"rows": ROWS, "image": images}
    items = [{name: values[place].tolist() for name, values in inputs.items()} for place in range(4)]
    tensors = [
        {"name": name, "shape": list(values.shape), "datatype": "FP32", "data": values.ravel().tolist()}
        for name, values in inputs.items()
    ]
    web = service.web

    job = service.wait_for(service.submit("two_inputs", items))
    predicted = web.post("/v1/models/two_inputs:predict", json={"instances": items}).json()["predictions"]
    inferred = web.post("/v2/models/two_inputs/infer", json={"inputs": tensors}).json()["outputs"]

    assert np.allclose([each["output"]["kind"] for each in service.results(job)], answers, atol=1e-5)
    assert np.allclose(predicted, answers, atol=1e-5)
    assert np.allclose(np.reshape(inferred[0]["data"], (4, 2)), answers, atol=1e-5)
    assert "rows" in web.get("/models/two_inputs").text


def test_what_keras_runs_is_told_as_such(service: Celeriac) -> None:
    def workers() -> Any:
        return service.web.get("/readyz").json()["checks"]["workers"]

    wait_until(lambda: "1 of the 1 models that Keras runs" in workers()["detail"], what="it is loaded")
    runners = {
        each["name"]: each["manifest"]["runner"] for each in service.web.get("/api/models").json()["models"]
    }
    assert {kind: runners[kind] for kind in KINDS} == dict.fromkeys(KINDS, "onnx") | {"keras_runner": "keras"}
    assert "in workers that have TensorFlow" in service.web.get("/models/keras_runner").text


def test_the_command_imports_beside_a_service_that_runs(service: Celeriac, files: dict[str, Foreign]) -> None:
    """In a process with its limits and without a network, which is where users import."""
    command = [sys.executable, "-m", "production_server", "models", "import", *files["keras_json"].arguments]
    command += ["--name", "mine", "--labels", ",".join(LABELS)]
    environment = {"PATH": "", "PYTHONPATH": str(ROOT), "MODEL_STORE": service.settings["MODEL_STORE"]}

    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "mine version 1 serves" in done.stdout
    wait_until(lambda: service.web.get("/models/mine").status_code == 200, what="the service has it")
    assert_serves(service, "mine", expected("keras_json"))
