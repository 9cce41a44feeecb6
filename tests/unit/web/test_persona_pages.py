"""/personas and its pages: what people do there without JavaScript."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from production_server.models.registry import Registry
from production_server.personas import people
from production_server.personas.decisions import decide
from production_server.personas.records import NewDecision
from production_server.web.app import create_app
from production_server.web.edge.parts import WebParts
from tests.unit.models.tasks.test_faces import manifest
from tests.unit.personas.pictures import ANNA, answer, face_ids, find_all, learn, seen, somebody, told
from tests.unit.web.test_whose import Asking, keys

__all__ = ["keys"]


@pytest.fixture
def persons(parts: WebParts) -> FlaskClient:
    """A service that keeps faces: four of one person, and one of each of three others."""
    pictures = [[told(seen(somebody(0), n))] for n in range(4)] + [[told(somebody(p))] for p in (1, 2, 3)]
    answer(parts.database, pictures)
    find_all(parts.database)
    return create_app(replace(parts, settings=replace(parts.settings, personas="on"))).test_client()


@pytest.fixture
def with_version(parts: WebParts, tmp_path: Path) -> WebParts:
    """The service with the version of the model that has found the faces: as a manifest, which pages alone need."""
    folder = tmp_path / "faces-store" / "faces" / "1"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(manifest().model_dump_json(by_alias=True))
    settings = replace(parts.settings, personas="on")
    return replace(parts, settings=settings, registry=Registry([folder.parents[1]]))


def ticked(page: str) -> list[int]:
    """The faces of a page that may be decided, in their order."""
    return [int(each) for each in re.findall(r'name="faces" value="(\d+)"', page)]


def section(page: str, title: str) -> str:
    """What of a page is in the section of that title."""
    return page.split(f"{title}</h2>", 1)[1].split("</section>", 1)[0]


@pytest.mark.parametrize("path", ["/personas", "/personas/1"])
def test_where_no_faces_are_kept_the_page_says_how_to_switch_that_on(web: FlaskClient, path: str) -> None:
    refused = web.get(path, headers={"Accept": "text/html"})

    assert refused.status_code == 404
    assert "PERSONAS=on" in refused.text


def test_a_group_of_alike_strangers_gets_a_name_and_the_classifier_learns_it(
    persons: FlaskClient, parts: WebParts
) -> None:
    before = persons.get("/personas").text
    group = ticked(section(before, "Somebody new?"))

    named = persons.post("/personas/say", data={"faces": group, "say": "label", "name": "Ada"})
    learn(parts.database)
    after = persons.get("/personas").text

    assert (named.status_code, named.location) == (303, "/personas")
    assert sorted(group) == face_ids(parts.database)[:4]
    assert "4 labelled, 0 predicted" in after
    assert "Somebody new?" not in after
    assert sorted(ticked(section(after, "Faces of nobody"))) == face_ids(parts.database)[4:]


def test_predictions_are_accepted_and_refused_many_at_once_and_a_no_stays(
    persons: FlaskClient, parts: WebParts
) -> None:
    faces = face_ids(parts.database)
    ada = people.make(parts.database, "Ada", by=ANNA).id
    persons.post("/personas/say", data={"faces": faces[:1], "say": "label", "name": "Ada"})
    learn(parts.database)
    predicted = ticked(persons.get(f"/personas/{ada}").text)
    page = {"page": str(ada), "kind": "predicted"}

    yes = persons.post("/personas/say", data={"faces": predicted[:2], "say": "label"} | page)
    persons.post("/personas/say", data={"faces": predicted[2:], "say": "reject"} | page)
    learn(parts.database)

    assert sorted(predicted) == faces[1:4]
    assert yes.location == f"/personas/{ada}?kind=predicted"
    assert ticked(persons.get(f"/personas/{ada}").text) == []
    labelled = ticked(persons.get(f"/personas/{ada}?kind=labelled").text)
    assert sorted(labelled) == sorted([faces[0], *predicted[:2]])


def test_what_was_said_last_is_undone(persons: FlaskClient, parts: WebParts) -> None:
    faces = face_ids(parts.database)
    persons.post("/personas/say", data={"faces": faces[4:], "say": "not_a_face"})
    shown = ticked(section(persons.get("/personas").text, "Faces of nobody"))

    undone = persons.post("/personas/undo")

    assert not set(shown) & set(faces[4:])
    assert undone.status_code == 303
    assert set(ticked(section(persons.get("/personas").text, "Faces of nobody"))) >= set(faces[4:])
    nothing = persons.post("/personas/undo")
    assert nothing.status_code == 404
    assert "here is no decision that counts" in nothing.text


@pytest.mark.parametrize(
    ("data", "status", "told_so"),
    [
        ({"say": "label", "name": "Ada"}, 400, "at least one that is ticked"),
        ({"say": "label", "faces": ["1"]}, 400, "whose faces they are"),
        ({"say": "sing", "faces": ["1"]}, 400, "say"),
        ({"say": "label", "faces": ["999"], "name": "Ada"}, 404, "here is no face 999"),
        ({"say": "label", "faces": ["1"], "name": "\x07"}, 400, "control characters"),
    ],
)
def test_what_cannot_be_stored_is_told_on_the_page(
    persons: FlaskClient, parts: WebParts, data: dict[str, object], status: int, told_so: str
) -> None:
    refused = persons.post("/personas/say", data=data)

    assert refused.status_code == status
    assert told_so in refused.text
    assert "<h1>Personas</h1>" in refused.text
    assert people.list_personas(parts.database) == []


def test_a_persona_is_renamed_merged_and_deleted(persons: FlaskClient, parts: WebParts) -> None:
    for name in ("Ada", "Eve"):
        persons.post("/personas/new", data={"name": name})
    ada, eve = (each.id for each in people.list_personas(parts.database))

    taken = persons.post(f"/personas/{ada}/rename", data={"name": "Eve"})
    renamed = persons.post(f"/personas/{ada}/rename", data={"name": "<b>Ada</b>"})
    shown = persons.get(f"/personas/{ada}").text
    merged = persons.post(f"/personas/{ada}/merge", data={"into": str(eve)})
    deleted = persons.post(f"/personas/{eve}/delete", data={"faces": "true"})

    assert (taken.status_code, renamed.status_code) == (409, 303)
    assert "&lt;b&gt;Ada&lt;/b&gt;" in shown
    assert "<b>Ada</b>" not in shown
    assert merged.location == f"/personas/{eve}?kind=predicted"
    assert deleted.location == "/personas"
    assert people.list_personas(parts.database) == []
    assert persons.get(f"/personas/{eve}").status_code == 404


def test_a_promise_is_tried_and_set_and_what_is_said_there_leads_back(
    persons: FlaskClient, parts: WebParts
) -> None:
    assert persons.get("/personas/promise").status_code == 404
    faces = face_ids(parts.database)
    persons.post("/personas/say", data={"faces": faces[:1], "say": "label", "name": "Ada"})
    learn(parts.database)
    (ada,) = people.list_personas(parts.database)
    place = {"model": "faces", "version": "1", "one_in": "50"}

    shown = persons.get("/personas/promise")
    tried = persons.get("/personas/promise", query_string=place).text
    unset = persons.post("/personas/promise/set", data=place | {"one_in": "1"})
    made = persons.post("/personas/promise/set", data=place)
    learn(parts.database)
    said = persons.post(
        "/personas/say", data=place | {"faces": faces[1:2], "say": "reject", "page": str(ada.id)}
    )

    assert shown.status_code == 200
    assert "Name at most one in 50" in tried
    assert "Name at most" not in shown.text
    assert (unset.status_code, "expected" in unset.text) == (400, True)
    assert (made.status_code, made.location) == (303, "/personas/promise?model=faces&version=1")
    assert "Set by anonymous" in persons.get(made.location).text
    assert said.location == "/personas/promise?model=faces&version=1&one_in=50"


@pytest.mark.parametrize("query", ["one_in=x", "one_in=1", "offset=-1", "colour=red"])
def test_what_cannot_be_tried_is_told(persons: FlaskClient, query: str) -> None:
    assert persons.get(f"/personas/promise?{query}").status_code == 400


def test_a_face_is_shown_in_its_picture_and_said_to_be_somebody(
    persons: FlaskClient, parts: WebParts
) -> None:
    first, second, *_ = face_ids(parts.database)
    place = f"/personas/faces/{first}"

    before = persons.get(place).text
    said = persons.post(f"{place}/say", data={"say": "label", "name": "Ada"})
    learn(parts.database)
    after, like_it = persons.get(place).text, persons.get(f"/personas/faces/{second}").text
    persons.post(f"/personas/faces/{second}/say", data={"say": "reject"})
    learn(parts.database)

    assert "<h1>Nobody known</h1>" in before
    assert 'x="10.00" y="10.00" width="40.00" height="50.00"' in before
    assert (said.status_code, said.location) == (303, place)
    assert "<h1>Ada</h1>" in after
    assert "<h1>Ada, it seems</h1>" in like_it
    assert "<h1>Nobody known</h1>" in persons.get(f"/personas/faces/{second}").text
    (ada,) = people.list_personas(parts.database)
    pictures = persons.get(f"/personas/{ada.id}?kind=pictures").text
    assert pictures.count('class="framed"') == 3
    assert f"/personas/faces/{first}/picture.png" in pictures


@pytest.mark.parametrize(
    ("data", "status", "told_so"),
    [
        ({"say": "label", "name": " "}, 400, "Name: expected a name"),
        ({"say": "sing"}, 400, "What it is: expected"),
        ({"say": "reject"}, 400, "persona: expected"),
        ({}, 400, "What it is: expected"),
    ],
)
def test_what_cannot_be_said_of_a_face_is_told_on_its_page(
    persons: FlaskClient, parts: WebParts, data: dict[str, str], status: int, told_so: str
) -> None:
    face = face_ids(parts.database)[0]

    refused = persons.post(f"/personas/faces/{face}/say", data=data)

    assert (refused.status_code, told_so in refused.text) == (status, True)
    assert persons.get("/personas/faces/999").status_code == 404
    assert persons.get("/personas/faces/999/picture.png").status_code == 404
    assert persons.get(f"/personas/faces/{face}/picture.png").status_code == 404  # It is no picture.


def test_a_personas_card_shows_the_first_good_face_of_it(persons: FlaskClient, parts: WebParts) -> None:
    faces = face_ids(parts.database)
    persons.post("/personas/say", data={"faces": faces[1:3], "say": "label", "name": "Ada"})
    persons.post("/personas/new", data={"name": "Eve"})

    page = persons.get("/personas").text

    cards = page.split('class="personas"', 1)[1].split("</ul>", 1)[0]
    assert re.findall(r"/api/faces/(\d+)/picture.png", cards) == [str(faces[1])]
    assert "no-face" in cards


def test_a_jobs_pictures_frame_their_faces_with_names_for_whoever_may_see_them(
    with_version: WebParts, keys: dict[str, str]
) -> None:
    database = with_version.database
    job = answer(database, [[told(seen(somebody(1), 1)), told(somebody(2))], []], client="anna")
    find_all(database)
    first, _ = face_ids(database)
    ada = people.make(database, "Ada", by=ANNA).id
    decide(database, NewDecision(faces=(first,), kind="label", persona=ada), by=ANNA)
    web = create_app(with_version).test_client()

    def pages(key: str) -> list[str]:
        ask = Asking(web, keys[key])
        return [ask("GET", place).get_data(as_text=True) for place in (f"/predictions/{job}", "/results")]

    for page in pages("root"):
        assert page.count('class="framed"') == 1
        assert page.count("<rect") == 2
        assert f"/personas/faces/{first}" in page
        assert ">Ada</a>" in page
    for page in pages("anna"):
        assert page.count("<rect") == 2
        assert "Ada" not in page
        assert "/personas/faces/" not in page
