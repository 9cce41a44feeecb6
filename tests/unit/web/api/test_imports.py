"""POST /api/models and /api/imports, and the pages over them: files of models come in, and their faults are named."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from production_server.jobs.workers import beat
from production_server.models.importing.uploads import FOLDER
from production_server.serving.known_standings import KnownStandings
from production_server.serving.overview import Overview
from production_server.settings import Settings
from production_server.storage.locations import Location
from production_server.web.app import create_app
from production_server.web.edge.parts import WebParts, build_parts
from production_server.worker.importer import Importer
from testing.foreign_graphs import FOREIGN_MODELS

IRIS = (FOREIGN_MODELS / "iris_pipeline.onnx").read_bytes()
HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(2000)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path, max_body_bytes=200_000, import_file_bytes=100_000, gate_latency=1000)


@pytest.fixture
def parts(settings: Settings, furnish: Callable[[Settings], None]) -> Iterator[WebParts]:
    furnish(settings)
    parts = build_parts(settings)
    yield parts
    parts.database.close()


@pytest.fixture
def web(parts: WebParts) -> FlaskClient:
    return create_app(parts).test_client()


@pytest.fixture
def importer(parts: WebParts) -> Importer:
    known = KnownStandings(parts.database)
    known.look_again()
    overview = Overview(parts.database, parts.registry, known)
    return Importer(parts.database, overview, parts.settings, parts.storage)


def send(web: FlaskClient, path: str = "/api/models", data: bytes = IRIS, **fields: Any) -> TestResponse:
    files = {name: (io.BytesIO(each), name) for name, each in fields.items() if isinstance(each, bytes)}
    texts = {name: each for name, each in fields.items() if not isinstance(each, bytes)}
    form: dict[str, Any] = {"name": "mine", "file": (io.BytesIO(data), "iris.onnx"), **texts, **files}
    given = {name: each for name, each in form.items() if each is not None}
    return web.post(path, data=given, content_type="multipart/form-data")


def body_of(answer: TestResponse) -> Any:
    return json.loads(answer.get_data())


def fault_of(answer: TestResponse) -> tuple[int, str, str]:
    body = body_of(answer)
    return answer.status_code, body["code"], (body["faults"] or [{"field": ""}])[0]["field"]


def test_a_file_becomes_a_version_that_answers(web: FlaskClient, importer: Importer, parts: WebParts) -> None:
    answer = send(web, title="Flowers", features="a, b,c ,d", describe='{"description": "Four lengths."}')
    sent = body_of(answer)
    assert (answer.status_code, sent["state"], sent["model"]) == (202, "waiting", "mine")
    assert answer.headers["Location"] == sent["links"]["self"]

    importer.look()

    over = body_of(web.get(sent["links"]["self"]))
    assert (over["state"], over["version"], over["error"]) == ("succeeded", "1", None)
    assert any("output_label" in note for note in over["notes"])
    manifest = parts.registry.resolve("mine", "1").manifest
    assert (manifest.title, manifest.description) == ("Flowers", "Four lengths.")
    assert [each.name for each in manifest.features] == ["a", "b", "c", "d"]
    job = web.post("/api/jobs", json={"model": "mine", "inputs": [[5.1, 3.5, 1.4, 0.2]]})
    assert job.status_code == 202


def test_a_dry_run_tells_what_it_would_be(web: FlaskClient, importer: Importer) -> None:
    sent = body_of(send(web, dry_run="true"))

    importer.look()

    over = body_of(web.get(sent["links"]["self"]))
    assert (over["state"], over["dry_run"], over["version"]) == ("succeeded", True, None)
    assert over["manifest"]["labels"] == ["setosa", "versicolor", "virginica"]
    assert web.get("/api/models/mine").status_code == 404


def test_a_sample_tells_names_and_ranges(web: FlaskClient, importer: Importer) -> None:
    sample = b"length,width,petal,narrow,kind\n5.1,3.5,1.4,0.2,setosa\n6.2,2.9,4.3,1.3,versicolor\n"
    sent = body_of(send(web, sample=sample, target="kind"))

    importer.look()

    manifest = body_of(web.get(sent["links"]["self"]))["manifest"]
    assert [each["name"] for each in manifest["features"]] == ["length", "width", "petal", "narrow"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"data": b"nothing"}, (400, "invalid_input", "file")),
        ({"data": b""}, (400, "empty_file", "file")),
        ({"file": None}, (400, "invalid_input", "file")),
        ({"file": "iris.onnx"}, (400, "invalid_input", "file")),
        ({"name": "No Name"}, (400, "invalid_input", "name")),
        ({"name": None}, (400, "invalid_input", "name")),
        ({"name": "../../etc"}, (400, "invalid_input", "name")),
        ({"weights": b"x"}, (400, "invalid_input", "weights")),
        ({"other": b"x"}, (400, "invalid_input", "form")),
        ({"model": "mine"}, (400, "invalid_input", "model")),
        ({"describe": "{"}, (400, "malformed_json", "describe")),
        ({"describe": "[]"}, (400, "invalid_input", "describe")),
        ({"describe": '{"titel": "x"}'}, (400, "invalid_input", "titel")),
        ({"threshold": "2"}, (400, "invalid_input", "threshold")),
        ({"breaking": "perhaps"}, (400, "invalid_input", "breaking")),
        ({"data": bytes(100_001)}, (413, "too_large", "file")),
        ({"sample": bytes(100_001)}, (413, "too_large", "sample")),
        ({"data": bytes(300_001)}, (413, "too_large", "")),
    ],
)
def test_what_is_wrong_with_a_form_is_named_and_nothing_is_kept(
    web: FlaskClient, settings: Settings, changes: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    assert fault_of(send(web, **changes)) == expected
    assert not list((settings.model_stores[-1] / FOLDER).glob("*"))
    assert body_of(web.get("/api/imports"))["imports"] == []


def test_what_comes_twice_is_refused(web: FlaskClient) -> None:
    two = [(io.BytesIO(IRIS), "a.onnx"), (io.BytesIO(IRIS), "b.onnx")]

    assert fault_of(web.post("/api/models", data={"name": "mine", "file": two})) == (
        400,
        "invalid_input",
        "file",
    )


def test_another_body_than_a_form_is_refused(web: FlaskClient) -> None:
    assert fault_of(web.post("/api/models", json={"name": "mine"}))[:2] == (415, "unsupported_media_type")


def test_a_store_without_room_is_told_of(web: FlaskClient, settings: Settings) -> None:
    settings.model_stores[-1].write_text("no folder")

    assert fault_of(send(web))[:2] == (507, "store_not_writable")


@pytest.mark.parametrize(
    ("imports", "waits_for"),
    [(None, "none is alive"), ("onnx", "with TensorFlow"), ("all", "Waiting for a worker.")],
)
def test_what_it_waits_for_is_told(web: FlaskClient, parts: WebParts, imports: Any, waits_for: str) -> None:
    beat(parts.database, "w", warm=[], items_done=0, imports=imports)
    sent = body_of(send(web, data=HDF5))

    assert waits_for in body_of(web.get(sent["links"]["self"]))["doing"]
    assert waits_for in web.get(f"/imports/{sent['id']}").get_data(as_text=True)


def test_imports_are_listed_page_by_page_and_cancelled(web: FlaskClient, settings: Settings) -> None:
    ids = [body_of(send(web))["id"] for _ in range(3)]

    page = body_of(web.get("/api/imports?limit=2"))
    rest = body_of(web.get(f"/api/imports?after={page['next']}"))
    assert [each["id"] for each in page["imports"] + rest["imports"]] == ids[::-1]

    assert body_of(web.delete(f"/api/imports/{ids[0]}"))["state"] == "cancelled"
    assert sorted(path.name for path in (settings.model_stores[-1] / FOLDER).glob("*")) == sorted(ids[1:])
    assert fault_of(web.get("/api/imports/01a22b7d-fb39-7ae3-9b13-03f75eaf8e42"))[:2] == (
        404,
        "import_not_found",
    )


def test_a_version_cannot_be_cancelled(web: FlaskClient, importer: Importer) -> None:
    sent = body_of(send(web))
    importer.look()

    assert fault_of(web.delete(sent["links"]["self"]))[:2] == (409, "import_over")


def test_the_page_takes_a_file_and_follows_it(web: FlaskClient, importer: Importer) -> None:
    answer = send(web, "/imports", title="", labels="", describe="  ")
    assert answer.status_code == 303
    place = answer.headers["Location"]
    waiting = web.get(place).get_data(as_text=True)

    importer.look()

    over = web.get(place).get_data(as_text=True)
    assert 'data-is-over="false"' in waiting and "follow.js" in waiting
    assert 'data-is-over="true"' in over and "Version 1" in over and "setosa, versicolor, virginica" in over
    assert "/predictions?model=mine" in over and "It serves as stable" in over
    assert "iris.onnx" in web.get("/imports").get_data(as_text=True)


def test_the_page_shows_what_is_wrong_beside_the_field_and_keeps_what_was_typed(web: FlaskClient) -> None:
    answer = send(web, "/imports", name="No Name", title="Kept <b>")

    page = answer.get_data(as_text=True)
    assert answer.status_code == 400
    assert 'id="name-error"' in page and 'value="No Name"' in page and "Kept &lt;b&gt;" in page


def test_the_page_tells_what_is_too_large(web: FlaskClient) -> None:
    whole, file = send(web, "/imports", data=bytes(300_001)), send(web, "/imports", data=bytes(100_001))

    assert (whole.status_code, file.status_code) == (413, 413)
    assert "File: expected at most 97.7 kB at once" in " ".join(whole.get_data(as_text=True).split())
    assert "at most 100,000 bytes (IMPORT_FILE_BYTES)" in " ".join(file.get_data(as_text=True).split())


def test_the_page_says_why_there_is_no_version(web: FlaskClient, importer: Importer) -> None:
    place = send(web, "/imports", labels="a,b").headers["Location"]
    importer.look()

    page = web.get(place).get_data(as_text=True)
    assert "There is no version" in page and "Labels: expected" in page
    assert web.post(f"{place}/cancel", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303


@pytest.mark.parametrize(
    ("sent_as", "kept_as"),
    [
        ("a b/iris.onnx", "iris.onnx"),
        ("..\\..\\iris.onnx", "iris.onnx"),
        ("..", "file"),
        (".hidden.onnx", "hidden.onnx"),
        ("naïve model;$(rm).onnx", "na_ve_model__(rm).onnx"),
        ("x" * 300 + ".onnx", "x" * 115 + ".onnx"),
    ],
)
def test_a_file_lies_under_a_name_that_is_only_a_name(
    web: FlaskClient, settings: Settings, sent_as: str, kept_as: str
) -> None:
    form = {"name": "mine", "file": (io.BytesIO(IRIS), sent_as)}
    answer = web.post("/api/models", data=form, content_type="multipart/form-data")

    assert answer.status_code == 202
    (kept,) = (path for path in (settings.model_stores[-1] / FOLDER).rglob("*") if path.is_file())
    assert (kept.name, kept.parent.name) == (kept_as, "model")


def test_what_the_gate_keeps_out_is_told_with_all_that_it_says(web: FlaskClient, importer: Importer) -> None:
    send(web)
    refused = body_of(send(web, labels="a,b,c"))
    allowed = body_of(send(web, labels="a,b,c", breaking="true", despite="latency, memory"))
    while importer.look():
        pass

    over = body_of(web.get(refused["links"]["self"]))
    assert (over["state"], over["error"]["code"]) == ("failed", "gate_closed")
    assert [fault["field"] for fault in over["error"]["faults"]] == ["signature"]
    verdicts = {check["name"]: check["verdict"] for check in over["report"]["checks"]}
    assert (verdicts["signature"], verdicts["loads"]) == ("failed", "passed")
    page = " ".join(web.get(f"/imports/{refused['id']}").get_data(as_text=True).split())
    assert "held against version 1" in page and "something else than version 1 has: labels" in page
    assert page.count("something else than version 1 has: labels") == 1
    assert 'It does not pass <a href="#gate-title">the gate</a>: signature.' in page
    over = body_of(web.get(allowed["links"]["self"]))
    assert (over["state"], over["report"]["checks"][0]["verdict"]) == ("succeeded", "allowed")


def test_a_check_that_may_never_fail_cannot_be_named(web: FlaskClient) -> None:
    assert fault_of(send(web, despite="metrics,loads")) == (400, "invalid_input", "despite")


def test_a_file_is_named_by_where_it_lies(web: FlaskClient, parts: WebParts, tmp_path: Path) -> None:
    allowed = (Location.parse(f"file://{tmp_path}/in"),)
    intake = replace(parts.imports, settings=replace(parts.settings, storage_allow=allowed))
    web = create_app(replace(parts, imports=intake)).test_client()
    url = f"file://{tmp_path}/in/iris.onnx"

    taken = send(web, file=None, url=url)
    page = send(web, "/imports", file=None, url=url)
    refused = send(web, "/imports", file=None, url="https://example.com/m.onnx")

    assert (taken.status_code, body_of(taken)["file"], page.status_code) == (202, "iris.onnx", 303)
    assert 'id="url-error"' in refused.get_data(as_text=True)
    assert "https://example.com/m.onnx" in refused.get_data(as_text=True)
    assert fault_of(send(web, url=url)) == (400, "invalid_input", "url")
    assert fault_of(send(web, sample_url="s3://other/rows.csv")) == (
        400,
        "location_not_allowed",
        "sample_url",
    )
