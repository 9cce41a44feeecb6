"""Sessions: a key becomes a cookie, which ends with the key, at the logout, and when another takes its place."""

from __future__ import annotations

import io

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from production_server.access import sessions
from production_server.access.audit import Act, Wanted, list_lines
from production_server.access.key_text import id_of
from production_server.access.keys import create_key, list_keys, revoke_key
from production_server.access.records import NewKey
from production_server.access.scopes import USUAL, Scope
from production_server.errors import Unauthorized
from production_server.web.edge.door import SESSION_COOKIE
from production_server.web.edge.forms import URL_ENCODED
from production_server.web.edge.parts import WebParts
from production_server.web.edge.sizes import MAX_LOGIN_BYTES
from production_server.web.pages.login import local_path
from tests.unit.access.test_keys import SOMEBODY

PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def key(parts: WebParts) -> str:
    return create_key(
        parts.database, NewKey(name="anna's", client="anna", scopes=frozenset(USUAL)), by=SOMEBODY
    )[1]


def log_in(web: FlaskClient, key: str, **fields: str) -> tuple[int, str]:
    answer = web.post("/login", data={"key": key, **fields}, headers=PAGE)
    return answer.status_code, answer.headers.get("Location", answer.text)


def session(web: FlaskClient) -> str | None:
    cookie = web.get_cookie(SESSION_COOKIE)
    return None if cookie is None else cookie.value


def test_a_page_asks_whoever_has_no_key_for_one(web: FlaskClient, key: str) -> None:
    page = web.get("/results?label=a&limit=5")

    assert page.status_code == 401
    assert 'name="key"' in page.text
    assert 'value="/results?label=a&amp;limit=5"' in page.text


def test_a_key_becomes_a_session_that_pages_and_their_scripts_use(web: FlaskClient, key: str) -> None:
    assert log_in(web, f" {key} ", next="/stats?span=week") == (303, "/stats?span=week")

    page = web.get("/stats")
    assert page.status_code == web.get("/api/jobs").status_code == 200
    assert "anna&#39;s" in page.text
    assert "Log out" in page.text
    row = {"model": "table", "inputs": [[1, 7]]}
    assert web.post("/api/jobs", json=row, headers=PAGE).status_code == 202
    assert web.get("/metrics").status_code == 403


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_form_that_is_too_large_is_refused_and_not_cut(
    web: FlaskClient, key: str, is_chunked: bool
) -> None:
    body = f"key={key}&next=/{'x' * MAX_LOGIN_BYTES}".encode()

    answer = web.post(
        "/login",
        headers=PAGE | ({"Transfer-Encoding": "chunked"} if is_chunked else {}),
        content_type=URL_ENCODED,
        input_stream=io.BytesIO(body),
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert answer.status_code == 413
    assert session(web) is None


def test_the_cookie_is_no_script_s_and_not_the_key(web: FlaskClient, key: str) -> None:
    cookie = web.post("/login", data={"key": key}, headers=PAGE).headers["Set-Cookie"]
    secure = web.post("/login", data={"key": key}, headers=PAGE, base_url="https://localhost").headers[
        "Set-Cookie"
    ]

    assert key not in cookie
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert ("Secure" in cookie.split("; "), "Secure" in secure.split("; ")) == (False, True)


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}])
def test_a_session_changes_nothing_unless_a_page_of_ours_asks(
    web: FlaskClient, parts: WebParts, key: str, headers: dict[str, str]
) -> None:
    log_in(web, key)

    assert (
        web.post("/api/jobs", headers=headers, json={"model": "table", "inputs": [[1, 7]]}).status_code == 403
    )
    assert web.post("/predictions?model=table", headers=headers, data={"row-a": "1"}).status_code == 403
    assert web.get("/api/jobs").get_json()["jobs"] == []


def test_a_session_ends_with_its_key(web: FlaskClient, parts: WebParts, key: str) -> None:
    log_in(web, key)
    assert web.get("/stats").status_code == 200

    revoke_key(parts.database, key[:12], by=SOMEBODY)
    parts.keys.look_again()

    assert web.get("/stats").status_code == 401


def test_a_session_ends_at_the_logout_for_whoever_has_copied_it_too(
    app: Flask, web: FlaskClient, key: str
) -> None:
    log_in(web, key)
    copied = session(web)

    assert web.post("/logout", headers=PAGE).status_code == 303

    assert session(web) is None
    assert web.get("/stats").status_code == 401
    other = app.test_client(use_cookies=False)
    assert other.get("/stats", headers={"Cookie": f"{SESSION_COOKIE}={copied}"}).status_code == 401


def test_who_was_let_in_by_a_session_makes_no_key_once_it_has_ended(parts: WebParts) -> None:
    """In another process, that is: there a session that has ended is known for a moment."""
    made = NewKey(name="root", client="root", scopes=frozenset({Scope.ADMIN}))
    admin = create_key(parts.database, made, by=SOMEBODY)[1]
    parts.keys.look_again()
    text = sessions.open_session(parts.database, parts.keys.find(admin), by=SOMEBODY)
    parts.keys.look_again()
    let_in = parts.keys.find(text)

    sessions.end_session(parts.database, let_in.session_id, by=SOMEBODY)

    with pytest.raises(Unauthorized, match="session has ended"):
        create_key(parts.database, made, by=let_in.acting("", ""))
    assert len(list_keys(parts.database)) == 1


def test_another_login_ends_the_session_before(
    app: Flask, web: FlaskClient, parts: WebParts, key: str
) -> None:
    log_in(web, key)
    first = session(web)
    assert web.get("/stats").status_code == 200

    log_in(web, key)
    parts.keys.look_again()

    assert session(web) != first
    assert web.get("/stats").status_code == 200
    copy = app.test_client()
    copy.set_cookie(SESSION_COOKIE, first or "")
    assert copy.get("/stats").status_code == 401


