"""What belongs to a client: to all others it is not there, whichever way they ask for it; admins see all."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from production_server.access.key_text import new_key
from production_server.access.keys import create_key, get_key, revoke_key
from production_server.access.records import NewKey
from production_server.access.scopes import EVERYTHING, USUAL, Scope
from production_server.errors import Unauthorized, Unavailable
from production_server.jobs.records import NewScan
from production_server.jobs.submit import start_scan
from production_server.web.api import job_results
from production_server.web.app import create_app, create_front
from production_server.web.edge.needs import scopes_for
from production_server.web.edge.parts import WebParts
from testing.asgi_client import Sender
from testing.event_loop import run_apart
from tests.unit.access.test_keys import SOMEBODY
from tests.unit.web.edge.test_door import CALLS, ask

ROW = {"model": "table", "inputs": [[1, 7]]}
ONE = {"name": "mine", "scopes": ["admin"]}


@pytest.fixture
def keys(parts: WebParts) -> dict[str, str]:
    """A key of anna's, one of bert's, an admin's, and one of each scope alone."""
    made = {
        name: create_key(parts.database, NewKey(name=name, client=name, scopes=scopes), by=SOMEBODY)[1]
        for name, scopes in [
            ("anna", frozenset(USUAL)),
            ("bert", EVERYTHING - {Scope.ADMIN}),
            ("root", frozenset({Scope.ADMIN})),
            *((scope.value, frozenset({scope})) for scope in Scope),
        ]
    }
    parts.keys.look_again()
    return made


class Asking:
    """Requests of one client."""

    def __init__(self, web: FlaskClient, key: str) -> None:
        self._web = web
        self._headers = {"Authorization": f"Bearer {key}"}

    def __call__(self, method: str, path: str, **options: Any) -> Any:
        headers = self._headers | options.pop("headers", {})
        return self._web.open(path, method=method, headers=headers, **options)


@pytest.fixture
def anna(web: FlaskClient, keys: dict[str, str]) -> Asking:
    return Asking(web, keys["anna"])


@pytest.fixture
def bert(web: FlaskClient, keys: dict[str, str]) -> Asking:
    return Asking(web, keys["bert"])


@pytest.fixture
def root(web: FlaskClient, keys: dict[str, str]) -> Asking:
    return Asking(web, keys["root"])


