"""Regression from the request to the page: values with their unit, held against what is true, counted and found."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from production_server.broker.calls import Reply
from production_server.models.registry import Registry
from production_server.settings import Settings
from production_server.web.edge.parts import WebParts, build_parts
from production_server.web.edge.problems import status_of
from production_server.web.interactive.open_inference import OpenInference
from production_server.web.interactive.protocol import HttpRequest
from production_server.web.interactive.tensorflow_serving import TensorFlowServing
from testing.small_models import write_brightness_model, write_number_model, write_quantity_model


@pytest.fixture
def small_registry(tmp_path: Path) -> Registry:
    """The worker's."""
    store = tmp_path / "store"
    write_quantity_model(store)
    write_brightness_model(store)
    write_number_model(store, task="tensors", features=[], target="label")
    return Registry([store])


@pytest.fixture
def parts(
    settings: Settings, small_registry: Registry, furnish: Callable[[Settings], None]
) -> Iterator[WebParts]:
    furnish(settings)
    parts = replace(build_parts(settings), registry=small_registry)
    yield parts
    parts.database.close()


def submit(web: FlaskClient, work: Any, table: str, model: str = "area") -> dict[str, Any]:
    """A job that was submitted as a table, and worked off."""
    response = web.post("/api/jobs", data={"model": model, "csv": (io.BytesIO(table.encode()), "rooms.csv")})
    job: dict[str, Any] = response.get_json()
    assert response.status_code == 202, job
    work(job)
    return job


def grey_file(shade: int) -> io.BytesIO:
    file = io.BytesIO()
    Image.new("L", (4, 4), shade).save(file, "PNG")
    file.seek(0)
    return file


def rows_of(web: FlaskClient, job: dict[str, Any]) -> list[dict[str, str]]:
    return list(csv.DictReader(web.get(job["links"]["results_csv"]).get_data(as_text=True).splitlines()))


