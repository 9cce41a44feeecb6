from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from production_server.jobs.database import Database
from production_server.jobs.records import Job
from production_server.jobs.workers import beat
from testing.small_models import ZERO_SHA, write_image_model
from tests.unit.web.pages.conftest import PLOT, Page, row

Get = Callable[[str], Page]


def test_the_welcome_page_shows_models_with_their_task_version_and_metrics(get: Get) -> None:
    page = get("/")

    assert "Table Rows of numbers · 2 labels · version 2" in page.text
    assert "Picture Images · 2 labels · version 1" in page.text
    assert "Accuracy 50.0 %" in page.text
    assert 'href="/docs"' in page.source
    assert 'href="/openapi.json"' in page.source


def test_the_welcome_page_tells_which_models_are_loaded_and_who_works(get: Get, database: Database) -> None:
    assert get("/").text.count("Not loaded by any worker") == 2
    assert "No worker is alive." in get("/").text

    beat(database, "worker-1", warm=["table/2"], items_done=1234)

    told = get("/").text
    assert "Ready in 1 worker" in told
    assert told.count("Not loaded by any worker") == 1
    assert "worker-1 1 234 items done · 1 of 2 models loaded" in told


def test_the_welcome_page_lists_recent_jobs_by_the_title_of_their_model(
    get: Get, make_job: Callable[..., Job]
) -> None:
    assert "None yet." in get("/").text

    job = make_job([row(3, 7)] * 2)

    assert f'<a href="/predictions/{job.id}">Table, 2' in get("/").source


def test_who_opens_an_address_that_takes_forms_gets_its_page(web: FlaskClient) -> None:
    """As after a form that was refused, which is shown there."""
    by_method = {
        method: {str(rule) for rule in web.application.url_map.iter_rules() if method in (rule.methods or ())}
        for method in ("GET", "POST")
    }
    pages = {rule for rule in by_method["POST"] if not rule.startswith(("/api/", "/v1/", "/v2/", "/events"))}
    assert "/models/<name>/versions/promote" in pages

    assert pages <= by_method["GET"]
    again = web.get("/models/table/versions/promote", headers={"Accept": "text/html"})
    assert (again.status_code, again.location) == (303, "/models/table/versions")
    assert web.get("/logout").location == "/"


def test_an_empty_store_is_told_on_every_page(get: Get, model_store: Path) -> None:
    for manifest in model_store.glob("*/*/manifest.json"):
        manifest.unlink()

    assert "the model store is empty" in get("/").text
    assert "There is no model yet." in get("/predictions").text
    assert get("/models/table").status == 404


def test_a_model_card_tells_what_the_manifest_says(get: Get) -> None:
    page = get("/models/table")

    assert "Version 2 stable" in page.text
    assert "The answer is “yes” from a probability of 20.0 % on. a test" in page.text
    assert "Weight weight kg 1 to 50 0" in page.text
    assert "Index index steps 0 to 9 not possible" in page.text
    assert 'alt="ROC curve of Table"' in page.source
    assert "Licence none" in page.text
    assert "0" * 64 in page.text


def test_a_thousand_labels_are_counted_and_folded_away(get: Get, model_store: Path) -> None:
    labels = [f"kind {number}" for number in range(1000)]
    write_image_model(model_store, name="many", labels=labels, top=5)

    card, form, welcome = get("/models/many"), get("/predictions?model=many"), get("/")

    assert "<details><summary>1\N{NARROW NO-BREAK SPACE}000\N{NO-BREAK SPACE}labels</summary>" in card.source
    assert card.source.count("kind 777") == 1
    assert "A job keeps the 5 best." in card.text
    assert "with one of 1 000 labels" in form.text
    assert "kind 777" not in form.source
    assert "Many Images · 1 000 labels · version 1" in welcome.text


@pytest.mark.parametrize(("offset", "told"), [(0.0, "× 2."), (-1.0, "× 2 − 1."), (0.5, "× 2 + 0.5.")])
def test_a_model_card_tells_what_becomes_of_a_pixel(
    get: Get, model_store: Path, offset: float, told: str
) -> None:
    image = {"mode": "L", "width": 4, "height": 4, "scale": 2.0, "offset": offset}
    write_image_model(model_store, name="scaled", image=image)

    assert f"Each pixel becomes pixel {told}" in get("/models/scaled").text


def test_a_model_of_which_nothing_was_measured_says_so(get: Get, model_store: Path) -> None:
    metrics = {"data": "nothing", "method": "Nobody has measured it.", "values": {}}
    write_image_model(model_store, name="untried", metrics=metrics)

    card, welcome = get("/models/untried"), get("/")

    assert "How good it is Nobody has measured it." in card.text
    assert "Measured on" not in card.text
    assert "A tiny model for tests. Not loaded by any worker" in welcome.text


