from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import text

from production_server.jobs.database import Database
from production_server.jobs.read import get_job, get_payloads, list_items, list_jobs
from production_server.jobs.records import Job, NewItem
from tests.unit.web.pages.conftest import Page, row, to_page

Get = Callable[[str], Page]


def png(side: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (side, side), 200).save(buffer, "PNG")
    return buffer.getvalue()


def post(web: FlaskClient, query: str, fields: dict[str, object]) -> Page:
    return to_page(web.post(f"/predictions?{query}", data=fields, content_type="multipart/form-data"))


def accepted(web: FlaskClient, database: Database, query: str, fields: dict[str, object]) -> Job:
    answer = web.post(f"/predictions?{query}", data=fields, content_type="multipart/form-data")
    assert answer.status_code == 303, to_page(answer).text
    return get_job(database, UUID(answer.headers["Location"].removeprefix("/predictions/")), whose=None)


def payloads(database: Database, job: Job) -> list[object]:
    return [json.loads(payload) for payload in get_payloads(database, job.id, limit=100)]


def test_the_form_is_that_of_the_first_model_until_one_is_chosen(get: Get) -> None:
    assert "Upload" not in get("/predictions").text
    assert "Predict with Picture" in get("/predictions").source
    assert "Predict with Table" in get("/predictions?model=table").source


def test_each_feature_has_a_labelled_field_with_unit_range_and_hint(get: Get) -> None:
    page = get("/predictions?model=table")

    assert '<label for="value-weight">Weight <span class="unit">(kg)</span></label>' in page.source
    assert "1 to 50 in training. Empty if not measured." in page.text
    assert 'aria-describedby="value-weight-hint"' in page.element('id="value-weight"')
    assert 'aria-required="true"' in page.element('id="value-index"')


def test_the_example_fills_in_the_form_without_a_script(get: Get) -> None:
    page = get("/predictions?model=table&example=1")

    assert (page.value("value-index"), page.value("value-weight")) == ("3", "7")


def test_an_earlier_row_fills_in_the_form(get: Get, make_job: Callable[..., Job]) -> None:
    job = make_job([row(5, 0)])

    page = get(f"/predictions?model=table&from={job.id}")

    assert (page.value("value-index"), page.value("value-weight")) == ("5", "")


def test_an_earlier_item_that_is_no_row_leaves_the_form_empty(get: Get, make_job: Callable[..., Job]) -> None:
    job = make_job([NewItem(png())])

    page = get(f"/predictions?model=table&from={job.id}")

    assert (page.status, page.value("value-index")) == (200, "")


def test_whole_numbers_are_stored_as_they_were_typed(web: FlaskClient, database: Database) -> None:
    fields: dict[str, object] = {"kind": "row", "value.index": "3", "value.weight": "7,5"}
    job = accepted(web, database, "model=table", fields)

    assert get_payloads(database, job.id, limit=1) == [b"[3,7.5]"]


@pytest.mark.parametrize("earlier", ["nonsense", "01900000-0000-7000-8000-000000000000"])
def test_an_earlier_row_that_is_not_there_leaves_the_form_empty(get: Get, earlier: str) -> None:
    page = get(f"/predictions?model=table&from={earlier}")

    assert (page.status, page.value("value-index")) == (200, "")


def test_an_unknown_model_or_version_is_a_page_with_404(get: Get) -> None:
    for query in ("model=nothing", "model=table&version=9"):
        page = get(f"/predictions?{query}")
        assert page.status == 404
        assert "There is nothing here." in page.text


def test_a_row_becomes_a_job_of_the_stable_version(web: FlaskClient, database: Database) -> None:
    fields: dict[str, object] = {"kind": "row", "value.index": "3", "value.weight": ""}
    job = accepted(web, database, "model=table", fields)

    assert (job.model, job.version, job.source, job.total) == ("table", "2", "page", 1)
    assert payloads(database, job) == [[3.0, 0.0]]


