"""A file of somebody else's, imported beside a service that runs: jobs, calls in both protocols and the page."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from testing.celeriac import celeriac
from testing.foreign_graphs import FOREIGN_MODELS
from testing.processes import wait_until


def test_a_running_service_has_an_imported_model_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with celeriac(tmp_path) as service:
        monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
        file = FOREIGN_MODELS / "iris_columns.onnx"
        subprocess.run(
            [sys.executable, "-m", "production_server", "models", "import", file, "--name", "mine",
             "--labels", "setosa,versicolor,virginica"],
            check=True,
        )  # fmt: skip
        row = [5.1, 3.5, 1.4, 0.2]
        job = service.wait_for(service.submit("mine", [row]))
        web = service.web
        predicted = web.post("/v1/models/mine:predict", json={"instances": [row]}).json()["predictions"]
        tensor = {"name": "features", "shape": [1, 4], "datatype": "FP32", "data": row}
        inferred = web.post("/v2/models/mine/infer", json={"inputs": [tensor]}).json()["outputs"]
        wait_until(lambda: "mine" in web.get("/predictions").text, what="the page has it")
        page = web.get("/models/mine").text

        (result,) = service.results(job)
        assert result["label"] == "setosa"
        assert predicted[0] == pytest.approx(result["output"], abs=1e-6)
        assert inferred[0]["data"] == pytest.approx(result["output"], abs=1e-6)
        assert "sepal_length" in page


@dataclass(frozen=True)
class Foreign:
    """A file, what is said of it, an input, and what its answer is."""

    file: str
    said: tuple[str, ...]
    row: list[float]
    answer: str
    card: str


FOREIGN = [
    Foreign(
        "disease_regressor.onnx", ("--quantity", "Progression", "--unit", "points"),
        [0.01, 0.05, 0.06, 0.02, -0.04, -0.03, -0.04, 0, 0.02, -0.02], "186.626 points", "What it answers",
    ),
    Foreign(
        "topics_one_vs_rest.onnx", ("--labels", "sport,art,trade,law"), [1, 1, 1, 1, 1, 1], "sport, art, law",
        "The thresholds",
    ),
    Foreign(
        "topics_network.onnx", ("--labels", "sport,art,trade,law"), [4, 10, 12, 5, 13, 7], "art, law",
        "The thresholds",
    ),
]  # fmt: skip


def test_values_and_several_labels_of_foreign_files_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with celeriac(tmp_path) as service:
        monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
        for number, foreign in enumerate(FOREIGN):
            file = FOREIGN_MODELS / foreign.file
            subprocess.run(
                [sys.executable, "-m", "production_server", "models", "import", file, "--name", f"own{number}",
                 *foreign.said],
                check=True,
            )  # fmt: skip
        for number, foreign in enumerate(FOREIGN):
            name, row, web = f"own{number}", foreign.row, service.web
            (result,) = service.results(service.wait_for(service.submit(name, [row])))
            predicted = web.post(f"/v1/models/{name}:predict", json={"instances": [row]}).json()[
                "predictions"
            ]
            tensor = {"name": web.get(f"/v2/models/{name}").json()["inputs"][0]["name"],
                      "shape": [1, len(row)], "datatype": "FP32", "data": row}  # fmt: skip
            inferred = web.post(f"/v2/models/{name}/infer", json={"inputs": [tensor]}).json()["outputs"]

            assert result["answer"] == foreign.answer
            assert predicted[0] == pytest.approx(result["output"], abs=1e-5)
            assert inferred[0]["data"] == pytest.approx(result["output"], abs=1e-5)
            assert foreign.card in web.get(f"/models/{name}").text


def test_an_image_regressor_serves_whole_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = tmp_path / "digits.yaml"
    described.write_text(
        "image: {width: 8, height: 8, scale: 0.0627450980392157}\n"
        "quantity: {name: digit, label: Digit, minimum: 0, maximum: 9}\n"
    )
    with celeriac(tmp_path) as service:
        monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
        file = FOREIGN_MODELS / "digit_regressor.onnx"
        subprocess.run(
            [sys.executable, "-m", "production_server", "models", "import", file, "--name", "digits",
             "--describe", described],
            check=True,
        )  # fmt: skip
        files = [("file", ("zero.png", zero(), "image/png"))]
        web = service.web
        wait_until(lambda: "digits" in web.get("/predictions").text, what="the page has it")
        job = web.post("/api/jobs", data={"model": "digits"}, files=files).json()

        (result,) = service.results(service.wait_for(job))
        page = web.get(job["links"]["page"]).text

    assert abs(result["output"][0]) < 2.5
    assert result["score"] == result["output"][0]
    assert "0 to 9" in page


def zero() -> bytes:
    """A nought as it is written in the data, drawn large."""
    picture = Image.new("L", (160, 160), 0)
    ImageDraw.Draw(picture).ellipse((45, 15, 115, 145), outline=255, width=26)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
