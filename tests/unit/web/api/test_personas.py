"""/api/personas and /api/faces over HTTP."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import update

from production_server.jobs.tables import item_input
from production_server.web.app import create_app
from production_server.web.edge.parts import WebParts
from tests.unit.personas.pictures import answer, face_ids, find_all, learn, seen, somebody, told
from tests.unit.web.test_whose import Asking, keys

__all__ = ["keys"]


@pytest.fixture
def persons(parts: WebParts) -> FlaskClient:
    """A service that keeps faces: four of one person, and one of each of three others."""
    pictures = [[told(seen(somebody(0), n))] for n in range(4)] + [[told(somebody(p))] for p in (1, 2, 3)]
    answer(parts.database, pictures)
    find_all(parts.database)
    return create_app(replace(parts, settings=replace(parts.settings, personas="on"))).test_client()


def make(web: FlaskClient, name: str) -> int:
    made = web.post("/api/personas", json={"name": name})
    assert made.status_code == 201
    number: int = made.get_json()["id"]
    return number


def say(web: FlaskClient, kind: str, faces: list[int], **more: Any) -> Any:
    return web.post("/api/faces/decisions", json={"faces": faces, "kind": kind, **more})


@pytest.mark.parametrize("path", ["/api/personas", "/api/faces", "/api/faces/1/picture.png"])
def test_a_service_that_keeps_no_faces_says_how_to_switch_that_on(web: FlaskClient, path: str) -> None:
    refused = web.get(path)

    assert (refused.status_code, refused.get_json()["code"]) == (404, "personas_off")
    assert "PERSONAS=on" in refused.get_json()["detail"]


def test_from_a_label_to_predictions_and_back(persons: FlaskClient, parts: WebParts) -> None:
    faces = face_ids(parts.database)
    ada = make(persons, "Ada")

    said = say(persons, "label", faces[:1], persona=ada).get_json()["decisions"]
    waiting = persons.get("/api/personas/classifiers").get_json()
    learn(parts.database)

    assert [(each["face"], each["kind"], each["who"]) for each in said] == [(faces[0], "label", "anonymous")]
    assert waiting == {"classifiers": [], "waiting": 1}
    (listed,) = persons.get("/api/personas").get_json()["personas"]
    assert (listed["name"], listed["labelled"], listed["predicted"]) == ("Ada", 1, 3)
    (judge,) = persons.get("/api/personas/classifiers").get_json()["classifiers"]
    assert (judge["personas"], judge["done"]) == (1, True)
    assert judge["said"] == "3 faces changed, 3 gained a name, 0 lost one"
    assert judge["promise"] == {"named": 0, "strangers": 0, "low": 0, "high": 1}
    predicted = persons.get(f"/api/personas/{ada}/faces?kind=predicted&limit=2").get_json()
    assert (len(predicted["faces"]), predicted["next"]) == (2, 2)
    assert {each["predicted"] for each in predicted["faces"]} == {ada}
    unknown = persons.get("/api/faces").get_json()
    assert [each["id"] for each in unknown["faces"]] == faces[:3:-1]

    (undone,) = persons.delete("/api/faces/decisions/last").get_json()["decisions"]
    learn(parts.database)

    assert (undone["kind"], undone["replaces"]) == ("undo", said[0]["id"])
    assert persons.get(f"/api/faces/{faces[1]}").get_json()["predicted"] is None
    (group,) = persons.get("/api/faces/groups").get_json()["groups"]
    assert sorted(each["id"] for each in group) == faces[:4]
    assert len(persons.get("/api/faces/decisions?limit=1").get_json()["decisions"]) == 1


def test_the_one_that_is_least_like_the_others_comes_first_among_outliers(
    persons: FlaskClient, parts: WebParts
) -> None:
    faces = face_ids(parts.database)
    ada = make(persons, "Ada")
    say(persons, "label", faces[:5], persona=ada)

    found = persons.get(f"/api/personas/{ada}/faces?kind=outliers").get_json()["faces"]

    assert found[0]["id"] == faces[4]
    assert len(found) == 5


def test_a_face_is_cut_out_of_its_picture(persons: FlaskClient, parts: WebParts) -> None:
    pixels = np.zeros((400, 400, 3), np.uint8)
    pixels[60:180, 60:180] = 200
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    with parts.database.write() as connection:
        connection.execute(update(item_input).where(item_input.c.idx == 0).values(payload=file.getvalue()))
    first, second = face_ids(parts.database)[:2]

    shown = persons.get(f"/api/faces/{first}/picture.png")

    assert (shown.mimetype, shown.headers["Cache-Control"]) == ("image/png", "no-store")
    cut = np.asarray(Image.open(io.BytesIO(shown.data)))
    assert cut.shape == (150, 150, 3)
    assert cut[75, 75].tolist() == [200, 200, 200]
    assert persons.get(f"/api/faces/{second}/picture.png").get_json()["code"] == "face_not_found"


def test_names_are_changed_personas_merged_split_and_deleted(persons: FlaskClient, parts: WebParts) -> None:
    faces = face_ids(parts.database)
    ada, bob = make(persons, "Ada"), make(persons, "Bob")
    say(persons, "label", faces[:2], persona=ada)

    assert persons.post("/api/personas", json={"name": "Ada"}).get_json()["code"] == "persona_exists"
    assert persons.put(f"/api/personas/{ada}/name", json={"name": "Eva"}).get_json()["name"] == "Eva"
    assert persons.post(f"/api/personas/{ada}/merge", json={"into": bob}).get_json()["labelled"] == 2
    assert persons.get(f"/api/personas/{ada}/faces").get_json()["code"] == "persona_not_found"
    assert persons.post(f"/api/personas/{ada}/split").get_json()["labelled"] == 2
    assert persons.delete(f"/api/personas/{ada}?faces=true").get_json() == {"faces": 2}
    assert [each["name"] for each in persons.get("/api/personas").get_json()["personas"]] == ["Bob"]
    assert persons.get(f"/api/faces/{faces[0]}").get_json()["code"] == "face_not_found"


def test_a_contradiction_is_answered_with_409(persons: FlaskClient, parts: WebParts) -> None:
    faces, ada = face_ids(parts.database), make(persons, "Ada")
    (said,) = say(persons, "reject", faces[:1], persona=ada).get_json()["decisions"]

    refused = say(persons, "label", faces, persona=ada)

    assert (refused.status_code, refused.get_json()["code"]) == (409, "face_contradicted")
    assert persons.delete(f"/api/faces/decisions/{said['id']}").status_code == 200
    assert say(persons, "label", faces, persona=ada).status_code == 200


def test_all_that_is_known_of_a_persona_can_be_had(persons: FlaskClient, parts: WebParts) -> None:
    faces, ada = face_ids(parts.database), make(persons, "Ada")
    say(persons, "label", faces[:1], persona=ada)
    learn(parts.database)

    lines = persons.get(f"/api/personas/{ada}/export.jsonl").get_data(as_text=True).splitlines()

    persona, *told_of = map(json.loads, lines)
    assert (persona["name"], persona["predicted"]) == ("Ada", 3)
    assert [(each["id"], len(each["decisions"])) for each in told_of] == [
        (face_id, int(face_id == faces[0])) for face_id in faces[:4]
    ]
    assert told_of[0]["embedding"] == told(seen(somebody(0), 0))["embedding"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"faces": [], "kind": "stranger"}, "faces"),
        ({"faces": [0], "kind": "stranger"}, "faces[0]"),
        ({"faces": ["1"], "kind": "stranger"}, "faces[0]"),
        ({"faces": [1], "kind": "undo"}, "kind"),
        ({"faces": [1], "kind": "label"}, "persona"),
        ({"faces": [1] * 501, "kind": "stranger"}, "faces"),
    ],
)
def test_what_cannot_be_meant_is_told_by_its_field(
    persons: FlaskClient, body: dict[str, Any], field: str
) -> None:
    refused = persons.post("/api/faces/decisions", json=body)

    assert refused.status_code == 400
    assert field in refused.get_json()["detail"]


def test_faces_are_shown_to_keys_of_their_scope_alone(persons: FlaskClient, keys: dict[str, str]) -> None:
    assert Asking(persons, keys["personas"])("GET", "/api/faces").status_code == 200
    assert Asking(persons, keys["root"])("GET", "/api/personas").status_code == 200
    for other in ("anna", "read", "label", "models"):
        assert Asking(persons, keys[other])("GET", "/api/faces").status_code == 403


def test_how_many_strangers_get_a_name_is_tried_and_set(persons: FlaskClient, parts: WebParts) -> None:
    faces, ada = face_ids(parts.database), make(persons, "Ada")
    assert persons.put("/api/personas/classifiers/nothing/promise", json={"one_in": 50}).status_code == 404
    assert persons.get("/api/personas/classifiers/faces/1/promise?one_in=50").status_code == 404
    say(persons, "label", faces[:1], persona=ada)
    learn(parts.database)

    tried = persons.get("/api/personas/classifiers/faces/1/promise?one_in=50").get_json()
    made = persons.put("/api/personas/classifiers/faces/promise", json={"one_in": 50}).get_json()
    learn(parts.database)
    (after,) = persons.get("/api/personas/classifiers").get_json()["classifiers"]

    assert (tried["named"], tried["named_now"], tried["faces"], tried["gain"]) == (3, 3, [], False)
    assert (made["waiting"], made["classifiers"][0]["one_in"], made["classifiers"][0]["promised_by"]) == (
        1,
        100,
        "anonymous",
    )
    assert after["one_in"] == 50
    for bad in ({"one_in": 1}, {"one_in": "50"}, {"one_in": 10_001}, {}):
        refused = persons.put("/api/personas/classifiers/faces/promise", json=bad)
        assert (refused.status_code, "one_in" in refused.get_json()["detail"]) == (400, True)
