"""Jobs, results, models and health over the API."""

from __future__ import annotations

import csv
import io
import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from PIL import Image

from production_server.errors import Unavailable
from production_server.jobs import read
from production_server.jobs.claim import claim, finish
from production_server.jobs.records import Item, NewItem, NewJob, Success
from production_server.jobs.submit import submit as submit_job
from production_server.jobs.workers import beat
from production_server.models.registry import Registry
from production_server.settings import Settings, read_settings
from production_server.web.api import job_results
from production_server.web.app import create_app
from production_server.web.edge.parts import MAX_STREAMS, WebParts, build_parts
from testing.small_models import write_table_model
from tests.unit.models.test_images import file_of
from tests.unit.web.api.test_submitting import post, post_form, problem


def submit(web: FlaskClient, count: int = 3) -> dict[str, Any]:
    job: dict[str, Any] = post(web, {"model": "table", "inputs": [[n, 7] for n in range(count)]}).get_json()
    return job


def grey_file(value: int) -> io.BytesIO:
    return io.BytesIO(file_of(Image.new("L", (4, 4), value)))


def test_a_job_is_shown_as_it_stands(web: FlaskClient, work: Any) -> None:
    job = submit(web)
    work(job)

    shown = web.get(job["links"]["self"]).get_json()

    assert (shown["state"], shown["succeeded"], shown["failed"]) == ("finished", 3, 0)
    assert shown["created"].endswith("Z") and shown["created"] <= shown["started"] <= shown["finished"]


def test_results_come_in_order_page_by_page(web: FlaskClient, work: Any) -> None:
    job = submit(web, 5)
    work(job)

    first = web.get(f"{job['links']['results']}?limit=3").get_json()
    rest = web.get(f"{job['links']['results']}?limit=3&after={first['next']}").get_json()

    assert [item["index"] for item in first["results"] + rest["results"]] == [0, 1, 2, 3, 4]
    assert rest["next"] is None
    assert first["results"][2] | {"ms": None} == {
        "index": 2, "name": None, "url": None, "state": "succeeded", "answer": "no", "label": "no",
        "labels": None, "score": 0.9,
        "output": [0.9, 0.1],
        "top": [{"label": "no", "score": 0.9}, {"label": "yes", "score": 0.1}],
        "error": None, "expected": None, "outside_training_range": [], "version": "1", "ms": None,
    }  # fmt: skip


def test_a_failed_item_says_why(web: FlaskClient, work: Any) -> None:
    job = post(web, {"model": "table", "inputs": [[10, 7]]}).get_json()
    work(job)

    (item,) = web.get(job["links"]["results"]).get_json()["results"]

    assert (item["state"], item["error"]["code"], item["output"]) == ("failed", "inference_failed", None)
    assert item["top"] is None


def test_of_a_model_that_keeps_its_best_labels_these_are_told_and_no_other_probabilities(
    web: FlaskClient, work: Any
) -> None:
    job = post_form(web, model="shades", file=(grey_file(255), "white.png")).get_json()
    work(job)

    (item,) = web.get(job["links"]["results"]).get_json()["results"]
    events = web.get(job["links"]["events"]).text

    assert (item["label"], item["output"]) == ("shade 29", None)
    assert [each["label"] for each in item["top"]] == ["shade 29", "shade 28", "shade 27"]
    assert item["top"][0]["score"] == item["score"] > item["top"][1]["score"]
    assert json.dumps(item["top"], separators=(",", ":")) in events


def test_a_job_downloads_as_csv_with_its_inputs(web: FlaskClient, work: Any) -> None:
    job = post(web, {"model": "table", "inputs": [[0, 7.5], [9, 99], [10, 7]]}).get_json()
    work(job)

    response = web.get(job["links"]["results_csv"])

    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert response.mimetype == "text/csv" and "attachment" in response.headers["Content-Disposition"]
    assert (rows[0]["index"], rows[0]["weight"], rows[0]["label"]) == ("0", "7.5", "no")
    assert rows[1] == {
        "index": "1", "weight": "99", "state": "succeeded", "label": "yes", "score": "0.45", "probability no": "0.55",
        "probability yes": "0.45", "expected": "", "outside_training_range": "weight", "error_code": "",
        "error_message": "",
    } | {"index": rows[1]["index"]}  # fmt: skip
    assert rows[2]["error_code"] == "inference_failed"


