"""What POST /api/jobs takes, and what each kind of bad input gets."""

from __future__ import annotations

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import select
from werkzeug.test import TestResponse

from production_server.jobs.read import list_jobs
from production_server.jobs.tables import job
from production_server.web.app import create_app
from production_server.web.edge.parts import WebParts
from testing.processes import wait_until
from tests.unit.models.test_images import file_of, png_that_claims

ROW = [3, 7]


def post(web: FlaskClient, body: Any, **headers: str) -> TestResponse:
    return web.post(
        "/api/jobs", json=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def post_form(web: FlaskClient, **fields: Any) -> TestResponse:
    return web.post("/api/jobs", data=fields, content_type="multipart/form-data")


def post_file(web: FlaskClient, data: bytes, name: str = "a.png", kind: str = "image/png") -> TestResponse:
    return post_form(web, model="picture", file=(io.BytesIO(data), name, kind))


def problem(response: TestResponse) -> tuple[int, str, list[str]]:
    """A problem's status, code and faulty fields, after a look at its form."""
    body = response.get_json(force=True)
    assert response.mimetype == "application/problem+json"
    assert (body["status"], body["type"]) == (response.status_code, "about:blank")
    assert body["title"] and body["detail"] and "Traceback" not in response.text
    return response.status_code, body["code"], [fault["field"] for fault in body["faults"]]


def test_rows_are_accepted_and_stored(web: FlaskClient) -> None:
    response = post(web, {"model": "table", "inputs": [ROW, {"index": 3, "weight": 99}]})

    job = response.get_json()
    results = web.get(job["links"]["results"]).get_json()["results"]
    assert response.status_code == 202
    assert response.headers["Location"] == job["links"]["self"] == f"/api/jobs/{job['id']}"
    assert (job["state"], job["model"], job["version"], job["total"]) == ("queued", "table", "1", 2)
    assert [item["outside_training_range"] for item in results] == [[], ["weight"]]


def test_who_asks_is_said_by_the_door_and_kept_with_the_job(web: FlaskClient, parts: WebParts) -> None:
    post(web, {"model": "table", "inputs": [ROW]})
    web.post("/predictions?model=table", data={"kind": "table", "table": "index,weight\n3,7\n"})

    with parts.database.read() as connection:
        told = connection.execute(select(job.c.source, job.c.client).order_by(job.c.id)).all()
    assert [tuple(row) for row in told] == [("http", "anonymous"), ("page", "anonymous")]


def test_images_are_accepted_as_files_pixels_and_base64(web: FlaskClient, work: Any) -> None:
    png = file_of(Image.new("L", (4, 4), 255))
    encoded = {"b64": base64.b64encode(png).decode()}

    files = post_form(
        web, model="picture", file=[(io.BytesIO(png), "a.png"), (io.BytesIO(png), "../../b.png")]
    )
    pixels = post(web, {"model": "picture", "inputs": [[[0] * 4] * 4, encoded]})

    for response in (files, pixels):
        assert response.status_code == 202
        work(response.get_json())
    named, unnamed = (
        web.get(r.get_json()["links"]["results"]).get_json()["results"] for r in (files, pixels)
    )
    assert [(item["name"], item["label"]) for item in named] == [("a.png", "bright"), ("b.png", "bright")]
    assert [(item["name"], item["label"]) for item in unnamed] == [(None, "dark"), (None, "bright")]


def test_a_table_is_accepted_with_its_outcomes(web: FlaskClient, work: Any) -> None:
    response = post_form(
        web, model="table", csv=(io.BytesIO(b"index,weight,outcome\r\n0,7,0\r\n9,7,1\r\n"), "t.csv")
    )

    job = response.get_json()
    work(job)
    results = web.get(job["links"]["results"]).get_json()["results"]
    assert [(item["expected"], item["label"]) for item in results] == [("no", "no"), ("yes", "yes")]


def test_an_unknown_model_or_version_is_not_found(web: FlaskClient) -> None:
    assert problem(post(web, {"model": "nothing", "inputs": [ROW]}))[:2] == (404, "model_not_found")
    assert problem(post(web, {"model": "table", "version": "9", "inputs": [ROW]}))[:2] == (
        404,
        "version_not_found",
    )
    assert problem(post_form(web, model="../x", csv=(io.BytesIO(b"1,2"), "t.csv")))[:2] == (
        404,
        "model_not_found",
    )


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        ([[1]], "inputs[0]"),
        ([[1, 2, 3]], "inputs[0]"),
        ([ROW, {"index": 1}], "inputs[1].weight"),
        ([{"index": 1, "weight": 1, "height": 1}], "inputs[0].height"),
        ([["3", 7]], "inputs[0][0] (index)"),
        ([[3, None]], "inputs[0][1] (weight)"),
        ([[3, 1e39]], "inputs[0][1] (weight)"),
        ([[True, 1]], "inputs[0][0] (index)"),
        ([], "inputs"),
        ("text", "inputs"),
        ([3], "inputs[0]"),
        ([ROW] * 51, "inputs"),
    ],
)
def test_rows_that_the_model_does_not_take_are_refused_by_field(
    web: FlaskClient, inputs: object, field: str
) -> None:
    status, code, fields = problem(post(web, {"model": "table", "inputs": inputs}))

    assert (status, code) in ((400, "invalid_input"), (413, "too_large"))
    assert fields[0] == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"inputs": [ROW]}, "model"),
        ({"model": "table"}, "inputs"),
        ({"model": 5, "inputs": [ROW]}, "model"),
        ({"model": "table", "inputs": [ROW], "version": 1}, "version"),
        ({"model": "table", "inputs": [ROW], "priority": "urgent"}, "priority"),
        ({"model": "table", "inputs": [ROW], "colour": "red"}, "colour"),
        ([1, 2], "body"),
        ("text", "body"),
    ],
)
def test_a_body_of_another_shape_is_refused_by_field(web: FlaskClient, body: object, field: str) -> None:
    assert problem(post(web, body)) == (400, "invalid_input", [field])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"model": "table"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        b"model=table",
    ],
)
def test_malformed_json_is_refused(web: FlaskClient, body: bytes) -> None:
    response = web.post("/api/jobs", data=body, content_type="application/json")

    assert problem(response)[:2] == (400, "malformed_json")


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/octet-stream"]
)
def test_other_media_types_are_refused(web: FlaskClient, kind: str | None) -> None:
    assert problem(web.post("/api/jobs", data=b"x", content_type=kind))[:2] == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("data", "name", "kind", "code"),
    [
        (b"", "a.png", "image/png", "empty_file"),
        (b"this is text", "a.png", "image/png", "not_an_image"),
        (file_of(Image.new("L", (40, 40)))[:60], "a.png", "image/png", "damaged_image"),
        (file_of(Image.new("L", (4, 4)), "TIFF"), "a.png", "image/png", "unsupported_image"),
    ],
)
def test_files_that_are_no_good_images_are_refused_by_name(
    web: FlaskClient, data: bytes, name: str, kind: str, code: str
) -> None:
    assert problem(post_file(web, data, name, kind)) == (400, code, ["file[0] (a.png)"])