def of_a_job(app: Flask) -> list[tuple[str, str]]:
    """All ways to ask for one job or scan: method, and path with a place for its id."""
    found = []
    for rule in app.url_map.iter_rules():
        # What only leads to the page of a form is asked for nothing.
        if {"job_id", "scan_id"} & rule.arguments and rule.endpoint != "pages.again":
            path = rule.rule.replace("<uuid:job_id>", "{}").replace("<uuid:scan_id>", "{}")
            path = path.replace("<int(max=2147483647):index>", "0")
            found += [(method, path) for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"})]
    return found


def asked_of(app: Flask) -> Iterator[tuple[str, str, str]]:
    """Every operation, but calls: as it is called, method, and a path of something that is not there."""
    for rule in app.url_map.iter_rules():
        path = app.url_map.bind("").build(
            rule.endpoint,
            {name: uuid4() if name.endswith("_id") and name != "key_id" else "0" for name in rule.arguments},
            force_external=False,
        )
        if rule.endpoint != "protocols.infer":
            for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
                yield rule.endpoint, method, path


def picture() -> tuple[io.BytesIO, str]:
    data = io.BytesIO()
    Image.new("L", (8, 8), 100).save(data, "PNG")
    data.seek(0)
    return data, "a.png"


def test_what_belongs_to_somebody_else_is_not_there(
    app: Flask, parts: WebParts, anna: Asking, bert: Asking, root: Asking, work: Any
) -> None:
    job = anna("POST", "/api/jobs", data={"model": "picture", "file": picture()}).get_json()
    work(job)
    scan, _ = start_scan(
        parts.database, NewScan(url="file:///a", pattern="*", model="picture", version="1"), client="anna"
    )
    asked = of_a_job(app)
    assert len(asked) >= 11

    for method, path in asked:
        its = path.format(scan.id if "scans" in path else job["id"])
        refused = bert(method, its)
        nothing = bert(method, path.format(uuid4()))
        assert (refused.status_code, nothing.status_code) == (404, 404), (method, path)
    for method, path in sorted(asked, key=lambda each: each[0] != "GET"):
        its = path.format(scan.id if "scans" in path else job["id"])
        for owner in (anna, root):
            assert owner(method, its, headers={"Sec-Fetch-Site": "same-origin"}).status_code in (200, 303), (
                its
            )


def test_lists_counts_and_searches_tell_of_ones_own(
    anna: Asking, bert: Asking, root: Asking, work: Any
) -> None:
    for who in (anna, anna, bert):
        work(who("POST", "/api/jobs", json=ROW).get_json())

    def seen(who: Asking) -> tuple[int, ...]:
        stats = who("GET", "/api/stats").get_json()
        return (
            len(who("GET", "/api/jobs").get_json()["jobs"]),
            len(who("GET", "/api/results").get_json()["results"]),
            len(who("GET", "/api/results.csv").text.splitlines()) - 1,
            stats["succeeded"],
            sum(model["labels"][0]["items"] for model in stats["models"]),
        )

    assert seen(anna) == (2, 2, 2, 2, 2)
    assert seen(bert) == (1, 1, 1, 1, 1)
    assert seen(root) == (3, 3, 3, 3, 3)
    for path in ("/", "/stats", "/results"):
        assert bert("GET", path).text.count("/predictions/0") < anna("GET", path).text.count("/predictions/0")


def test_an_idempotency_key_is_ones_own(anna: Asking, bert: Asking) -> None:
    ids = {
        (name, who("POST", "/api/jobs", json=ROW, headers={"Idempotency-Key": "k"}).get_json()["id"])
        for name, who in [("anna", anna), ("bert", bert), ("anna", anna)]
    }

    assert len(ids) == 2


def test_who_has_not_the_scope_is_told_which(app: Flask, web: FlaskClient, keys: dict[str, str]) -> None:
    """Every operation, with a key of each scope alone: those that may are not told that they may not."""
    for rule in app.url_map.iter_rules():
        needed = scopes_for(rule.endpoint)
        path = app.url_map.bind("").build(
            rule.endpoint,
            {name: uuid4() if name.endswith("_id") and name != "key_id" else "0" for name in rule.arguments},
            force_external=False,
        )
        for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
            for scope in Scope:
                answer = Asking(web, keys[scope])(method, path)
                may = not needed or scope in (*needed, Scope.ADMIN)
                is_refused = answer.status_code == 403 and "has not the scope" in answer.text
                assert is_refused is not may, (method, path, scope)
            nobody = web.open(path, method=method)
            is_asked = bool(needed) or rule.endpoint == "pages.enter"
            assert (nobody.status_code == 401) is is_asked, path


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "a key is needed"),
        ({"Authorization": "Bearer"}, "a key is needed"),
        ({"Authorization": "Bearer key"}, "none of this service's"),
        ({"Authorization": "Negotiate abc"}, "expected Bearer or Basic"),
        ({"Authorization": "Basic !!!"}, "Basic cannot be read"),
        ({"Authorization": "Basic /w=="}, "Basic cannot be read"),
        ({"X-API-Key": "cel_" + "a" * 36}, "typing error"),
        ({"X-API-Key": "x" * 10_000}, "none of this service's"),
        ({"X-API-Key": new_key()}, "is not known here"),
    ],
)
def test_whoever_brings_no_key_is_told_why(
    web: FlaskClient, keys: dict[str, str], headers: dict[str, str], said: str
) -> None:
    answer = web.get("/api/jobs", headers=headers)

    code = "unknown_key" if "not known" in said else "unauthorized"
    assert (answer.status_code, answer.get_json()["code"]) == (401, code)
    assert said in answer.get_json()["detail"]
    assert not any(value in answer.text for value in headers.values() if len(value) > 30)


@pytest.mark.parametrize("auth", [("anyone", "{}"), ("{}", ""), ("", "{}")])
def test_a_key_may_come_as_a_login(web: FlaskClient, keys: dict[str, str], auth: tuple[str, str]) -> None:
    user, password = (each.format(keys["anna"]) for each in auth)

    assert web.get("/api/jobs", auth=(user, password)).status_code == 200


def test_two_keys_are_refused_and_one_twice_is_not(web: FlaskClient, keys: dict[str, str]) -> None:
    def ask(one: str, other: str) -> int:
        headers = {"Authorization": f"Bearer {one}", "X-API-Key": other}
        return web.get("/api/jobs", headers=headers).status_code

    assert ask(keys["anna"], keys["bert"]) == 401
    assert ask(keys["anna"], keys["anna"]) == 200


def test_a_key_that_was_made_a_moment_ago_opens_at_once(web: FlaskClient, parts: WebParts) -> None:
    assert web.get("/api/jobs").status_code == 200
    wanted = NewKey(name="new", client="new", scopes=frozenset(USUAL))
    key = create_key(parts.database, wanted, by=SOMEBODY)[1]
    parts.keys.look_again()
    other = create_key(parts.database, wanted, by=SOMEBODY)[1]

    for each in (key, other):
        assert Asking(web, each)("GET", "/api/jobs").status_code == 200