def test_a_job_of_a_model_that_keeps_its_best_labels_downloads_with_a_pair_of_columns_for_each(
    web: FlaskClient, work: Any
) -> None:
    job = post_form(web, model="shades", file=(grey_file(255), "white.png")).get_json()
    waiting = web.get(job["links"]["results_csv"]).text
    work(job)

    header, line = csv.reader(io.StringIO(web.get(job["links"]["results_csv"]).text))

    assert header == [
        "index", "name", "state", "label", "score", "label 1", "score 1", "label 2", "score 2", "label 3", "score 3",
        "expected", "outside_training_range", "error_code", "error_message",
    ]  # fmt: skip
    assert line[5:11:2] == ["shade 29", "shade 28", "shade 27"]
    assert line[4] == line[6]
    assert [len(row) for row in csv.reader(io.StringIO(waiting))] == [len(header)] * 2


def test_a_job_can_be_read_although_its_version_was_removed(web: FlaskClient, parts: WebParts) -> None:
    item = NewItem(b"[1,2]", "a row")
    job, _ = submit_job(
        parts.database, NewJob(model="gone", version="1", items=[item], source="test", client="somebody")
    )
    held = claim(parts.database, job.id, 0, 1, lease_s=60, max_attempts=1)
    assert held is not None
    kept = ((7, 0.8), (3, 0.1))
    finish(parts.database, held, [Success(index=0, label="crane", score=0.8, output=kept, ms=1.0)])

    (row,) = csv.DictReader(io.StringIO(web.get(f"/api/jobs/{job.id}/results.csv").text))
    (told,) = web.get(f"/api/jobs/{job.id}/results").get_json()["results"]

    assert (row["name"], row["state"], row["label"]) == ("a row", "succeeded", "crane")
    assert (told["label"], told["score"], told["output"], told["top"]) == ("crane", 0.8, None, None)


def test_a_file_name_that_looks_like_a_formula_downloads_as_text(web: FlaskClient) -> None:
    png = file_of(Image.new("L", (4, 4)))
    job = post_form(web, model="picture", file=(io.BytesIO(png), "=cmd()!A1.png")).get_json()

    (row,) = csv.DictReader(io.StringIO(web.get(job["links"]["results_csv"]).text))

    assert row["name"] == "'=cmd()!A1.png"


def test_a_job_downloads_as_json(web: FlaskClient, work: Any) -> None:
    job = submit(web, 3)
    work(job)

    response = web.get(job["links"]["results_json"])

    assert json.loads(response.text)["results"] == web.get(job["links"]["results"]).get_json()["results"]


def test_events_tell_each_item_once_and_go_on_after_the_last_one_seen(web: FlaskClient, work: Any) -> None:
    job = submit(web, 3)
    work(job)

    all_events = web.get(job["links"]["events"]).text
    rest = web.get(job["links"]["events"], headers={"Last-Event-ID": "1"}).text

    assert [line for line in all_events.splitlines() if line.startswith("id")] == ["id: 0", "id: 1", "id: 2"]
    assert [line for line in rest.splitlines() if line.startswith(("id", "event"))] == [
        "id: 2", "event: item", "event: job",
    ]  # fmt: skip
    assert problem(web.get(job["links"]["events"], headers={"Last-Event-ID": "x"}))[:2] == (
        400,
        "invalid_input",
    )


def test_events_after_the_last_item_that_a_job_can_have_are_refused_instead_of_awaited(
    web: FlaskClient, work: Any
) -> None:
    job = submit(web, 3)
    work(job)

    response = web.get(job["links"]["events"], headers={"Last-Event-ID": "3"})

    assert problem(response)[0::2] == (400, ["Last-Event-ID"])


