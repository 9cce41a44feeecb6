"""Another task is one module: this one is a task that the service does not have, from the request to the page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import ChoiceLoader, DictLoader

from production_server.broker.calls import Reply
from production_server.models.registry import Registry
from production_server.models.store import Store
from production_server.models.tasks import TASKS
from production_server.models.tasks.row_inputs import RowInputs
from production_server.models.tasks.task import Evaluated, Judged, Prediction, Shown, Task
from production_server.models.tensors import Tensors, only
from production_server.settings import Settings
from production_server.web.app import create_app
from production_server.web.edge.parts import WebParts, build_parts
from production_server.web.edge.problems import status_of
from production_server.web.interactive.open_inference import OpenInference
from production_server.web.interactive.protocol import HttpRequest
from production_server.web.interactive.tensorflow_serving import TensorFlowServing
from testing.small_models import write_number_model

EVALUATION = "pages/area.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanError(Evaluated):
    template: ClassVar[str] = EVALUATION
    value: float


class Area(Task):
    """Answers with one number."""

    answers = "a number"
    verb = "regress"

    def check_manifest(self) -> None:
        if self.manifest.outputs[0].item_shape != (1,):
            raise ValueError("outputs: expected one number, shape [null, 1]")

    def predict(self, outputs: Tensors) -> list[Prediction]:
        return [
            Prediction(None, value, (value,)) for value in only(outputs)[:, 0].astype(float).round(6).tolist()
        ]

    def show(self, prediction: Prediction) -> Shown:
        return Shown(f"{prediction.score:g} m²")

    def read_truth(self, text: str) -> str | None:
        return text if text.replace(".", "").isdigit() else None

    def columns(self) -> list[str]:
        return [self.manifest.target]

    def cells(self, prediction: Prediction) -> list[object]:
        return list(prediction.output)

    def evaluate(self, items: Iterable[Judged]) -> MeanError | None:
        errors = [abs(float(each.expected) - (each.prediction.score or 0)) for each in items
                  if each.expected is not None and each.prediction is not None]  # fmt: skip
        return MeanError(value=sum(errors) / len(errors)) if errors else None

    def results(self, outputs: Tensors) -> list[Any]:
        return [float(value) for value in only(outputs)[:, 0]]


@pytest.fixture(autouse=True)
def _with_area(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "tabular_area", lambda manifest: Area(manifest, RowInputs(manifest)))


@pytest.fixture
def small_registry(tmp_path: Path) -> Registry:
    """The worker's."""
    write_number_model(tmp_path / "store", task="tabular_area")
    return Registry([tmp_path / "store"])


@pytest.fixture
def parts(
    settings: Settings, small_registry: Registry, furnish: Callable[[Settings], None]
) -> Iterator[WebParts]:
    furnish(settings)
    parts = replace(build_parts(settings), registry=small_registry)
    yield parts
    parts.database.close()


@pytest.fixture
def app(parts: WebParts) -> Flask:
    app = create_app(parts)
    own = DictLoader({EVALUATION: "Wrong by {{ evaluation.value | plain }} m²"})
    app.jinja_env.loader = ChoiceLoader([own, app.jinja_env.loader])  # type: ignore[list-item]
    return app


def submit(web: FlaskClient, work: Any, table: bytes) -> dict[str, Any]:
    """A job that was submitted as a table, and worked off."""
    form = {"model": "number", "csv": (io.BytesIO(table), "rooms.csv")}
    response = web.post("/api/jobs", data=form)
    job: dict[str, Any] = response.get_json()
    assert response.status_code == 202, job
    work(job)
    return job


def test_an_item_goes_through_checks_and_inference_into_the_api(web: FlaskClient, work: Any) -> None:
    job = web.post(
        "/api/jobs", json={"model": "number", "inputs": [[3, 4], {"width": 2.5, "length": 200}]}
    ).get_json()
    work(job)

    results = web.get(job["links"]["results"]).get_json()["results"]

    told = [(each["state"], each["label"], each["score"], each["output"], each["top"]) for each in results]
    assert told == [("succeeded", None, 12.0, [12.0], None), ("succeeded", None, 500.0, [500.0], None)]
    assert [each["outside_training_range"] for each in results] == [[], ["length"]]


