"""Every door that reads a body reads it alike: compressed, marked, or of another charset."""

from __future__ import annotations

import contextlib
import io
import json
import zlib
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import EnvironBuilder, TestResponse

from production_server.errors import InvalidInput
from production_server.jobs.read import get_payload, list_jobs
from production_server.web.app import MAX_FIELD_BYTES, create_app
from production_server.web.edge.parts import WebParts
from production_server.web.edge.problems import status_of
from production_server.web.interactive.protocol import HttpRequest
from production_server.web.interactive.tensorflow_serving import TensorFlowServing
from tests.unit.models.test_images import file_of
from tests.unit.web.api.test_submitting import problem
from tests.unit.web.edge.test_content_codings import zipped
from tests.unit.web.edge.test_forms import Parted

JOB = b'{"model": "table", "inputs": [[3, 7]]}'
SCAN = b'{"url": "s3://nowhere", "model": "picture"}'


def post(
    web: FlaskClient, path: str, body: bytes, kind: str = "application/json", **headers: str
) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.post(path, data=body, content_type=kind, headers=named)


def form(**fields: Any) -> tuple[bytes, str]:
    """A multipart form, and its Content-Type."""
    builder = EnvironBuilder(method="POST", data=fields, content_type="multipart/form-data")
    environ = builder.get_environ()
    with contextlib.closing(builder), environ["wsgi.input"] as body:
        return body.read(), environ["CONTENT_TYPE"]


@pytest.mark.parametrize("coding", ["gzip", "GZIP ", "x-gzip", "gzip, identity", "deflate"])
def test_a_compressed_job_is_taken(web: FlaskClient, coding: str) -> None:
    body = zlib.compress(JOB) if coding == "deflate" else zipped(JOB[:5]) + zipped(JOB[5:])

    assert post(web, "/api/jobs", body, Content_Encoding=coding).status_code == 202


def test_a_compressed_form_is_taken_by_the_api_and_by_the_page(web: FlaskClient) -> None:
    api, kind = form(model="table", csv=(io.BytesIO(b"index,weight\n3,7\n"), "t.csv"))
    page, page_kind = form(kind="table", table="index,weight\n3,7\n")

    answer = post(web, "/api/jobs", zipped(api), kind, Content_Encoding="gzip")
    shown = post(web, "/predictions?model=table", zipped(page), page_kind, Content_Encoding="gzip")

    assert (answer.status_code, answer.get_json()["total"], shown.status_code) == (202, 1, 303)


@pytest.mark.parametrize(
    ("body", "coding", "status", "message"),
    [
        (JOB, "gzip", 400, "the body is not gzip"),
        (zipped(JOB)[:-4], "gzip", 400, "it is cut off"),
        (zipped(JOB) + b"more", "gzip", 400, "4 bytes follow"),
        (zipped(bytes(10**7)), "gzip", 413, "over the server's limit"),
        (JOB, "br", 415, "Content-Encoding: expected gzip or deflate, got br"),
        (zipped(JOB), "", 400, "gzip, without a Content-Encoding that says so"),
    ],
)
@pytest.mark.parametrize("path", ["/api/jobs", "/api/scans"])
def test_a_compressed_body_that_is_bad_is_refused_for_its_cause(
    web: FlaskClient, path: str, body: bytes, coding: str, status: int, message: str
) -> None:
    answer = post(web, path, body, **({"Content_Encoding": coding} if coding else {}))

    assert problem(answer)[0] == status
    assert message in answer.get_json(force=True)["detail"]


def test_an_image_of_a_job_is_stored_as_it_was_sent_wherever_its_form_is_parted(
    web: FlaskClient, parts: WebParts
) -> None:
    image = file_of(Image.new("L", (4, 4), 255), "PPM")
    body, kind = form(model="picture", file=(io.BytesIO(image), "a.ppm"))

    for at in range(1, len(body)):
        web.post("/api/jobs", input_stream=Parted(body, at), content_type=kind, content_length=len(body))

    jobs = list_jobs(parts.database, limit=len(body), whose=None)
    assert len(jobs) == len(body) - 1
    assert {get_payload(parts.database, job.id, 0) for job in jobs} == {image}


