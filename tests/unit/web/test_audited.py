"""The audit as requests leave it: each act of an admin one line, each refusal one, in both halves of the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from production_server.access.audit import Line, Wanted, every_line
from production_server.access.key_text import new_key
from production_server.access.keys import create_key
from production_server.access.records import Actor, NewKey
from production_server.access.scopes import USUAL, Scope
from production_server.jobs.records import NewScan
from production_server.jobs.submit import start_scan
from production_server.web.edge.door import SESSION_COOKIE
from production_server.web.edge.needs import NEEDS
from production_server.web.edge.parts import WebParts
from tests.unit.access.test_keys import SOMEBODY
from tests.unit.web.edge.test_door import CALLS, ask
from tests.unit.web.test_whose import ROW, Asking

PAGE = {"Sec-Fetch-Site": "same-origin"}
ONLY_READS = None
ACTS: Mapping[str, str | None] = {
    "keys.create": "key.created",
    "keys.revoke": "key.revoked",
    "keys.rotate": "key.rotated",
    "keys.index": ONLY_READS,
    "keys.show": ONLY_READS,
    "audit.index": ONLY_READS,
    "streams.index": ONLY_READS,
    "pages.keys": ONLY_READS,
    "pages.make_key": "key.created",
    "pages.rotate_key": "key.rotated",
    "pages.revoke_key": "key.revoked",
    "pages.audit": ONLY_READS,
    "pages.streams": ONLY_READS,
}
"""What each operation that needs an admin leaves behind."""


@dataclass(frozen=True)
class Keys:
    root: str
    anna: str
    reader: str


@pytest.fixture
def keys(parts: WebParts) -> Keys:
    made = [
        create_key(parts.database, NewKey(name=name, client=name, scopes=frozenset(scopes)), by=SOMEBODY)[1]
        for name, scopes in [("root", {Scope.ADMIN}), ("anna", set(USUAL)), ("reader", {Scope.READ})]
    ]
    parts.keys.look_again()
    return Keys(*made)


@pytest.fixture
def root(web: FlaskClient, keys: Keys) -> Asking:
    return Asking(web, keys.root)


@pytest.fixture
def new_lines(parts: WebParts, keys: Keys) -> Callable[[], list[Line]]:
    """What was added to the audit since this was asked last, the oldest first."""
    known = {line.id for line in every_line(parts.database, Wanted())}

    def found() -> list[Line]:
        parts.recorder.step()
        fresh = [line for line in every_line(parts.database, Wanted()) if line.id not in known]
        known.update(line.id for line in fresh)
        return fresh[::-1]

    return found


NewLines = Callable[[], list[Line]]


def test_every_operation_of_admins_says_what_line_it_leaves() -> None:
    """One that is new has to say so here, and leave that line below."""
    assert set(ACTS) == {operation for operation, scope in NEEDS.items() if scope is Scope.ADMIN}


@pytest.mark.parametrize("operation", ACTS)
def test_each_leaves_one_line_or_only_reads(
    parts: WebParts, root: Asking, new_lines: NewLines, operation: str
) -> None:
    made, _ = create_key(
        parts.database, NewKey(name="its", client="its", scopes=frozenset(USUAL)), by=SOMEBODY
    )
    new_lines()

    answer = {
        "keys.create": lambda: root("POST", "/api/keys", json={"name": "new"}),
        "keys.revoke": lambda: root("DELETE", f"/api/keys/{made.id}"),
        "keys.rotate": lambda: root("POST", f"/api/keys/{made.id}/rotate", json={}),
        "keys.index": lambda: root("GET", "/api/keys"),
        "keys.show": lambda: root("GET", f"/api/keys/{made.id}"),
        "audit.index": lambda: root("GET", "/api/audit"),
        "streams.index": lambda: root("GET", "/api/streams"),
        "pages.keys": lambda: root("GET", "/keys"),
        "pages.make_key": lambda: root("POST", "/keys", data={"name": "new", "scopes": "read"}),
        "pages.rotate_key": lambda: root("POST", f"/keys/{made.id}/rotate", data={"overlap_days": "1"}),
        "pages.revoke_key": lambda: root("POST", f"/keys/{made.id}/revoke"),
        "pages.audit": lambda: root("GET", "/audit"),
        "pages.streams": lambda: root("GET", "/streams"),
    }[operation]()

    assert answer.status_code < 400
    assert [line.act for line in new_lines()] == ([] if ACTS[operation] is ONLY_READS else [ACTS[operation]])


def test_a_line_says_who_asked_from_where_and_under_which_id(
    web: FlaskClient, keys: Keys, root: Asking, new_lines: NewLines
) -> None:
    answer = root(
        "POST", "/api/keys", json={"name": "new"}, headers={"X-Request-Id": "r-7"},
        environ_base={"REMOTE_ADDR": "192.0.2.7"},
    )  # fmt: skip

    (line,) = new_lines()
    assert line.by == Actor("root", keys.root[:12], "192.0.2.7", "r-7")
    assert line.object == answer.get_json()["id"]


@pytest.mark.parametrize("kind", ["job", "page", "scan"])
def test_what_an_admin_cancels_of_somebody_else_is_told_and_what_is_ones_own_is_not(
    web: FlaskClient, parts: WebParts, keys: Keys, new_lines: NewLines, kind: str
) -> None:
    def cancel(owner: str, canceller: str) -> str:
        new = NewScan(url=f"file:///{owner}", pattern="*", model="picture", version="1")
        cancelled = start_scan(parts.database, new, client=owner)[0].id
        method, path = {
            "job": ("DELETE", "/api/jobs/{}"),
            "page": ("POST", "/predictions/{}/cancel"),
            "scan": ("DELETE", "/api/scans/{}"),
        }[kind]
        asking = Asking(web, getattr(keys, canceller))
        assert asking(method, path.format(cancelled), headers=PAGE).status_code in (200, 303)
        return str(cancelled)

    cancel("anna", "anna")
    cancel("root", "root")
    assert new_lines() == []
    cancelled = cancel("anna", "root")
    act = "scan.cancelled" if kind == "scan" else "job.cancelled"
    assert [(line.act, line.object, line.by.client) for line in new_lines()] == [(act, cancelled, "root")]


@pytest.mark.parametrize(
    ("path", "body", "operation"),
    [
        (*CALLS[0], "calls.v1"),
        (*CALLS[1], "calls.v2"),
        ("/api/jobs", ROW, "jobs.submit"),
        # So large that Flask is asked about it before its body has come.
        ("/api/jobs", {"model": "table", "inputs": [[1, 7]] * 9000}, "jobs.submit"),
    ],
    ids=["v1", "v2", "job", "large job"],
)
def test_what_is_refused_is_told_in_both_halves_as_one_line_each(
    parts: WebParts, keys: Keys, new_lines: NewLines, path: str, body: Any, operation: str
) -> None:
    unknown = new_key()
    refused = [
        ([], ("", "", "unauthorized")),
        ([("authorization", "Bearer hunter2-hunter2")], ("", "", "unauthorized")),
        ([("authorization", f"Bearer {unknown}")], ("", unknown[:12], "unknown_key")),
        ([("x-api-key", keys.reader)], ("reader", keys.reader[:12], "forbidden")),
    ]

    answers = [ask(parts, path, body, headers=headers).status_code for headers, _ in refused]

    assert answers == [401, 401, 401, 403]
    lines = new_lines()
    assert [(line.by.client, line.by.key_id, (line.after or {})["code"]) for line in lines] == [
        told for _, told in refused
    ]
    assert {(line.act, line.object, line.by.address) for line in lines} == {
        ("request.refused", operation, "192.0.2.7")
    }
    assert all(line.by.request_id for line in lines)


def test_what_another_sites_page_sends_is_told_too(parts: WebParts, keys: Keys, new_lines: NewLines) -> None:
    foreign = [("sec-fetch-site", "cross-site"), ("x-api-key", keys.anna)]
    for path, body in (*CALLS, ("/api/jobs", ROW)):
        assert ask(parts, path, body, headers=foreign).status_code == 403

    assert [(line.by.key_id, line.after) for line in new_lines()] == [
        (keys.anna[:12], {"code": "foreign_page"})
    ] * 3


def test_what_is_no_refusal_leaves_no_line(
    web: FlaskClient, keys: Keys, root: Asking, new_lines: NewLines
) -> None:
    assert root("GET", "/api/jobs/0").status_code == 404
    assert root("POST", "/api/jobs", json={"model": "none", "inputs": [[1]]}).status_code == 404
    assert web.get("/livez").status_code == web.get("/login").status_code == 200

    assert new_lines() == []


def test_a_service_without_keys_tells_of_nothing(parts: WebParts) -> None:
    parts.keys.look_again()
    for path, body in (*CALLS, ("/api/jobs", ROW)):
        ask(parts, path, body, headers=[("sec-fetch-site", "cross-site")])
    parts.recorder.step()

    assert list(every_line(parts.database, Wanted())) == []


def log_in(web: FlaskClient, key: str) -> Any:
    return web.post("/login", data={"key": key}, headers=PAGE)


def test_logins_are_told_as_they_go_and_never_what_was_typed(
    web: FlaskClient, parts: WebParts, keys: Keys, new_lines: NewLines
) -> None:
    assert log_in(web, keys.anna).status_code == 303
    cookie = web.get_cookie(SESSION_COOKIE)
    assert cookie is not None
    (opened,) = new_lines()
    assert (opened.act, opened.object, opened.by.client) == ("session.opened", cookie.value[:12], "anna")

    assert log_in(web, keys.reader).status_code == 303
    parts.keys.look_again()
    assert [(line.act, line.by.client) for line in new_lines()] == [
        ("session.opened", "reader"), ("session.ended", "anna"),
    ]  # fmt: skip
    assert (
        web.post("/logout", headers=PAGE).status_code == web.post("/logout", headers=PAGE).status_code == 303
    )
    assert [(line.act, line.by.client) for line in new_lines()] == [("session.ended", "reader")]

    unknown = new_key()
    for typed in ("", "hunter2-hunter2-hunter2", unknown):
        assert log_in(web, typed).status_code == 401
    lines = new_lines()
    assert [(line.act, line.by.client, line.by.key_id) for line in lines] == [
        ("session.refused", "", ""), ("session.refused", "", ""), ("session.refused", "", unknown[:12]),
    ]  # fmt: skip
    assert not any(secret in repr(lines) for secret in ("hunter2", unknown[12:]))


def test_the_audit_is_read_over_the_api_page_by_page(root: Asking, keys: Keys) -> None:
    for number in range(5):
        root("POST", "/api/keys", json={"name": f"key-{number}"})

    first = root("GET", "/api/audit?act=key.created&client=root&limit=3").get_json()
    rest = root("GET", f"/api/audit?act=key.created&limit=3&after={first['next']}").get_json()

    names = [line["after"]["name"] for line in first["lines"] + rest["lines"]]
    assert names[:5] == [f"key-{number}" for number in (4, 3, 2, 1, 0)]
    assert set(first["lines"][0]) == {
        "id", "at", "client", "key", "act", "object", "before", "after", "address", "request_id", "count",
    }  # fmt: skip
    both = [root("GET", f"/api/audit?{when}=2999-01-01T00:00:00Z").get_json() for when in ("since", "until")]
    assert [len(page["lines"]) > 0 for page in both] == [False, True]


@pytest.mark.parametrize(
    "query", ["act=nothing", "after=1", "limit=0", "since=soon", "client=a%00", "who=anna", "act=a&act=b"]
)
def test_what_cannot_be_asked_for_is_refused(root: Asking, query: str) -> None:
    assert root("GET", f"/api/audit?{query}").status_code == 400


def test_the_last_page_is_followed_by_none(root: Asking) -> None:
    assert root("GET", f"/api/audit?after={uuid4()}").get_json() == {"lines": [], "next": None}