@pytest.mark.parametrize(
    ("kind", "name", "declared"),
    [
        ("WEBP", "a.jpg", "image/jpeg"),
        ("PNG", "a.apng", "image/apng"),
        ("JPEG", "a.png", "image/x-png"),
        ("PNG", "a.txt", "text/plain"),
        ("PPM", "a.pgm", "image/x-portable-graymap"),
    ],
)
def test_what_a_file_is_its_bytes_say_and_no_name_or_media_type(
    web: FlaskClient, kind: str, name: str, declared: str
) -> None:
    response = post_file(web, file_of(Image.new("L", (4, 4), 200), kind), name, declared)

    assert response.status_code == 202


def test_a_huge_image_is_refused_before_it_is_decoded(web: FlaskClient) -> None:
    assert problem(post_file(web, png_that_claims(20_000, 20_000))) == (
        413,
        "image_too_large",
        ["file[0] (a.png)"],
    )


def test_all_bad_files_are_named_and_none_is_accepted(web: FlaskClient, parts: WebParts) -> None:
    good = file_of(Image.new("L", (4, 4)))
    files = [(io.BytesIO(data), f"{n}.png") for n, data in enumerate((b"x", good, b""))]

    assert problem(post_form(web, model="picture", file=files))[2] == ["file[0] (0.png)", "file[2] (2.png)"]
    assert list_jobs(parts.database, limit=9, whose=None) == []