def test_a_stream_that_finds_no_place_tells_what_there_is_and_lets_its_client_come_again(
    web: FlaskClient, parts: WebParts, settings: Settings
) -> None:
    job = submit(web, 3)

    with ExitStack() as others:
        for _ in range(settings.web_threads // 2):
            assert others.enter_context(parts.waits.place())(0)
        for _ in range(MAX_STREAMS):
            assert others.enter_context(parts.streams.place())(0)
        events = web.get(job["links"]["events"]).text
        waited = post(web, {"model": "table", "inputs": [[1, 7]]}, Prefer="wait=60")

    assert events == "retry: 2000\n\n"
    assert (waited.status_code, waited.get_json()["state"]) == (202, "queued")


def test_a_stream_goes_on_when_the_database_is_back(
    web: FlaskClient, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(web, 3)
    outages = iter([True, True])

    def list_items(*args: Any, **kwargs: Any) -> list[Item]:
        if next(outages, False):
            raise Unavailable("the database is away")
        return read.list_items(*args, **kwargs)

    work(job)
    monkeypatch.setattr(job_results, "list_items", list_items)
    events = web.get(job["links"]["events"]).text

    assert [line for line in events.splitlines() if line.startswith("id")] == ["id: 0", "id: 1", "id: 2"]


def test_a_server_that_stops_lets_nobody_wait(web: FlaskClient, parts: WebParts) -> None:
    job = submit(web, 3)

    parts.let_nobody_wait()

    assert web.get(job["links"]["events"]).text == "retry: 2000\n\n"


def test_jobs_are_listed_newest_first(web: FlaskClient) -> None:
    ids = [submit(web, 1)["id"] for _ in range(3)]

    first = web.get("/api/jobs?limit=2&model=table&state=queued").get_json()
    rest = web.get(f"/api/jobs?limit=2&after={first['next']}").get_json()

    assert sorted((job["id"] for job in first["jobs"] + rest["jobs"]), reverse=True) == sorted(
        ids, reverse=True
    )
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=x", "limit"), ("limit=1001", "limit"), ("state=lost", "state"), ("after=1", "after"),
     ("page=2", "page"), ("limit=1&limit=2", "limit"), ("model=%00", "model")],
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_refused_by_field(web: FlaskClient, query: str, field: str) -> None:
    assert problem(web.get(f"/api/jobs?{query}")) == (400, "invalid_input", [field])


def test_cancelling_leaves_nothing_to_do(web: FlaskClient) -> None:
    job = submit(web, 3)

    cancelled = web.delete(job["links"]["self"]).get_json()

    assert (cancelled["state"], cancelled["cancelled"]) == ("cancelled", 3)


@pytest.mark.parametrize("path", ["", "/results", "/results.csv", "/results.json", "/events"])
def test_a_job_that_does_not_exist_is_not_found(web: FlaskClient, path: str) -> None:
    assert problem(web.get(f"/api/jobs/{uuid4()}{path}"))[:2] == (404, "job_not_found")
    assert problem(web.get(f"/api/jobs/nonsense{path}"))[:2] == (404, "not_found")


def test_a_path_that_leads_nowhere_is_named(web: FlaskClient) -> None:
    answer = web.get("/api/jobs/nonsense")

    assert answer.get_json()["detail"] == "not found: there is nothing at /api/jobs/nonsense"


def test_a_method_that_a_path_does_not_take_is_refused_with_those_it_takes(web: FlaskClient) -> None:
    response = web.put("/api/jobs")

    assert problem(response)[:2] == (405, "method_not_allowed")
    assert "POST" in response.headers["Allow"]


def test_models_are_shown_with_their_manifests(web: FlaskClient) -> None:
    models = {model["name"]: model for model in web.get("/api/models").get_json()["models"]}

    assert {"diabetes", "fashion_mnist", "table", "picture"} <= set(models)
    assert models["table"] == web.get("/api/models/table").get_json()
    assert (models["table"]["versions"], models["table"]["channels"]) == (["1"], {"stable": "1"})
    assert models["table"]["manifest"]["schema"] == 1
    assert problem(web.get("/api/models/nothing"))[:2] == (404, "model_not_found")


def test_the_service_is_ready_only_with_a_warm_worker(web: FlaskClient, parts: WebParts) -> None:
    alone = web.get("/readyz")
    beat(parts.database, "cold", warm=[], items_done=0)
    cold = web.get("/readyz")
    beat(parts.database, "warm", warm=["table/1"], items_done=0)
    warm = web.get("/readyz")

    assert [alone.status_code, cold.status_code, warm.status_code] == [503, 503, 200]
    assert alone.get_json()["checks"]["workers"] == {"ok": False, "detail": "no warm worker is alive"}
    assert alone.get_json()["checks"]["database"]["ok"]
    assert web.get("/livez").get_json()["status"] == "ok"


def test_a_model_that_keras_runs_is_told_as_one(parts: WebParts, tmp_path: Path) -> None:
    write_table_model(tmp_path / "store")
    write_table_model(tmp_path / "store", "words", runner="keras")
    web = create_app(replace(parts, registry=Registry([tmp_path / "store"]))).test_client()
    beat(parts.database, "serving", warm=["table/1"], items_done=0)
    without = web.get("/readyz").get_json()["checks"]["workers"]
    beat(parts.database, "training", warm=["table/1", "words/1"], items_done=0)
    loaded = web.get("/readyz").get_json()["checks"]["workers"]

    assert without == {
        "ok": True,
        "detail": "1 alive: serving; 0 of the 1 models that Keras runs (it needs TensorFlow) loaded by workers",
    }
    assert loaded["detail"].startswith("2 alive: serving, training; 1 of the 1 models")
    assert web.get("/api/models/words").get_json()["manifest"]["runner"] == "keras"
    assert "in workers that have TensorFlow" in web.get("/models/words").text
    assert "in workers that have TensorFlow" not in web.get("/models/table").text


def test_without_its_database_the_service_is_unavailable_and_not_broken() -> None:
    parts = build_parts(read_settings({"DATABASE_URL": "postgresql://u:s3cret@127.0.0.1:1/d"}))
    web = create_app(parts).test_client()

    ready, jobs = web.get("/readyz"), web.get("/api/jobs")

    assert ready.status_code == 503 and not ready.get_json()["checks"]["database"]["ok"]
    assert problem(jobs)[:2] == (503, "unavailable")
    assert jobs.headers["Retry-After"] == "5"
    assert "s3cret" not in ready.text + jobs.text


def test_every_answer_carries_the_security_headers(web: FlaskClient) -> None:
    for path in ("/", "/api/jobs", "/nothing", "/livez"):
        headers = web.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "microphone=()" in headers["Permissions-Policy"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://celeriac.local", "max-age=31536000"),
        ("https://celeriac.local:5100", "max-age=31536000"),
        ("http://celeriac.local", None),
        ("https://localhost:5100", None),
        ("https://localhost", None),
    ],
)
def test_browsers_are_told_to_stay_with_https_where_it_is_but_not_on_localhost(
    web: FlaskClient, url: str, expected: str | None
) -> None:
    for path in ("/", "/nothing", "/api/jobs"):
        assert web.get(path, base_url=url).headers.get("Strict-Transport-Security") == expected


@pytest.mark.parametrize("path", ["", "/versions/1", "/labels/stable"])
@pytest.mark.parametrize("verb", ["predict", "classify"])
def test_a_call_of_v1_that_is_not_posted_says_so(web: FlaskClient, path: str, verb: str) -> None:
    response = web.get(f"/v1/models/table{path}:{verb}")

    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert web.get(f"/v1/models/table{path}").status_code == 200