def test_a_bomb_in_a_form_is_too_large_and_not_damaged(web: FlaskClient) -> None:
    body, kind = form(model="table", csv=(io.BytesIO(b"3,7\n" * 100_000), "t.csv"))

    answer = post(web, "/api/jobs", zipped(body), kind, Content_Encoding="gzip")

    assert problem(answer)[:2] == (413, "too_large")


def test_a_chunked_form_over_the_limit_is_too_large_and_not_damaged(web: FlaskClient) -> None:
    body, kind = form(model="picture", file=(io.BytesIO(bytes(300_000)), "a.png"))

    answer = web.post(
        "/api/jobs",
        input_stream=io.BytesIO(body),
        content_type=kind,
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert problem(answer)[:2] == (413, "too_large")


def test_a_field_that_is_too_large_is_told_from_a_body_that_is(parts: WebParts) -> None:
    settings = replace(parts.settings, max_body_bytes=3 * MAX_FIELD_BYTES)
    web = create_app(replace(parts, settings=settings)).test_client()
    field, kind = form(model="x" * (MAX_FIELD_BYTES + 1))
    body, _ = form(model="x" * (3 * MAX_FIELD_BYTES + 1))

    one, all_of_it = post(web, "/api/jobs", field, kind), post(web, "/api/jobs", body, kind)

    assert problem(one) == (413, "too_large", ["form"])
    assert problem(all_of_it) == (413, "too_large", [])
    assert f"form: expected fields of up to {MAX_FIELD_BYTES:,} bytes" in one.get_json(force=True)["detail"]
    assert (
        f"body is over the server's limit of {3 * MAX_FIELD_BYTES}"
        in all_of_it.get_json(force=True)["detail"]
    )


@pytest.mark.parametrize(
    ("mark", "kind", "status"),
    [
        (b"", "application/json", 202),
        (b"\xef\xbb\xbf", "application/json", 202),
        (b"", "Application/JSON; charset=UTF-8", 202),
        (b"", 'application/json;charset="utf-8"; profile=x', 202),
        # All of it is ASCII: the same in any of them.
        (b"", "application/json; charset=ISO-8859-1", 202),
        (b"", "text/json", 415),
    ],
)
def test_a_job_is_taken_whatever_is_said_of_the_same_characters(
    web: FlaskClient, mark: bytes, kind: str, status: int
) -> None:
    assert post(web, "/api/jobs", mark + JOB, kind).status_code == status


def test_another_charset_is_refused_where_it_would_make_another_text(web: FlaskClient) -> None:
    body = '{"model": "tablé", "inputs": [[3, 7]]}'.encode()

    answer = post(web, "/api/jobs", body, "application/json; charset=latin-1")

    assert problem(answer)[:2] == (415, "unsupported_media_type")
    assert "charset=latin-1" in answer.get_json(force=True)["detail"]


# What is no JSON, the field that is named, and what is said; calls have "instances" instead of "inputs".
BAD: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", "", "an empty body"),
    "UTF-16": (JOB.decode().encode("utf-16"), "", "UTF-16"),
    "another encoding": (b'{"model": "tabl\xe9", "inputs": []}', "", "the byte 0xe9"),
    "NaN": (b'{"model": "table", "inputs": [[3, NaN]]}', "inputs[0][1]", "got NaN"),
    "Infinity": (b'{"model": "table", "inputs": [[-Infinity, 1]]}', "inputs[0][0]", "got -Infinity"),
    "a number over all": (b'{"model": "table", "inputs": [[3, 1e999]]}', "inputs[0][1]", "got 1e999"),
    "a name twice": (b'{"model": "table", "inputs": [[3, 7]], "inputs": [[4, 7]]}', "", '"inputs" twice'),
    "half a character": (b'{"model": "\\ud800", "inputs": [[3, 7]]}', "model", "half of a surrogate pair"),
    "too deep": (b'{"inputs": ' + b"[" * 100_000, "", "too many brackets"),
    "cut off": (JOB[:-1], "", "Expecting ',' delimiter"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_json_is_refused_by_jobs_scans_and_calls_in_the_same_words(
    web: FlaskClient, parts: WebParts, kind: str
) -> None:
    body, field, said = BAD[kind]
    protocol = TensorFlowServing(parts.registry, status_of)

    job = post(web, "/api/jobs", body)
    scan = post(web, "/api/scans", body)
    call_body = body.replace(b"inputs", b"instances")
    request = HttpRequest("POST", "/v1/models/table:predict", {}, call_body)
    with pytest.raises(InvalidInput) as caught:
        protocol.read(request)
    call = json.loads(protocol.write_error(caught.value).body)

    assert problem(job) == problem(scan) == (400, "malformed_json", [field or "body"])
    assert call["code"] == "malformed_json"
    for told in (job.get_json(force=True)["detail"], scan.get_json(force=True)["detail"]):
        assert said in told and field in told
    assert said.replace("inputs", "instances") in call["error"]
    assert field.replace("inputs", "instances") in call["error"]


@pytest.mark.parametrize("name", ["csv", "file"])
def test_a_file_that_was_sent_as_a_text_is_called_that(web: FlaskClient, name: str) -> None:
    body, kind = form(model="table", **{name: "patients.csv"})

    answer = post(web, "/api/jobs", body, kind)

    assert problem(answer) == (400, "invalid_input", [name])
    assert f"curl: -F {name}=@FILE" in answer.get_json(force=True)["detail"]


def test_a_file_name_in_latin_1_is_refused_with_its_byte(web: FlaskClient) -> None:
    body, kind = form(model="table", csv=(io.BytesIO(b"3,7\n"), "sch_n.csv"))

    answer = post(web, "/api/jobs", body.replace(b"sch_n", b"sch\xf6n"), kind)

    assert problem(answer) == (400, "invalid_input", ["form"])
    assert "the byte 0xf6" in answer.get_json(force=True)["detail"]


def test_a_file_name_in_utf_8_is_kept(web: FlaskClient, work: Any) -> None:
    del work
    body, kind = form(model="table", csv=(io.BytesIO(b"3,7\n"), "schön.csv"))

    assert post(web, "/api/jobs", body, kind).status_code == 202


NEIGHBOURS: dict[str, tuple[bytes, str, str, str, str]] = {
    "nothing": (b"", "", "", "an empty body", "Expecting value"),
    "gzip that says nothing": (zipped(JOB), "", "", "gzip, without a Content-Encoding", "0x8b"),
    "gzip that is none": (JOB, "", "gzip", "the body is not gzip: ", "is not JSON"),
    "gzip in gzip": (zipped(zipped(JOB)), "", "gzip", "gzip, without a Content-Encoding", "cut off"),
    "zlib that is called gzip": (zlib.compress(JOB[:-1]), "", "gzip", "is not JSON", "not gzip"),
    "UTF-16": (JOB.decode().encode("utf-16"), "", "", "got UTF-16", "0xff"),
    "a form that is called JSON": (b"model=table", "", "", "Expecting value", "UTF-8 text"),
    "JSON that is called a form": (JOB, "multipart/form-data", "", "boundary", "model: "),
    "JSON that is called nothing": (
        JOB,
        "application/x-www-form-urlencoded",
        "",
        "expected application/json",
        "body",
    ),
    "NaN": (
        JOB.replace(b"7", b"NaN"),
        "",
        "",
        "inputs[0][1]: expected a finite number",
        "unexpected character",
    ),
    "null": (JOB.replace(b"7", b"null"), "", "", "got null", "is not JSON"),
    "a text": (JOB.replace(b"7", b'"7"'), "", "", 'got "7"', "is not JSON"),
    "a list too few": (
        JOB.replace(b"[[3, 7]]", b"[3, 7]"),
        "",
        "",
        "inputs[0]: expected a list of 2",
        "is not JSON",
    ),
    "a comma too many": (JOB.replace(b"7]", b"7,]"), "", "", "is not JSON: something else", "a list of"),
}


@pytest.mark.parametrize("case", NEIGHBOURS)
def test_a_refused_job_is_told_its_cause_and_not_that_of_its_neighbour(web: FlaskClient, case: str) -> None:
    body, kind, coding, cause, neighbour = NEIGHBOURS[case]

    answer = post(web, "/api/jobs", body, kind or "application/json", Content_Encoding=coding or "identity")

    told = answer.get_json(force=True)
    faults = [f"{each['field']}: expected {each['expected']}, got {each['got']}" for each in told["faults"]]
    said = "; ".join([told["detail"], *faults])
    assert cause in said and neighbour not in said