def test_a_version_in_whole_numbers_says_of_which_one_it_is(get: Get, model_store: Path) -> None:
    of = {"version": "1", "sha256": ZERO_SHA, "calibration": "500 images of the sample", "items": 500}
    write_image_model(
        model_store,
        version="2",
        parity=None,
        quantized=of | {"weight_bits": 7, "agreeing": 498, "apart": 0.019},
    )

    assert (
        "Made from version 1 in whole numbers of 8 bits, by 500 images of the sample: "
        "the same label for 498 of 500 items, numbers 1.9% of their spread apart."
    ) in get("/models/picture").text


def test_the_calls_on_a_model_card_name_this_server_and_the_example(get: Get) -> None:
    text_of_table, text_of_picture = get("/models/table").text, get("/models/picture").text

    assert "curl -s http://localhost/api/jobs -H 'Prefer: wait=10'" in text_of_table
    assert '-d \'{"model": "table", "inputs": [[3.0, 7.0]]}\'' in text_of_table
    assert "python -m client predict --url http://localhost --model table 3 7" in text_of_table
    assert "-F model=picture -F file=@first.png" in text_of_picture


def test_an_older_version_has_a_card_of_its_own(get: Get) -> None:
    page = get("/models/table?version=1")

    assert page.status == 200
    assert "ROC curve" not in page.text
    assert 'href="/predictions?model=table&amp;version=1"' in page.source
    assert get("/models/table?version=9").status == 404


def test_a_plot_is_served_sandboxed(web: FlaskClient) -> None:
    answer = web.get("/models/table/2/plots/roc.svg")

    assert answer.data == PLOT
    assert answer.headers["Content-Type"].startswith("image/svg+xml")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "script-src" not in answer.headers["Content-Security-Policy"]


def test_a_plot_that_the_browser_has_is_not_sent_again(web: FlaskClient) -> None:
    first = web.get("/models/table/2/plots/roc.svg")

    again = web.get("/models/table/2/plots/roc.svg", headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/models/table/2/plots/other.svg",
        "/models/table/2/plots/../model.onnx",
        "/models/table/2/plots/../manifest.json",
        "/models/table/2/plots/%2e%2e/model.onnx",
        "/models/table/2/plots/..%2f..%2f1%2fmodel.onnx",
        "/models/table/2/plots//etc/passwd",
        "/models/table/1/plots/roc.svg",
        "/models/table/2/plots/roc.svg/",
        "/models/none/2/plots/roc.svg",
    ],
)
def test_a_file_that_is_no_listed_plot_is_not_served(web: FlaskClient, model_store: Path, path: str) -> None:
    (model_store / "table" / "2" / "plots" / "other.svg").write_bytes(PLOT)

    assert web.get(path).status_code in (404, 308)


def test_a_listed_file_outside_plots_is_not_served(web: FlaskClient, model_store: Path) -> None:
    manifest = model_store / "table" / "2" / "manifest.json"
    told = json.loads(manifest.read_text())
    told["files"]["plots/model.onnx"] = told["files"]["model.onnx"]
    manifest.write_text(json.dumps(told))

    assert web.get("/models/table/2/plots/model.onnx").status_code == 404


def test_a_plot_whose_bytes_were_changed_is_not_served(web: FlaskClient, model_store: Path) -> None:
    (model_store / "table" / "2" / "plots" / "roc.svg").write_bytes(PLOT.replace(b"9", b"8"))

    assert web.get("/models/table/2/plots/roc.svg").status_code == 503


def test_an_unknown_path_is_a_friendly_page(get: Get) -> None:
    page = get("/nothing")

    assert page.status == 404
    assert "There is nothing here." in page.text
    assert 'href="/predictions"' in page.source


def test_a_method_that_a_page_does_not_take_is_a_page_too(web: FlaskClient) -> None:
    answer = web.delete("/predictions")

    assert answer.status_code == 405
    assert answer.headers["Content-Type"].startswith("text/html")


def test_a_database_that_does_not_answer_is_a_page_that_says_try_again(get: Get, database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("ALTER TABLE worker RENAME TO gone"))

    page = get("/")

    assert page.status == 503
    assert "What was accepted before is safe." in page.text


def test_no_page_holds_an_inline_script_or_style(get: Get, make_job: Callable[..., Job]) -> None:
    job = make_job([row(3, 7)])

    for path in (
        "/",
        "/predictions?model=table",
        "/predictions?model=picture",
        f"/predictions/{job.id}",
        "/models/table",
        "/nothing",
    ):
        source = get(path).source
        assert " style=" not in source, path
        assert "<style" not in source, path
        assert "javascript:" not in source, path
        assert source.count("<script") == source.count('<script type="module" src="/static/'), path


def test_static_files_are_served(web: FlaskClient) -> None:
    for name in ("page.css", "logo.svg", "forms.js", "images.js", "drawing.js", "job.js"):
        with web.get(f"/static/{name}") as answer:
            assert answer.status_code == 200