def test_a_stream_ends_with_its_key(anna: Asking, parts: WebParts, keys: dict[str, str]) -> None:
    job = anna("POST", "/api/jobs", json=ROW).get_json()  # nobody works it off
    stream = anna("GET", job["links"]["events"], buffered=False).iter_encoded()
    assert next(stream).startswith(b"retry")
    assert next(stream) == b""

    revoke_key(parts.database, keys["anna"][:12], by=SOMEBODY)
    parts.keys.look_again()

    assert list(stream) == []


@pytest.mark.parametrize("path", [path for path, _ in CALLS])
def test_a_call_with_a_key_that_was_made_a_moment_ago_is_let_in(parts: WebParts, path: str) -> None:
    """What is no call is told only to those who may ask."""

    def asked(*headers: tuple[str, str]) -> int:
        return ask(parts, path, {"nonsense": 1}, headers=headers).status_code

    assert asked() == 400
    wanted = NewKey(name="new", client="new", scopes=frozenset({Scope.PREDICT}))
    create_key(parts.database, wanted, by=SOMEBODY)
    parts.keys.look_again()
    key = create_key(parts.database, wanted, by=SOMEBODY)[1]
    reader = create_key(
        parts.database, NewKey(name="r", client="r", scopes=frozenset({Scope.READ})), by=SOMEBODY
    )[1]

    assert [asked(("authorization", f"Bearer {each}")) for each in (key, reader, new_key())] == [
        400,
        403,
        401,
    ]
    assert asked() == asked(("authorization", f"Bearer {key}"), ("authorization", f"Bearer {key}")) == 401


def test_keys_are_made_listed_replaced_and_revoked_over_the_api(
    web: FlaskClient, parts: WebParts, root: Asking, anna: Asking
) -> None:
    made = root("POST", "/api/keys", json={"name": "new", "scopes": ["read"], "expires_in_days": 1})
    body = made.get_json()
    assert (made.status_code, body["client"], body["scopes"]) == (201, "new", ["read"])
    assert made.headers["Cache-Control"] == "private, no-store"
    assert Asking(web, body["key"])("GET", "/api/jobs").status_code == 200

    replaced = root("POST", f"/api/keys/{body['id']}/rotate", json={}).get_json()
    assert Asking(web, replaced["key"])("GET", "/api/jobs").status_code == 200
    assert Asking(web, body["key"])("GET", "/api/jobs").status_code == 200

    gone = root("DELETE", made.headers["Location"])
    parts.keys.look_again()
    assert (gone.status_code, Asking(web, body["key"])("GET", "/api/jobs").status_code) == (200, 401)
    assert root("POST", f"/api/keys/{body['id']}/rotate", json={}).get_json()["code"] == "key_over"
    listed = root("GET", "/api/keys")
    assert body["id"] in {key["id"] for key in listed.get_json()["keys"]}
    assert body["key"] not in listed.text
    assert root("GET", "/api/keys/cel_nothing0").get_json()["code"] == "key_not_found"
    assert anna("POST", "/api/keys", json={"name": "more"}).status_code == 403


def test_the_first_key_closes_the_service(parts: WebParts) -> None:
    web = create_app(parts).test_client()
    assert web.get("/api/jobs").status_code == 200

    made = web.post("/api/keys", json={"name": "root", "scopes": ["admin"]}).get_json()
    parts.keys.look_again()

    assert web.get("/api/jobs").status_code == 401
    revoke_key(parts.database, made["id"], by=SOMEBODY)
    parts.keys.look_again()
    assert web.get("/api/jobs").status_code == 401


def test_a_download_ends_with_its_key(
    anna: Asking, parts: WebParts, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_results, "PAGE", 1)
    job = anna("POST", "/api/jobs", json=ROW | {"inputs": [[1, 7]] * 3}).get_json()
    stream = anna("GET", job["links"]["results_csv"], buffered=False).iter_encoded()
    assert next(stream).startswith(b"index")
    assert next(stream).startswith(b"0,")

    revoke_key(parts.database, keys["anna"][:12], by=SOMEBODY)
    parts.keys.look_again()

    with pytest.raises(Unauthorized):
        next(stream)


def test_who_is_revoked_makes_no_key_though_the_door_does_not_know_of_it_yet(
    web: FlaskClient, parts: WebParts, root: Asking, keys: dict[str, str]
) -> None:
    assert root("GET", "/api/keys").status_code == 200
    revoke_key(parts.database, keys["root"][:12], by=SOMEBODY)

    wanted = {"name": "another", "scopes": ["admin"]}
    refused = [root("POST", "/api/keys", json=wanted), root("DELETE", f"/api/keys/{keys['anna'][:12]}")]

    assert [(each.status_code, each.get_json()["code"]) for each in refused] == [(401, "unauthorized")] * 2
    assert get_key(parts.database, keys["anna"][:12]).revoked_at is None