def text_of(source: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", source)))


def test_a_value_comes_with_its_unit_over_the_api_and_in_tables(web: FlaskClient, work: Any) -> None:
    job = submit(web, work, "length,width,area\n3,4.5,13\n2,5,\n")

    first, second = web.get(job["links"]["results"]).get_json()["results"]

    told = (first["answer"], first["label"], first["labels"], first["score"], first["output"], first["top"])
    assert told == ("13.5 m²", None, None, 13.5, [13.5], None)
    assert (first["expected"], second["expected"]) == ("13", None)
    assert [(row["score"], row["predicted area (m²)"], row["expected"]) for row in rows_of(web, job)] == [
        ("13.5", "13.5", "13"), ("10.0", "10.0", ""),
    ]  # fmt: skip


def test_true_values_are_written_as_the_features_are(web: FlaskClient, work: Any) -> None:
    """A spreadsheet with decimal commas has them in all its columns."""
    job = submit(web, work, "length;width;area\n3,5;4;13,25\n2;5;-1,5e-7\n")

    assert [row["expected"] for row in rows_of(web, job)] == ["13.25", "-1.5e-7"]


@pytest.mark.parametrize(
    ("table", "field", "expected"),
    [
        ("length,width,area\n3,4,large\n", "csv line 2, column 3", "area: a number, in m²"),
        ("length,width,area\n3,4,nan\n", "csv line 2, column 3", "area: a number, in m²"),
        ("length,width,area\n3,4,1e999\n", "csv line 2, column 3", "area: a number, in m²"),
        ("length;width;area\n3,5;4;13.5\n", "csv line 2, column 3", "the decimal sign of the others"),
        ("length;width;area\n3;4;1.046\n", "csv line 2, column 3", "read in one way"),
    ],
)
def test_a_truth_that_is_no_number_is_refused_by_its_place(
    web: FlaskClient, table: str, field: str, expected: str
) -> None:
    answer = web.post("/api/jobs", data={"model": "area", "csv": (io.BytesIO(table.encode()), "a.csv")})

    (fault,) = answer.get_json()["faults"]
    assert answer.status_code == 400
    assert fault["field"] == field
    assert expected in fault["expected"]


def test_a_value_that_is_not_finite_fails_its_item_alone(web: FlaskClient, work: Any) -> None:
    job = submit(web, work, "length,width\n1e30,1e30\n3,4\n")

    failed, answered = web.get(job["links"]["results"]).get_json()["results"]

    assert (failed["state"], failed["error"]["code"]) == ("failed", "inference_failed")
    assert answered["answer"] == "12 m²"


def test_the_page_shows_values_ranges_and_how_far_they_are_from_the_truth(
    web: FlaskClient, work: Any
) -> None:
    job = submit(web, work, "length,width,area\n3,4,13\n2,5,10\n10,10,90\n")

    page = web.get(job["links"]["page"]).get_data(as_text=True)
    text = text_of(page)

    assert "12 m²" in text and "truly 13 m², 1 too low" in text and "truly 90 m², 10 too high" in text
    assert "0 to 100 m²" in text
    assert re.search(r"Mean error \(MAE\) 3\.66667\s+m²", text)
    assert re.search(r"\(RMSE\) 5\.8023\s+m²", text)
    assert "R² 0.975" in text
    assert page.count('class="dots ') == 1
    assert 'd="M24 216h0M30 210h0M216 0h0"' in page


def test_an_image_has_a_value_too(web: FlaskClient, work: Any) -> None:
    form = {"model": "brightness", "file": (grey_file(51), "dusk.png")}
    job = web.post("/api/jobs", data=form).get_json()
    work(job)

    (item,) = web.get(job["links"]["results"]).get_json()["results"]
    page = text_of(web.get(job["links"]["page"]).get_data(as_text=True))

    assert (item["answer"], item["output"]) == ("0.2", [pytest.approx(0.2)])
    assert "0.2" in page and "to 100" not in page


def test_values_are_counted_in_a_histogram_whose_columns_lead_to_their_items(
    web: FlaskClient, work: Any
) -> None:
    submit(web, work, "length,width\n" + "".join(f"{n},1\n" for n in range(1, 41)))

    (model,) = web.get("/api/stats").get_json()["models"]
    page = web.get("/stats").get_data(as_text=True)
    links = dict.fromkeys(re.findall(r'href="(/results\?[^"]*min_score=[^"]*)"', page))
    found = [len(web.get("/api" + html.unescape(link)).get_json()["results"]) for link in links]

    assert model["values"][0] == {"minimum": 0.0, "maximum": 5.0, "items": 4}
    assert [each["items"] for each in model["values"]] == found
    assert sum(found) == 40
    assert (model["labels"], sum(each["items"] for each in model["scores"])) == ([], 0)
    assert "5 to 10 m²: 5 items" in text_of(page)


def test_values_far_from_all_others_stand_in_open_columns_that_lead_to_them(
    web: FlaskClient, work: Any
) -> None:
    for _ in range(9):
        submit(web, work, "length,width\n" + "".join(f"{n},1\n" for n in range(45)))
    submit(web, work, "length,width\n1e15,1e15\n-1e15,1e15\n")

    page = web.get("/stats").get_data(as_text=True)
    links = re.findall(r'<tr><th scope="row">((?:below|from)[^<]*)</th><td><a href="([^"]*)">1</a>', page)
    found = {
        name: [each["score"] for each in web.get("/api" + html.unescape(href)).get_json()["results"]]
        for name, href in links
    }

    # As float32 has them.
    assert {name: [f"{score:.3g}" for score in scores] for name, scores in found.items()} == {
        "below 0 m²": ["-1e+30"], "from 45 m² on": ["1e+30"],
    }  # fmt: skip


def test_a_search_finds_values_by_number_and_what_has_no_label_has_not_failed(
    web: FlaskClient, work: Any
) -> None:
    submit(web, work, "length,width\n1,1\n1e30,1e30\n3,4\n-5,4\n")

    def found(query: str) -> list[float | None]:
        return [each["score"] for each in web.get(f"/api/results?{query}").get_json()["results"]]

    assert found("state=succeeded") == [-20.0, 12.0, 1.0]
    assert found("state=failed") == [None]
    assert found("min_score=-20&max_score=1") == [-20.0]  # only a probability of 1 is below 1
    assert found("min_score=1&max_score=1e9") == [12.0, 1.0]


def test_one_number_of_a_model_of_tensors_is_counted_as_a_value(web: FlaskClient, work: Any) -> None:
    job = web.post("/api/jobs", json={"model": "number", "inputs": [[3, 4], [3, 5]]}).get_json()
    work(job)

    (model,) = web.get("/api/stats").get_json()["models"]

    assert sum(each["items"] for each in model["values"]) == 2


def test_the_form_and_the_card_say_what_is_answered(web: FlaskClient) -> None:
    form = text_of(web.get("/predictions?model=area").get_data(as_text=True))
    card = text_of(web.get("/models/area").get_data(as_text=True))

    assert "It answers with Area, in m²." in form
    assert "may hold what is true: a number, in m². Then the page also shows mean" in form
    assert "length,width,area 2,2,100" in form
    assert "Seen in training 0 to 100" in card


def test_interactive_calls_get_raw_numbers(small_registry: Registry) -> None:
    reply = Reply({"value": np.array([[12.1], [10]], np.float32)}, {}, None, 0.0, "worker")
    v1, v2 = TensorFlowServing(small_registry, status_of), OpenInference(small_registry, status_of)

    def told(protocol: TensorFlowServing | OpenInference, path: str, body: dict[str, Any]) -> Any:
        ask = protocol.read(HttpRequest("POST", path, {}, json.dumps(body).encode()))
        return json.loads(protocol.write(ask, reply).body)

    examples = {"examples": [{"length": 3, "width": 4}, {"length": 2, "width": 5}]}
    tensor = {"name": "features", "datatype": "FP32", "shape": [2, 2], "data": [3, 4, 2, 5]}
    assert told(v1, "/v1/models/area:regress", examples) == {"results": [12.1, 10.0]}
    assert told(v1, "/v1/models/area:predict", {"instances": [[3, 4], [2, 5]]}) == {
        "predictions": [[12.1], [10.0]]
    }
    assert told(v2, "/v2/models/area/infer", {"inputs": [tensor]})["outputs"] == [
        {"name": "value", "datatype": "FP32", "shape": [2, 1], "data": [12.1, 10.0]}
    ]
