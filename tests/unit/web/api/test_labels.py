"""/api/labels: questions, decisions, undo and progress, over HTTP."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete

from production_server.access.keys import create_key
from production_server.access.records import NewKey
from production_server.access.scopes import Scope
from production_server.jobs.tables import job as job_table
from production_server.models.registry import Registry
from production_server.web.app import create_app
from production_server.web.edge.parts import WebParts
from testing.small_models import write_quantity_model, write_table_model, write_tags_model
from tests.unit.access.test_keys import SOMEBODY
from tests.unit.web.test_whose import Asking, keys

__all__ = ["keys"]
ROWS = {"model": "table", "inputs": [[4, 7], [0, 7], [9, 7]]}
TABLE = "/api/labels/table"


@pytest.fixture
def done(web: FlaskClient, work: Any) -> dict[str, Any]:
    """A job of three rows with answers: a margin of 0, and two larger ones."""
    made: dict[str, Any] = web.post("/api/jobs", json=ROWS).get_json()
    work(made)
    return made


def decide(web: FlaskClient, done: dict[str, Any], index: int = 0, **more: Any) -> Any:
    headers = {"Idempotency-Key": more.pop("key")} if "key" in more else {}
    body = {"job": done["id"], "index": index, **more}
    return web.post(f"{TABLE}/decisions", json=body, headers=headers)


def test_a_question_tells_what_went_in_and_what_the_model_says(
    web: FlaskClient, done: dict[str, Any]
) -> None:
    (asked,) = web.get(f"{TABLE}/next").get_json()["questions"]

    assert (asked["job"], asked["index"], asked["chosen"]) == (done["id"], 0, "margin")
    assert (asked["answer"], asked["score"]) == ("yes", 0.2)
    assert asked["choices"] == [{"label": "yes", "score": 0.2}, {"label": "no", "score": 0.8}]
    assert asked["row"] == {"index": 4, "weight": 7}
    assert asked["links"] == {"picture": None, "page": f"/predictions/{done['id']}?after=-1#item-0"}


def test_saying_yes_and_taking_it_back(web: FlaskClient, done: dict[str, Any]) -> None:
    answer = decide(web, done)
    assert answer.status_code == 201
    made = answer.get_json()
    assert (made["kind"], made["label"], made["predicted"], made["who"]) == (
        "label", "yes", "yes", "anonymous",
    )  # fmt: skip

    undone = web.delete(f"{TABLE}/decisions/last").get_json()

    assert (undone["kind"], undone["replaces"]) == ("undo", made["id"])
    listed = web.get(f"{TABLE}/decisions?limit=1").get_json()
    assert listed["decisions"] == [undone] and listed["next"] == undone["id"]
    assert web.get(f"{TABLE}/decisions?before={undone['id']}").get_json()["decisions"] == [made]
    assert web.delete(f"{TABLE}/decisions/{made['id']}").get_json()["code"] == "decision_undone"
    assert web.delete(f"{TABLE}/decisions/last").get_json()["code"] == "decision_not_found"


def test_a_decision_sent_twice_is_made_once(web: FlaskClient, done: dict[str, Any]) -> None:
    first = decide(web, done, label="no", key="once")
    second = decide(web, done, label="no", key="once")
    other = decide(web, done, label="yes", key="once")

    assert (first.status_code, second.status_code, other.status_code) == (201, 200, 409)
    assert first.get_json() == second.get_json()


def test_a_label_is_what_a_table_may_say_for_it(web: FlaskClient, done: dict[str, Any]) -> None:
    assert decide(web, done, label="0").get_json()["label"] == "no"

    refused = decide(web, done, label="maybe").get_json()

    assert refused["code"] == "invalid_input"
    assert refused["faults"] == [
        {"field": "label", "expected": "a label of table: no, yes", "got": '"maybe"'}
    ]
    assert decide(web, done, label="maybe", new=True).get_json()["label"] == "maybe"


def test_progress_tells_what_is_left_and_how_good_answers_are(web: FlaskClient, done: dict[str, Any]) -> None:
    for label in ("no", "yes"):
        (asked,) = web.get(f"{TABLE}/next?order=random").get_json()["questions"]
        decide(web, done, asked["index"], label=asked["answer"] if label == "yes" else "maybe", new=True)

    progress = web.get(TABLE).get_json()

    assert (progress["left"], progress["mine"], progress["labelled"]) == (1, 2, 2)
    (accuracy,) = progress["accuracy"]
    assert (accuracy["version"], accuracy["right"], accuracy["of"], accuracy["share"]) == ("1", 1, 2, 0.5)
    assert accuracy["low"] < 0.5 < accuracy["high"]
    assert progress["agreement"] == {"items": 0, "equal": 0, "kappa": None}


def test_an_item_that_is_gone_is_said_to_be(web: FlaskClient, parts: WebParts, done: dict[str, Any]) -> None:
    with parts.database.write() as connection:
        connection.execute(delete(job_table))

    refused = decide(web, done)

    assert (refused.status_code, refused.get_json()["code"]) == (404, "item_not_found")


@pytest.mark.parametrize("model", ["area", "tags"])
def test_a_model_that_does_not_choose_one_label_is_refused(
    parts: WebParts, tmp_path: Path, model: str
) -> None:
    write_quantity_model(tmp_path / "models")
    write_tags_model(tmp_path / "models")
    web = create_app(replace(parts, registry=Registry([tmp_path / "models"]))).test_client()

    refused = web.get(f"/api/labels/{model}/next")

    assert refused.status_code == 400
    assert f"a model that answers with one of its labels, got {model}, which" in refused.get_json()["detail"]
    assert web.get("/api/labels/nothing/next").status_code == 404


def test_two_people_of_one_client_are_told_apart_by_their_keys(
    web: FlaskClient, parts: WebParts, work: Any
) -> None:
    scopes = frozenset({Scope.LABEL, Scope.PREDICT, Scope.READ})
    anna, bert = (
        Asking(
            web, create_key(parts.database, NewKey(name=name, client="lab", scopes=scopes), by=SOMEBODY)[1]
        )
        for name in ("anna", "bert")
    )
    parts.keys.look_again()
    job = anna("POST", "/api/jobs", json=ROWS).get_json()
    work(job)
    body = {"job": job["id"], "index": 0}

    asked = {who("GET", f"{TABLE}/next").get_json()["questions"][0]["index"] for who in (anna, bert)}
    made = [who("POST", f"{TABLE}/decisions", json=body).get_json()["who"] for who in (anna, bert)]

    assert len(asked) == 2
    assert made == ["anna", "bert"]
    assert anna("GET", TABLE).get_json()["agreement"] == {"items": 1, "equal": 1, "kappa": None}


def test_items_of_another_client_are_not_there(web: FlaskClient, work: Any, keys: dict[str, str]) -> None:
    root, bert = Asking(web, keys["root"]), Asking(web, keys["bert"])
    job = root("POST", "/api/jobs", json=ROWS).get_json()
    work(job)

    refused = bert("POST", f"{TABLE}/decisions", json={"job": job["id"], "index": 0})

    assert (refused.status_code, refused.get_json()["code"]) == (404, "item_not_found")
    assert json.loads(bert("GET", f"{TABLE}/next").text) == {"questions": []}


def test_an_item_that_an_earlier_version_has_answered_may_have_a_label_of_that_version(
    parts: WebParts, tmp_path: Path, work: Any, done: dict[str, Any]
) -> None:
    write_table_model(tmp_path / "models")
    write_table_model(tmp_path / "models", version="2", labels=["no", "perhaps"])
    web = create_app(replace(parts, registry=Registry([tmp_path / "models"]))).test_client()

    assert decide(web, done, label="yes").get_json()["label"] == "yes"
    assert decide(web, done, label="perhaps").get_json()["label"] == "perhaps"
    assert decide(web, done, label="maybe").status_code == 400