@pytest.mark.parametrize(
    ("pixels", "field"),
    [([[0] * 4] * 3, "inputs[0]"), ([[256] * 4] * 4, "inputs[0]"), ({"b64": "%%%"}, "inputs[0].b64"),
     ({"b64": "aGVsbG8="}, "inputs[0].b64"), ({"b65": ""}, "inputs[0]"), ({"b64": 5}, "inputs[0].b64")],
)  # fmt: skip
def test_pixels_and_base64_that_are_no_image_are_refused(
    web: FlaskClient, pixels: object, field: str
) -> None:
    status, _, fields = problem(post(web, {"model": "picture", "inputs": [pixels]}))

    assert (status, fields) == (400, [field])


@pytest.mark.parametrize(
    ("item", "got"),
    [
        ({"image": "a.png"}, "an object with image"),
        ({"url": "https://example.org/a.png", "b64": ""}, "an object with url, b64"),
        ({"a\n": 1}, "an object with a\\n"),
        ({}, "an empty object"),
        (3, "3"),
    ],
)
def test_an_image_under_other_keys_is_refused_with_those_that_came(
    web: FlaskClient, item: object, got: str
) -> None:
    (fault,) = post(web, {"model": "picture", "inputs": [item]}).get_json(force=True)["faults"]

    assert (fault["field"], fault["got"]) == ("inputs[0]", got)
    assert "b64" in fault["expected"]


def test_a_million_inputs_of_no_use_are_refused_after_the_first_faults(parts: WebParts) -> None:
    app = create_app(
        replace(parts, settings=replace(parts.settings, max_job_items=10**6, max_body_bytes=10**7))
    )

    response = post(app.test_client(), {"model": "table", "inputs": [1] * 10**6})

    assert problem(response) == (400, "invalid_input", [f"inputs[{n}]" for n in range(20)])


def test_a_body_of_many_unknown_members_is_refused_once(web: FlaskClient) -> None:
    response = post(web, {f"member {n}": n for n in range(1000)})

    assert problem(response) == (400, "invalid_input", ["body"])


def test_a_number_of_thousands_of_digits_is_refused_in_words_for_the_client(web: FlaskClient) -> None:
    body = b'{"model": "table", "inputs": [[' + b"9" * 5000 + b", 7]]}"

    response = web.post("/api/jobs", data=body, content_type="application/json")

    assert problem(response)[:2] == (400, "malformed_json")
    assert "sys." not in response.text


def test_a_chunked_body_over_the_limit_is_too_large_and_not_malformed(web: FlaskClient) -> None:
    response = web.post(
        "/api/jobs",
        input_stream=io.BytesIO(b" " * 300_000),
        content_type="application/json",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert problem(response)[:2] == (413, "too_large")


def test_a_body_over_the_limit_is_refused(web: FlaskClient) -> None:
    assert problem(post_file(web, bytes(300_000)))[:2] == (413, "too_large")
    assert problem(post(web, {"model": "table", "inputs": ["x" * 300_000]}))[:2] == (413, "too_large")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model": "table"}, "form"),
        ({"file": (io.BytesIO(b"x"), "a.png")}, "model"),
        ({"model": "table", "file": (io.BytesIO(b"x"), "a.png")}, "file"),
        ({"model": "picture", "csv": (io.BytesIO(b"1,2"), "t.csv")}, "csv"),
        ({"model": "table", "image": (io.BytesIO(b"x"), "a.png")}, "form"),
        ({"model": "table", "weight": "3", "csv": (io.BytesIO(b"1,2"), "t.csv")}, "weight"),
    ],
)
def test_forms_of_another_shape_are_refused_by_field(
    web: FlaskClient, fields: dict[str, Any], expected: str
) -> None:
    assert problem(post_form(web, **fields)) == (400, "invalid_input", [expected])