def test_what_its_inputs_and_its_truths_cannot_be_is_refused(web: FlaskClient) -> None:
    rows = web.post("/api/jobs", json={"model": "number", "inputs": [[3]]})
    table = web.post(
        "/api/jobs",
        data={"model": "number", "csv": (io.BytesIO(b"length,width,area\n3,4,large\n"), "a.csv")},
    )

    assert rows.get_json()["faults"][0]["expected"] == "2 numbers (length, width)"
    assert table.get_json()["faults"] == [
        {"field": "csv line 2, column 3", "expected": "area: a number", "got": '"large"'}
    ]


def test_it_is_exported_counted_and_found(web: FlaskClient, work: Any) -> None:
    job = submit(web, work, b"length,width,area\n3,4,13\n2,5,10\n")

    table = list(csv.DictReader(web.get(job["links"]["results_csv"]).get_data(as_text=True).splitlines()))
    stats = web.get("/api/stats").get_json()
    found = web.get("/api/results?model=number").get_json()["results"]

    assert [
        (row["length"], row["width"], row["label"], row["score"], row["area"], row["expected"])
        for row in table
    ] == [
        ("3", "4", "", "12.0", "12.0", "13"),
        ("2", "5", "", "10.0", "10.0", "10"),
    ]
    assert [(each["model"], each["labels"]) for each in stats["models"]] == [("number", [])]
    assert stats["succeeded"] == 2
    assert [each["output"] for each in found] == [[10.0], [12.0]]


def test_pages_show_it_and_hold_it_against_what_is_true(web: FlaskClient, work: Any) -> None:
    job = submit(web, work, b"length,width,area\n3,4,13\n2,5,10\n")

    pages = {path: web.get(path).get_data(as_text=True) for path in (
        job["links"]["page"], "/results", "/stats", "/", "/models/number", "/predictions?model=number")}  # fmt: skip

    assert all("12 m²" in pages[path] for path in (job["links"]["page"], "/results", "/stats"))
    assert "Wrong by 0.5 m²" in pages[job["links"]["page"]]
    assert "a number" in pages["/"] and "a number" in pages["/models/number"]
    assert "It answers with a number." in pages["/predictions?model=number"]


def test_interactive_calls_get_its_numbers_and_what_it_does(small_registry: Registry) -> None:
    reply = Reply({"value": np.array([[12], [10]], np.float32)}, {}, None, 0.0, "worker")
    v1, v2 = TensorFlowServing(small_registry, status_of), OpenInference(small_registry, status_of)

    def told(protocol: TensorFlowServing | OpenInference, path: str, body: dict[str, Any]) -> Any:
        ask = protocol.read(HttpRequest("POST", path, {}, json.dumps(body).encode()))
        return json.loads(protocol.write(ask, reply).body)

    examples = {"examples": [{"length": 3, "width": 4}, {"length": 2, "width": 5}]}
    tensor = {"name": "features", "datatype": "FP32", "shape": [2, 2], "data": [3, 4, 2, 5]}
    assert told(v1, "/v1/models/number:regress", examples) == {"results": [12.0, 10.0]}
    assert told(v2, "/v2/models/number/infer", {"inputs": [tensor]})["outputs"] == [
        {"name": "value", "datatype": "FP32", "shape": [2, 1], "data": [12.0, 10.0]}
    ]


def test_a_manifest_that_is_none_of_the_task_is_no_version(tmp_path: Path) -> None:
    write_number_model(
        tmp_path,
        task="tabular_area",
        outputs=[{"name": "value", "shape": [None, 2], "dtype": "float32"}],
    )

    assert Store([tmp_path]).versions() == []