def test_of_two_who_make_the_first_key_at_once_one_does(web: FlaskClient, parts: WebParts) -> None:
    assert web.get("/api/keys").status_code == 200
    create_key(parts.database, NewKey(name="a", client="a", scopes=frozenset(USUAL)), by=SOMEBODY)

    assert web.post("/api/keys", json={"name": "mine", "scopes": ["admin"]}).status_code == 401


@pytest.mark.parametrize(("path", "brought"), [("/api/keys", {"json": ONE}), ("/keys", {"data": ONE})])
def test_who_made_a_key_gets_its_text_though_the_database_goes_away(
    web: FlaskClient, parts: WebParts, monkeypatch: pytest.MonkeyPatch, path: str, brought: dict[str, Any]
) -> None:
    assert web.get("/api/keys").status_code == 200

    def gone() -> None:
        raise Unavailable("it does not answer")

    monkeypatch.setattr(parts.keys, "look_again", gone)
    made = web.post(path, headers={"Sec-Fetch-Site": "same-origin"}, **brought)

    assert (made.status_code, "cel_" in made.text) == (201, True)


def test_who_may_say_which_versions_serve_sees_how_they_stand(web: FlaskClient, keys: dict[str, str]) -> None:
    keeper = Asking(web, keys[Scope.MODELS])

    for path in ("", "/table", "/table/versions", "/table/versions/1", "/table/channels", "/table/history"):
        assert keeper("GET", f"/api/models{path}").status_code == 200, path
    for path in ("/models/table", "/models/table/versions"):
        assert keeper("GET", path).status_code == 200, path
    refused = keeper("GET", "/api/jobs")

    assert refused.status_code == 403 and "has not the scope read" in refused.text
    assert "has not the scope read or models" in Asking(web, keys[Scope.PREDICT])("GET", "/api/models").text


@pytest.mark.parametrize(("path", "body"), CALLS)
def test_a_call_whose_key_is_revoked_while_its_body_comes_is_refused(
    parts: WebParts, keys: dict[str, str], path: str, body: Any
) -> None:
    sent = json.dumps(body).encode()
    headers = [(b"authorization", f"Bearer {keys['anna']}".encode()), (b"content-type", b"application/json")]

    class Slow(Sender):
        async def receive(self) -> Any:
            if self.taken == 1:
                revoke_key(parts.database, keys["anna"][:12], by=SOMEBODY)
                parts.keys.look_again()
            return await super().receive()

    told = Slow(path, sent[:5], sent[5:], headers=headers)
    run_apart(create_front(parts)(told.scope, told.receive, told.send))

    assert (told.status, told.code) == (401, "unauthorized")


def test_whoever_waits_is_told_nothing_more_once_the_key_is_revoked(
    parts: WebParts, bert: Asking, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def revoked(_seconds: float) -> bool:
        revoke_key(parts.database, keys["bert"][:12], by=SOMEBODY)
        parts.keys.look_again()
        return True

    @contextmanager
    def place() -> Iterator[Any]:
        yield revoked

    monkeypatch.setattr(parts.waits, "place", place)

    answer = bert("POST", "/api/jobs", json=ROW, headers={"Prefer": "wait=5"})

    assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized")


def test_no_cache_on_the_way_may_keep_what_belongs_to_somebody(
    app: Flask, parts: WebParts, root: Asking, keys: dict[str, str], work: Any
) -> None:
    """Every route, of things that are there and that are not, and calls."""
    job = root("POST", "/api/jobs", data={"model": "picture", "file": picture()}).get_json()
    work(job)
    asked = [(method, path) for operation, method, path in asked_of(app) if operation != "pages.static"]
    asked += [("GET", path.format(job["id"])) for method, path in of_a_job(app) if method == "GET"]

    for method, path in asked:
        told = root(method, path, headers={"Sec-Fetch-Site": "same-origin"}, buffered=False)
        kept = told.headers["Cache-Control"].split(", ")
        assert "private" in kept, (method, path)
        is_told_apart = {"Cookie", "Authorization", "X-API-Key"} <= {
            *told.headers.get("Vary", "").split(", ")
        }
        assert "no-store" in kept or is_told_apart, (method, path)
        told.close()
    for path, body in CALLS:
        refused = ask(parts, path, body)
        assert refused.headers["Cache-Control"] == "private, no-store"
