"""/keys: a page for admins. What opens is shown once, and to everybody else the page says what it takes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from production_server.access.key_text import fault_of, new_key
from production_server.access.keys import create_key, get_key, list_keys, revoke_key
from production_server.access.records import NewKey
from production_server.access.scopes import USUAL, Scope
from production_server.settings import read_settings
from production_server.web.app import create_app
from production_server.web.edge.parts import WebParts, build_parts
from production_server.web.pages.keys import SCOPES
from tests.unit.access.test_keys import SOMEBODY
from tests.unit.web.pages.conftest import Page, to_page

PAGE = {"Sec-Fetch-Site": "same-origin"}


def make(parts: WebParts, name: str, *scopes: Scope, **told: Any) -> str:
    wanted = NewKey(name=name, client=name, scopes=frozenset(scopes or USUAL), **told)
    made = create_key(parts.database, wanted, by=SOMEBODY)[1]
    parts.keys.look_again()
    return made


def logged_in(app: Flask, key: str) -> FlaskClient:
    web = app.test_client()
    assert web.post("/login", data={"key": key}, headers=PAGE).status_code == 303
    return web


@pytest.fixture
def app(parts: WebParts) -> Flask:
    return create_app(parts)


@pytest.fixture
def root_key(parts: WebParts) -> str:
    return make(parts, "root", Scope.ADMIN)


@pytest.fixture
def root(app: Flask, root_key: str) -> FlaskClient:
    return logged_in(app, root_key)


def send(web: FlaskClient, path: str, **form: Any) -> Page:
    return to_page(web.post(path, data=form, headers=PAGE))


def key_on(page: Page) -> str:
    """The key that a page shows; it must be one."""
    key = page.value("new-key")
    assert fault_of(key) is None
    return key


def test_a_key_is_made_and_shown_this_once(root: FlaskClient, parts: WebParts, app: Flask) -> None:
    answer = root.post(
        "/keys", headers=PAGE,
        data={"name": "anna's <notebook>", "client": "anna", "scopes": ["read", "predict"], "expires_in_days": "90"},
    )  # fmt: skip
    page = to_page(answer)

    key = key_on(page)
    assert (page.status, answer.headers["Cache-Control"], answer.headers.get("Location")) == (
        201,
        "private, no-store",
        None,
    )
    made = get_key(parts.database, key[:12])
    assert (made.name, made.client, made.scopes) == ("anna's <notebook>", "anna", frozenset(USUAL))
    assert made.expires_at == pytest.approx(made.created_at + 90 * 86_400, abs=60)
    assert logged_in(app, key).get("/stats").status_code == 200
    listed = root.get("/keys")
    assert "anna&#39;s &lt;notebook&gt;" in listed.text
    assert key[12:] not in listed.text
    assert listed.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    ("form", "field"),
    [({"name": "", "scopes": "read"}, "name"), ({"name": "two words", "scopes": "read"}, "client"),
     ({"name": "a", "scopes": "read", "expires_in_days": "soon"}, "expires_in_days"),
     ({"name": "a", "scopes": "read", "expires_in_days": "0"}, "expires_in_days"),
     ({"name": "a", "client": "b c", "scopes": "read"}, "client"), ({"name": "a"}, "scopes"),
     ({"name": "x" * 65, "scopes": "read"}, "name")],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_field_and_what_was_typed_stays(
    root: FlaskClient, parts: WebParts, form: dict[str, str], field: str
) -> None:
    page = send(root, "/keys", **form)

    assert page.status == 400
    assert f'id="{field}-error"' in page.source
    assert page.value("name") == form["name"]
    assert ("checked" in page.element('id="scope-read"')) is ("scopes" in form)
    assert "checked" not in page.element('id="scope-predict"')
    assert len(list_keys(parts.database)) == 1


@pytest.mark.parametrize("scope", ["fly", ""])
def test_a_scope_that_there_is_not_is_refused(root: FlaskClient, parts: WebParts, scope: str) -> None:
    assert send(root, "/keys", name="a", scopes=scope).status == 400
    assert len(list_keys(parts.database)) == 1


def test_a_key_is_put_in_place_of_another(root: FlaskClient, parts: WebParts) -> None:
    before = make(parts, "anna")

    page = send(root, f"/keys/{before[:12]}/rotate", overlap_days="2")

    assert page.status == 201
    assert get_key(parts.database, key_on(page)[:12]).client == "anna"
    assert "goes on for 2 days at most" in page.text
    assert get_key(parts.database, before[:12]).expires_at is not None


def test_what_cannot_be_replaced_is_told_above_the_list(root: FlaskClient, parts: WebParts) -> None:
    key = make(parts, "anna")
    wrong = send(root, f"/keys/{key[:12]}/rotate", overlap_days="31")
    revoke_key(parts.database, key[:12], by=SOMEBODY)
    over = send(root, f"/keys/{key[:12]}/rotate", overlap_days="1")

    assert (wrong.status, over.status) == (400, 409)
    assert "Goes on for: expected" in wrong.text
    assert "is over: make a new one" in over.text
    assert send(root, "/keys/cel_nothing0/rotate", overlap_days="1").status == 404
    assert send(root, "/keys/cel_nothing0/revoke").status == 404
    assert len(list_keys(parts.database)) == 2


def test_a_key_is_revoked_and_then_among_those_that_are_over(root: FlaskClient, parts: WebParts) -> None:
    key = make(parts, "anna")

    answer = root.post(f"/keys/{key[:12]}/revoke", headers=PAGE)

    assert (answer.status_code, answer.headers["Location"]) == (303, "/keys")
    assert get_key(parts.database, key[:12]).revoked_at is not None
    page = to_page(root.get("/keys"))
    assert "1 key that opens nothing any more" in page.text
    assert f"/keys/{key[:12]}/revoke" not in page.source


def test_a_key_that_has_expired_is_over_too(root: FlaskClient, parts: WebParts) -> None:
    make(parts, "short", expires_in_s=0.001)

    assert "1 key that opens nothing any more" in to_page(root.get("/keys")).text


def test_whoever_revokes_his_own_key_is_told_before_and_is_out_at_once(
    root: FlaskClient, root_key: str
) -> None:
    page = to_page(root.get("/keys"))
    assert "this logs you out, here and everywhere" in page.text
    assert "keys are made on the command line" in page.text

    out = to_page(root.post(f"/keys/{root_key[:12]}/revoke", headers=PAGE, follow_redirects=True))

    assert out.status == 401
    assert 'name="key"' in out.source


def test_of_two_admins_keys_none_is_the_last(root: FlaskClient, parts: WebParts) -> None:
    make(parts, "other", Scope.ADMIN)

    assert "keys are made on the command line" not in to_page(root.get("/keys")).text


def test_where_there_are_no_keys_the_first_one_is_an_admins_and_closes_the_service(
    web: FlaskClient, parts: WebParts
) -> None:
    web.get("/stats")
    page = to_page(web.get("/keys"))
    assert "whoever reaches this machine may do everything" in page.text
    assert "will have to log in with it" in page.text
    assert "checked" in page.element('id="scope-admin"')

    made = send(web, "/keys", name="root", scopes="admin")
    parts.keys.look_again()

    assert "Log in with it" in made.text
    assert web.get("/keys").status_code == 401
    assert web.post("/login", data={"key": key_on(made), "next": "/keys"}, headers=PAGE).status_code == 303
    page = to_page(web.get("/keys"))
    assert page.status == 200
    assert "checked" not in page.element('id="scope-admin"')


def test_keys_that_the_deployment_brings_are_told_of(tmp_path: Any) -> None:
    key = new_key()
    parts = build_parts(read_settings({"STATE_DIR": str(tmp_path), "API_KEYS": f"{key} lab admin"}))
    parts.database.migrate()
    parts.keys.look_again()

    page = to_page(logged_in(create_app(parts), key).get("/keys"))

    assert "are not listed here" in page.text
    assert "There are no keys" not in page.text
    parts.database.close()


@pytest.mark.parametrize("path", ["/keys", "/audit"])
def test_who_may_not_is_told_what_it_takes_and_may_log_in_with_another_key(
    app: Flask, parts: WebParts, root_key: str, path: str
) -> None:
    anna = logged_in(app, make(parts, "anna"))

    page = to_page(anna.get(path))

    assert page.status == 403
    assert "It takes the scope admin" in page.text
    assert "“anna” of anna" in page.text
    assert page.value("key") == ""
    assert f'name="next" value="{path}"' in page.source
    assert "Log out" in page.text
    allowed = anna.post("/login", data={"key": root_key, "next": path}, headers=PAGE, follow_redirects=True)
    assert (allowed.status_code, allowed.request.path) == (200, path)


def test_the_header_leads_there_only_who_may(app: Flask, parts: WebParts, root: FlaskClient) -> None:
    anna = logged_in(app, make(parts, "anna"))

    def leads(web: FlaskClient, path: str = "/") -> set[str]:
        header = re.search(r"<header.*</header>", web.get(path).text, re.DOTALL)
        assert header is not None
        return {"/keys", "/audit"} & set(re.findall(r'href="([^"]*)"', header.group()))

    assert leads(root) == {"/keys", "/audit"}
    assert leads(anna) == leads(app.test_client(), "/login") == leads(app.test_client(), "/") == set()


@pytest.mark.parametrize("path", ["/keys", "/keys/{}/revoke", "/keys/{}/rotate"])
@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}])
def test_no_other_site_makes_or_revokes_a_key(
    root: FlaskClient, parts: WebParts, root_key: str, path: str, headers: dict[str, str]
) -> None:
    form = {"name": "evil", "scopes": "admin", "overlap_days": "0"}

    assert root.post(path.format(root_key[:12]), data=form, headers=headers).status_code == 403
    assert [(key.name, key.revoked_at, key.expires_at) for key in list_keys(parts.database)] == [
        ("root", None, None)
    ]


def test_the_form_offers_every_scope_that_there_is() -> None:
    assert list(SCOPES) == list(Scope)