@pytest.mark.parametrize(
    ("boundary", "body"),
    [
        ("; boundary=B", b"rubbish"),
        ("; boundary=B", b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\ntab'),
        ("; boundary=B", b'--B\r\nContent-Disposition: form-data; name="\xff"\r\n\r\ntable\r\n--B--\r\n'),
        ("", b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\ntable\r\n--B--\r\n'),
    ],
)
def test_a_damaged_form_is_called_damaged_and_not_empty(web: FlaskClient, boundary: str, body: bytes) -> None:
    kind = "multipart/form-data" + boundary

    api = web.post("/api/jobs", data=body, content_type=kind)
    page = web.post("/predictions?model=table", data=body, content_type=kind)

    assert problem(api) == (400, "invalid_input", ["form"])
    assert "damaged" in api.get_json(force=True)["detail"]
    assert page.status_code == 400


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; filename="t.csv"',
        'form-data; name=""; filename="t.csv"',
        "form-data",
        'form-data; name=""',
    ],
)
def test_a_part_of_a_form_without_a_name_is_refused_for_that(web: FlaskClient, disposition: str) -> None:
    model = 'Content-Disposition: form-data; name="model"\r\n\r\ntable'
    body = f"--B\r\n{model}\r\n--B\r\nContent-Disposition: {disposition}\r\n\r\n3,7\r\n--B--\r\n".encode()
    kind = "multipart/form-data; boundary=B"

    api = web.post("/api/jobs", data=body, content_type=kind)
    page = web.post("/predictions?model=table", data=body, content_type=kind)

    assert problem(api) == (400, "invalid_input", ["form"])
    assert (
        "expected a name in each part (name=…), got a part without one" in api.get_json(force=True)["detail"]
    )
    assert page.status_code == 400


@pytest.mark.parametrize(
    ("fields", "twice"),
    [
        ({"model": ["table", "picture"], "csv": (io.BytesIO(b"3,7"), "t.csv")}, "model"),
        ({"model": ["table", "table"], "csv": (io.BytesIO(b"3,7"), "t.csv")}, "model"),
        ({"model": "table", "version": ["1", "2"], "csv": (io.BytesIO(b"3,7"), "t.csv")}, "version"),
        ({"model": "table", "csv": [(io.BytesIO(b"3,7"), "t.csv"), (io.BytesIO(b"4,7"), "u.csv")]}, "csv"),
    ],
)
def test_a_field_that_comes_twice_is_refused_and_none_of_its_values_taken(
    web: FlaskClient, parts: WebParts, fields: dict[str, Any], twice: str
) -> None:
    response = post_form(web, **fields)

    assert problem(response) == (400, "invalid_input", [twice])
    assert response.get_json(force=True)["detail"] == f"{twice}: expected one value, got 2"
    assert list_jobs(parts.database, limit=1, whose=None) == []


def test_a_bad_table_is_refused_by_line_and_column(web: FlaskClient, parts: WebParts) -> None:
    table = b"index,weight\n1,7\n2\nx,7\n"

    status, code, fields = problem(post_form(web, model="table", csv=(io.BytesIO(table), "t.csv")))

    assert (status, code, fields) == (400, "invalid_input", ["csv line 3", "csv line 4, column 1"])
    assert list_jobs(parts.database, limit=9, whose=None) == []


def test_an_idempotency_key_gives_the_same_job_and_with_another_body_a_conflict(web: FlaskClient) -> None:
    body = {"model": "table", "inputs": [ROW]}

    first, again = post(web, body, Idempotency_Key="k1"), post(web, body, Idempotency_Key="k1")
    other = post(web, {"model": "table", "inputs": [[4, 7]]}, Idempotency_Key="k1")

    assert first.get_json()["id"] == again.get_json()["id"]
    assert problem(other)[:2] == (409, "idempotency_conflict")


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ü"])
def test_an_idempotency_key_that_cannot_be_stored_is_refused(web: FlaskClient, key: str) -> None:
    assert problem(post(web, {"model": "table", "inputs": [ROW]}, Idempotency_Key=key)) == (
        400, "invalid_input", ["Idempotency-Key"],
    )  # fmt: skip