def test_a_row_goes_to_the_version_that_was_asked_for(web: FlaskClient, database: Database) -> None:
    fields: dict[str, object] = {"kind": "row", "value.index": "3", "value.weight": "7"}

    assert accepted(web, database, "model=table&version=1", fields).version == "1"


def test_a_value_outside_the_training_range_is_accepted_and_marked(
    web: FlaskClient, database: Database
) -> None:
    fields: dict[str, object] = {"kind": "row", "value.index": "3", "value.weight": "700"}
    job = accepted(web, database, "model=table", fields)

    assert list_items(database, job.id, limit=1)[0].outside_training_range == ("weight",)


def test_a_wrong_row_shows_the_form_again_with_its_values_and_faults(
    web: FlaskClient, database: Database
) -> None:
    page = post(web, "model=table", {"kind": "row", "value.index": "<b>seven", "value.weight": "7"})

    assert page.status == 400
    assert page.value("value-index") == "<b>seven"
    assert page.value("value-weight") == "7"
    assert 'aria-invalid="true"' in page.element('id="value-index"')
    assert 'aria-describedby="value-index-hint value-index-error"' in page.element('id="value-index"')
    assert "aria-invalid" not in page.element('id="value-weight"')
    assert '<a href="#value-index">Index</a>: expected a number, got “&lt;b&gt;seven”' in page.source
    assert 'role="alert"' in page.element('id="problem"')
    assert "<title>Error:" in page.source
    assert list_jobs(database, limit=1, whose=None) == []


@pytest.mark.parametrize("table", [b"3,7\n9,0\n", b"\xef\xbb\xbfweight;INDEX\r\n7;3\r\n0;9\r\n"])
def test_an_uploaded_table_becomes_a_job(web: FlaskClient, database: Database, table: bytes) -> None:
    fields: dict[str, object] = {"kind": "table", "csv": (io.BytesIO(table), "rows.csv"), "table": ""}
    job = accepted(web, database, "model=table", fields)

    assert payloads(database, job) == [[3, 7], [9, 0]]


def test_a_pasted_table_with_the_outcome_keeps_the_true_labels(web: FlaskClient, database: Database) -> None:
    fields: dict[str, object] = {"kind": "table", "table": "index,weight,outcome\n3,7,yes\n9,0,0\n"}
    job = accepted(web, database, "model=table", fields)

    assert [item.expected for item in list_items(database, job.id, limit=9)] == ["yes", "no"]


def test_a_wrong_table_is_shown_again_with_faults_by_line_and_column(
    web: FlaskClient, database: Database
) -> None:
    table = "index,weight\n3,seven\n4\nx,7\n"

    page = post(web, "model=table", {"kind": "table", "table": table})

    assert page.status == 400
    assert "3 things to mend" in page.text
    assert "Line 2, column 2 : expected weight: a finite number in kg" in page.text
    assert "Line 3 : expected 2 columns, got 1" in page.text
    assert "Line 4, column 1 : expected index: a finite number" in page.text
    found = re.search(r"<textarea[^>]*>\n?(.*?)</textarea>", page.source, re.DOTALL)
    assert found is not None
    assert found.group(1) == table
    assert list_jobs(database, limit=1, whose=None) == []


def test_of_many_faults_in_a_table_the_first_twenty_are_shown(web: FlaskClient) -> None:
    page = post(web, "model=table", {"kind": "table", "table": "index,weight\n" + "x,7\n" * 50})

    assert page.source.count('<a href="#table">Line') == 20


@pytest.mark.parametrize("fields", [{"kind": "table"}, {"kind": "table", "table": "  \n"}])
def test_an_empty_table_is_refused(web: FlaskClient, fields: dict[str, object]) -> None:
    page = post(web, "model=table", fields)

    assert page.status == 400
    assert "The table : expected at least one row" in page.text


