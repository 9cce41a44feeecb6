"""/audit: the lines, newest first, for admins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from production_server.access.audit import Act, Noted, write_line
from production_server.access.records import Actor
from production_server.jobs.database import Database
from production_server.web.pages import audit
from production_server.web.pages.audit import Change, changes
from tests.unit.web.pages.conftest import Page

Get = Callable[[str], Page]
ANNA = Actor("anna", "cel_anna0000", "192.0.2.7", "r-7")


def write(database: Database, act: Act, object_: str, *, by: Actor = ANNA, **told: Any) -> None:
    with database.write() as connection:
        write_line(connection, Noted(by=by, act=act, object=object_, **told))


def test_a_line_tells_who_did_what_from_where(get: Get, database: Database) -> None:
    job = uuid4()
    write(
        database, Act.KEY_ROTATED, "cel_bert0000", before={"expires": None}, after={"expires": "2026-12-01"}
    )
    write(database, Act.JOB_CANCELLED, str(job), before={"client": "<bert>"})
    write(database, Act.REQUEST_REFUSED, "", by=Actor("", address="192.0.2.9"), count=1200)

    page = get("/audit")

    assert page.status == 200
    for text in ("key.rotated", "anna cel_anna0000…", "192.0.2.7 request r-7", "expires: none 2026-12-01"):
        assert text in page.text
    assert "1 200 times" in page.text.replace("\u202f", " ").replace("\xa0", " ")
    assert 'href="/keys#cel_bert0000"' in page.source
    assert f'href="/predictions/{job}"' in page.source
    assert "client: <bert>" in page.text


def test_pages_follow_each_other_and_keep_what_was_asked(
    get: Get, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PAGE_LINES", 2)
    for number in range(3):
        write(database, Act.KEY_CREATED, f"cel_{number:08}")
    write(database, Act.KEY_REVOKED, "cel_revoked0")

    first = get("/audit?act=key.created&client=anna")
    shown = [first.text.count(f"cel_{number:08}") for number in range(3)]
    following = first.element('rel="next"').partition('href="')[2].partition('"')[0].replace("&amp;", "&")
    rest = get(following)

    assert shown == [0, 1, 1]
    assert "cel_00000000" in rest.text
    assert "cel_revoked0" not in first.text + rest.text
    assert 'rel="next"' not in rest.source
    assert "Newest" in rest.text


@pytest.mark.parametrize("query", ["act=key.eaten", "since=soon", "after=1", "client=a%00b", "who=anna"])
def test_what_cannot_be_looked_for_is_told(get: Get, query: str) -> None:
    page = get(f"/audit?{query}")

    assert page.status == 400
    assert "That cannot be searched for" in page.text


def test_an_audit_without_lines_says_so(get: Get) -> None:
    assert "There is no line" in get("/audit").text
    assert "No line is so" in get("/audit?client=anna&since=2026-01-01T00:00").text


def test_a_change_tells_what_was_and_what_is() -> None:
    before, after = {"a": 1, "b": ["x", "y"], "c": None}, {"a": 2, "b": ["x", "y"], "d": "new"}

    assert changes(before, after) == [
        Change("a", "1", "2"), Change("b", None, "x, y"), Change("c", "none", None), Change("d", None, "new"),
    ]  # fmt: skip
    assert changes(None, None) == []