def test_a_cookie_of_somebody_else_that_is_no_text_keeps_nobody_out(
    app: Flask, web: FlaskClient, key: str
) -> None:
    log_in(web, key)

    def asked(cookie: str) -> int:
        return app.test_client(use_cookies=False).get("/stats", headers={"Cookie": cookie}).status_code

    assert asked(f"other=\xff\xfe; {SESSION_COOKIE}={session(web)}") == 200
    assert asked(f"{SESSION_COOKIE}=\xff") == asked(f"{SESSION_COOKIE}=%ff") == 401


def test_a_session_is_no_key_among_keys_and_opens_no_other(
    web: FlaskClient, parts: WebParts, key: str
) -> None:
    log_in(web, key)
    its = session(web)
    assert its is not None
    assert web.get("/stats").status_code == 200

    assert [each.id for each in list_keys(parts.database)] == [key[:12]]
    assert log_in(web, its)[0] == 401


def test_a_page_tells_what_a_key_does_not_let_its_client_do(web: FlaskClient, parts: WebParts) -> None:
    reader = NewKey(name="reader", client="r", scopes=frozenset({Scope.READ}))
    log_in(web, create_key(parts.database, reader, by=SOMEBODY)[1])

    page = web.get("/predictions?model=table")

    assert page.status_code == 200
    assert "lets you look, not predict" in page.text
    assert 'type="submit">Predict' not in page.text


def test_what_is_to_be_copied_has_a_place_for_the_key_where_one_is_needed(
    app: Flask, web: FlaskClient, parts: WebParts
) -> None:
    places = ("Authorization: Bearer cel_…", "CELERIAC_KEY=cel_…")

    def shown() -> list[bool]:
        card, docs = web.get("/models/table").text, web.get("/docs").text
        return [places[0] in docs, places[0] in card, places[1] in card]

    web.get("/stats")
    assert shown() == [False] * 3
    reader = NewKey(name="reader", client="r", scopes=frozenset({Scope.READ}))
    log_in(web, create_key(parts.database, reader, by=SOMEBODY)[1])
    parts.keys.look_again()
    assert shown() == [True] * 3


def test_the_dashboard_leads_to_metrics_only_who_may(web: FlaskClient, parts: WebParts, key: str) -> None:
    admin = NewKey(name="root", client="root", scopes=frozenset({Scope.ADMIN}))
    root = create_key(parts.database, admin, by=SOMEBODY)[1]

    def leads() -> bool:
        return 'href="/metrics"' in web.get("/stats").text

    log_in(web, key)
    assert not leads()
    log_in(web, root)
    assert leads()


@pytest.mark.parametrize("typed", ["", "hunter2", "cel_" + "a" * 36])
def test_what_is_no_key_opens_no_session(web: FlaskClient, key: str, typed: str) -> None:
    status, page = log_in(web, typed)

    assert status == 401
    assert "The key" in page
    assert session(web) is None
    assert not typed or typed not in page


@pytest.mark.parametrize(
    ("wanted", "path"),
    [("/stats?a=1", "/stats?a=1"), ("//evil.example", "/"), ("https://evil.example", "/"), ("/\\evil.example", "/"),
     ("", "/"), ("stats", "/"), ("/a\r\nb: c", "/")],
)  # fmt: skip
def test_a_login_leads_nowhere_else(wanted: str, path: str) -> None:
    assert local_path(wanted) == path


def test_a_session_is_no_key_and_a_key_no_session(web: FlaskClient, key: str) -> None:
    log_in(web, key)
    text = session(web)
    web.delete_cookie(SESSION_COOKIE)

    asked = [
        web.get("/api/jobs", headers={"Authorization": f"Bearer {text}"}),
        with_cookie(web, key),
        with_cookie(web, text),
    ]

    assert [each.status_code for each in asked] == [401, 401, 200]


def with_cookie(web: FlaskClient, text: str | None) -> TestResponse:
    # Werkzeug's client drops a header that says so, unless it has no cookies of its own.
    plain = web.application.test_client(use_cookies=False)
    return plain.get("/api/jobs", headers={"Cookie": f"{SESSION_COOKIE}={text}"})


@pytest.mark.parametrize("size", [20_000, 2 * 2**20])
def test_a_login_is_small(web: FlaskClient, key: str, size: int) -> None:
    assert web.post("/login", data={"key": "a" * size}, headers=PAGE).status_code == 413


def test_of_many_sessions_of_one_key_the_oldest_end(
    web: FlaskClient, parts: WebParts, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 3)
    opened = []
    for _ in range(5):
        log_in(web, key)
        opened.append(session(web))
        web.delete_cookie(SESSION_COOKIE)
    parts.keys.look_again()

    assert [with_cookie(web, text).status_code for text in opened] == [401, 401, 200, 200, 200]
    ended = [line.object for line in list_lines(parts.database, Wanted(act=Act.SESSION_ENDED), limit=9)]
    assert sorted(ended) == sorted(id_of(text or "") for text in opened[:2])


def test_a_key_that_was_revoked_a_moment_ago_opens_no_session(parts: WebParts, key: str) -> None:
    parts.keys.look_again()
    client = parts.keys.find(key)
    revoke_key(parts.database, client.key_id, by=SOMEBODY)

    with pytest.raises(Unauthorized, match="revoked"):
        sessions.open_session(parts.database, client, by=client.acting("192.0.2.1", ""))
    assert not list_lines(parts.database, Wanted(act=Act.SESSION_OPENED), limit=1)