def test_several_images_become_one_job_with_their_names(web: FlaskClient, database: Database) -> None:
    files = [(io.BytesIO(png()), "a.png"), (io.BytesIO(png()), "folder/b.png")]
    job = accepted(web, database, "model=picture", {"kind": "images", "file": files})

    assert [item.name for item in list_items(database, job.id, limit=9)] == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("data", "name", "told"),
    [
        (b"", "empty.png", "an empty file"),
        (b"hello", "text.png", "expected an image file"),
        (png(64)[:-30], "cut.png", "a whole image file"),
        (b"II*\0" + bytes(99), "scan.tif", "a TIFF"),
    ],
    ids=["empty", "text", "cut", "other"],
)
def test_a_file_that_is_no_image_is_refused_by_name(
    web: FlaskClient, data: bytes, name: str, told: str
) -> None:
    files = [(io.BytesIO(png()), "good.png"), (io.BytesIO(data), name)]

    page = post(web, "model=picture", {"kind": "images", "file": files})

    assert page.status == 400
    assert name in page.text
    assert told in page.text
    assert "good.png" not in page.text


def test_an_image_over_the_limit_of_pixels_is_too_large(web: FlaskClient) -> None:
    page = post(web, "model=picture", {"kind": "images", "file": (io.BytesIO(png(side=1001)), "big.png")})

    assert page.status == 413
    assert "at most 1000000 pixels" in page.text


def test_a_form_over_the_limit_of_bytes_is_too_large_and_shown_again(web: FlaskClient) -> None:
    page = post(web, "model=table", {"kind": "table", "csv": (io.BytesIO(b"3,7\n" * 2**16), "big.csv")})

    assert page.status == 413
    assert "at most 128 kB at once, 8 MB of it pasted" in page.text
    assert "Predict with Table" in page.source


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("model=picture", {"kind": "images"}),
        ("model=picture", {"kind": "row", "value.index": "3"}),
        ("model=picture", {"kind": "table", "table": "3,7"}),
        ("model=picture", {}),
        ("model=table", {"kind": "images"}),
        ("model=table", {"kind": "nonsense"}),
        ("model=table", {}),
    ],
)
def test_a_form_that_does_not_fit_the_model_is_refused(
    web: FlaskClient, query: str, fields: dict[str, object]
) -> None:
    page = post(web, query, fields)

    assert page.status == 400
    assert "Nothing was sent" in page.text


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"kind": "row", "value.index": ["3", "4"], "value.weight": "7"}, "Index "),
        ({"kind": ["row", "table"], "value.index": "3", "value.weight": "7"}, "kind"),
        ({"kind": "table", "table": ["3,7\n", "4,7\n"]}, "table"),
    ],
)
def test_a_field_that_comes_twice_is_refused_and_none_of_its_values_taken(
    web: FlaskClient, database: Database, fields: dict[str, object], where: str
) -> None:
    page = post(web, "model=table", fields)

    assert page.status == 400
    assert f"{where}: expected one value, got 2" in page.text
    assert list_jobs(database, limit=1, whose=None) == []


def test_two_tables_are_refused_and_none_of_them_taken(web: FlaskClient, database: Database) -> None:
    tables = [(io.BytesIO(b"3,7\n"), "a.csv"), (io.BytesIO(b"4,7\n"), "b.csv")]

    page = post(web, "model=table", {"kind": "table", "csv": tables})

    assert page.status == 400
    assert "The table : expected one value, got 2" in page.text
    assert list_jobs(database, limit=1, whose=None) == []


def test_a_database_that_cannot_be_used_shows_the_form_again(web: FlaskClient, database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("ALTER TABLE job RENAME TO gone"))

    page = post(web, "model=table", {"kind": "row", "value.index": "3", "value.weight": "7"})

    assert page.status == 503
    assert page.value("value-index") == "3"
    assert "is not as this release needs it" in page.text


def test_a_form_without_a_model_is_a_page_with_404(web: FlaskClient) -> None:
    assert post(web, "", {"kind": "row"}).status == 404