class Worked:
    """Works off each job as soon as it is submitted."""

    def __init__(self, web: FlaskClient, work: Any) -> None:
        self._web, self._work = web, work

    def answer(self, body: dict[str, Any]) -> TestResponse:
        """What is answered to who waits."""
        with ThreadPoolExecutor(1) as pool:
            waited = pool.submit(post, self._web, body, Prefer="wait=60")
            wait_until(lambda: bool(self._jobs()), what="the job is accepted")
            self._work(self._jobs()[0])
            return waited.result()

    def _jobs(self) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = self._web.get("/api/jobs").get_json()["jobs"]
        return jobs


def test_a_small_job_that_was_waited_for_has_its_results_in_the_answer(web: FlaskClient, work: Any) -> None:
    response = Worked(web, work).answer({"model": "table", "inputs": [[1, 7], [9, 7], [-99, 7]]})
    body = response.get_json()
    page = web.get(body["links"]["results"]).get_json()

    assert (response.status_code, body["state"], body["succeeded"]) == (200, "finished", 2)
    assert [each["label"] for each in body["results"]] == ["no", "yes", None]
    assert body["results"] == page["results"] and page["next"] is None
    assert body == web.get(body["links"]["self"]).get_json() | {"results": page["results"]}


def test_a_job_that_is_over_when_it_is_sent_again_has_its_results_in_the_answer(
    web: FlaskClient, work: Any
) -> None:
    asked = {"model": "table", "inputs": [ROW]}
    first = post(web, asked, Idempotency_Key="k1")
    work(first.get_json())

    again = post(web, asked, Idempotency_Key="k1")

    assert (first.status_code, "results" in first.get_json(), again.status_code) == (202, False, 200)
    assert len(again.get_json()["results"]) == 1


@pytest.mark.parametrize(("items", "told"), [(100, 100), (101, None)])
def test_a_job_of_more_than_a_page_has_no_results_in_its_answer(
    web: FlaskClient, parts: WebParts, work: Any, items: int, told: int | None
) -> None:
    web.application.extensions["celeriac"] = replace(
        parts, settings=replace(parts.settings, max_job_items=101)
    )

    results = Worked(web, work).answer({"model": "table", "inputs": [ROW] * items}).get_json()["results"]

    assert (None if results is None else len(results)) == told


def test_a_client_that_prefers_to_wait_gets_its_answer_only_when_it_is_there(web: FlaskClient) -> None:
    response = post(web, {"model": "table", "inputs": [ROW]}, Prefer="respond-async, wait=0")

    assert (response.status_code, response.get_json()["state"]) == (202, "queued")


TRUTHS = b"file,truth\nphotos/a.png,bright\nb.png,dark\nelsewhere.png,dark\n"


def post_pictures(web: FlaskClient, *names: str, truths: bytes = TRUTHS) -> TestResponse:
    files = [(io.BytesIO(file_of(Image.new("L", (4, 4), 255))), name, "image/png") for name in names]
    return post_form(web, model="picture", file=files, truths=(io.BytesIO(truths), "truths.csv", "text/csv"))


def test_what_is_true_of_images_comes_with_them_and_is_evaluated(web: FlaskClient, work: Any) -> None:
    job = post_pictures(web, "a.png", "b.png", "c.png").get_json()
    work(job)

    results = web.get(job["links"]["results"]).get_json()["results"]
    page = web.get(job["links"]["page"]).get_data(as_text=True)
    assert [each["expected"] for each in results] == ["bright", "dark", None]
    assert "Accuracy" in page and "truly" in page


def test_truths_that_fit_no_image_or_several_are_refused(web: FlaskClient) -> None:
    other = problem(post_pictures(web, "z.png"))
    twice = problem(post_pictures(web, "x/a.png", "y/a.png"))
    wrong = problem(post_pictures(web, "a.png", truths=b"file,truth\na.png,blue\n"))
    text = problem(post_form(web, model="picture", truths="truths.csv"))
    table = post_form(
        web,
        model="table",
        csv=(io.BytesIO(b"index,weight\n3,7\n"), "t.csv"),
        truths=(io.BytesIO(TRUTHS), "t.csv"),
    )

    assert [other, twice] == [(400, "invalid_input", ["truths"])] * 2
    assert wrong == (400, "invalid_input", ["truths line 2"])
    assert text == (400, "invalid_input", ["truths"])
    assert problem(table) == (400, "invalid_input", ["form"])
