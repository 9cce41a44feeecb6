"""/label/<model>, and what other pages have people say: forms as they are sent without JavaScript."""

from __future__ import annotations

import io
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import delete

from production_server.jobs.tables import job as job_table
from production_server.web.edge.parts import WebParts
from tests.unit.web.test_whose import Asking, keys

__all__ = ["keys"]
ROWS = {"model": "table", "inputs": [[4, 7], [0, 7], [9, 7]]}
SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def done(web: FlaskClient, work: Any) -> dict[str, Any]:
    made: dict[str, Any] = web.post("/api/jobs", json=ROWS).get_json()
    work(made)
    return made


def form_of(html: str, *, without: str = "say") -> dict[str, str]:
    """The hidden fields of the first form of a page's main part."""
    form = html.partition("<main")[2].partition("<form")[2].partition("</form>")[0]
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form))
    return {name: value for name, value in fields.items() if name != without}


def open_page(web: FlaskClient, path: str = "/label/table") -> str:
    return web.get(path, follow_redirects=True).text


def say(web: FlaskClient, fields: dict[str, str], **said: str) -> Any:
    return web.post("/label/table/decide", data=fields | said, headers=SAME_SITE)


def decisions(web: FlaskClient) -> list[tuple[str, int, str | None]]:
    found = web.get("/api/labels/table/decisions").get_json()["decisions"]
    return [(each["kind"], each["index"], each["label"]) for each in found]


def test_a_window_is_a_sitting_of_its_own_and_stays_it_when_it_is_loaded_again(
    web: FlaskClient, done: dict[str, Any]
) -> None:
    first, second = (web.get("/label/table").headers["Location"] for _ in range(2))

    assert parse_qs(urlsplit(first).query)["order"] == ["margin"]
    assert first != second
    asked = [form_of(web.get(place).text)["index"] for place in (first, second, first)]
    assert asked[0] == asked[2] != asked[1]


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ({"say": "yes"}, ("label", "yes")),
        ({"say": "no"}, ("label", "no")),
        ({"say": "is:no"}, ("label", "no")),
        ({"say": "other", "label": " no "}, ("label", "no")),
        ({"say": "other", "label": "maybe", "new": "true"}, ("label", "maybe")),
        ({"say": "skip"}, ("skip", None)),
        ({"say": "ignore"}, ("ignore", None)),
    ],
)
def test_each_button_says_what_it_says_and_leads_to_the_next_question(
    web: FlaskClient, done: dict[str, Any], said: dict[str, str], stored: tuple[str, str | None]
) -> None:
    fields = form_of(open_page(web))

    answer = say(web, fields, **said)

    assert answer.status_code == 303
    assert decisions(web) == [(stored[0], 0, stored[1])]
    assert form_of(web.get(answer.headers["Location"]).text)["index"] == "1"


def test_a_form_that_is_sent_twice_says_it_once_and_another_answer_is_another(
    web: FlaskClient, done: dict[str, Any]
) -> None:
    fields = form_of(open_page(web))

    for said in ("yes", "yes", "no"):
        say(web, fields, say=said)

    assert [kind for kind, _, _ in decisions(web)] == ["label", "label"]


def test_undo_leads_back_to_the_question(web: FlaskClient, done: dict[str, Any]) -> None:
    fields = form_of(open_page(web))
    say(web, fields, say="yes")

    answer = web.post("/label/table/undo", data={"sitting": fields["sitting"], "key": "k"}, headers=SAME_SITE)

    assert form_of(web.get(answer.headers["Location"]).text)["index"] == fields["index"]
    assert [kind for kind, _, _ in decisions(web)] == ["undo", "label"]


@pytest.mark.parametrize(
    ("said", "status", "told"),
    [
        ({"say": "other", "label": "perhaps"}, 400, "Label: expected a label of table: no, yes"),
        ({"say": "other", "label": " "}, 400, "expected a label, got nothing"),
        ({"say": "yes", "index": "7"}, 404, "it may have been deleted"),
    ],
)
def test_what_is_wrong_is_said_on_the_page_with_a_question(
    web: FlaskClient, done: dict[str, Any], said: dict[str, str], status: int, told: str
) -> None:
    answer = say(web, form_of(open_page(web)), **said)

    assert (answer.status_code, told in answer.text, "Is it right?" in answer.text) == (status, True, True)
    assert decisions(web) == []


def test_undoing_nothing_is_said_on_the_page(web: FlaskClient, done: dict[str, Any]) -> None:
    answer = web.post("/label/table/undo", data={"sitting": "a"}, headers=SAME_SITE)

    assert (answer.status_code, "There is no decision that counts" in answer.text) == (404, True)


def test_without_anything_left_the_page_says_so(web: FlaskClient) -> None:
    assert "Nothing is left" in open_page(web)
    assert "Nobody else has labelled anything" in open_page(web, "/label/table?order=second")


def test_a_job_that_is_deleted_while_it_is_asked_about_leaves_a_page(
    web: FlaskClient, parts: WebParts, done: dict[str, Any]
) -> None:
    fields = form_of(open_page(web))
    with parts.database.write() as connection:
        connection.execute(delete(job_table))

    answer = say(web, fields, say="yes")

    assert (answer.status_code, "it may have been deleted" in answer.text) == (404, True)


@pytest.mark.parametrize("page", ["/predictions/{id}", "/results"])
def test_results_are_labelled_where_they_are_shown(web: FlaskClient, done: dict[str, Any], page: str) -> None:
    path = page.format(**done)
    fields = form_of(web.get(path).text.partition('class="labelling"')[2].join(["<main", ""]))

    answer = say(web, fields, say="no")

    assert answer.headers["Location"].startswith(path)
    assert "✗ it is" in web.get(path).text
    assert len(decisions(web)) == 1


def test_who_may_not_label_is_shown_no_forms(web: FlaskClient, keys: dict[str, str], work: Any) -> None:
    anna = Asking(web, keys["anna"])
    job = anna("POST", "/api/jobs", json=ROWS).get_json()
    work(job)

    for path in (f"/predictions/{job['id']}", "/results", "/models/table"):
        assert "/label/" not in anna("GET", path).text
    assert anna("GET", "/label/table").status_code == 403


def test_a_form_leads_to_no_other_site(web: FlaskClient, done: dict[str, Any]) -> None:
    answer = say(web, {"job": done["id"], "index": "0", "back": "//elsewhere.example"}, say="yes")

    assert answer.headers["Location"] == "/"


def test_a_hostile_name_is_text(web: FlaskClient, work: Any) -> None:
    data = io.BytesIO()
    Image.new("L", (8, 8), 100).save(data, "PNG")
    data.seek(0)
    job = web.post(
        "/api/jobs", data={"model": "picture", "file": (data, '<img src=x onerror="alert(1)">.png')}
    ).get_json()
    work(job)

    for path in ("/label/picture", f"/predictions/{job['id']}"):
        assert "<img src=x" not in open_page(web, path)
    picture = web.get(f"/predictions/{job['id']}/pictures/0.png")
    assert (picture.status_code, picture.mimetype) == (200, "image/png")
