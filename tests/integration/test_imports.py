"""A file of somebody else's, imported beside a service that runs: jobs, calls in both protocols and the page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
