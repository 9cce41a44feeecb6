"""The page of the streams, as processes that read them tell of themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from production_server.jobs.arrivals import refuse_messages
from production_server.jobs.database import Database
from production_server.jobs.records import NewArrival, NewRefusal
from production_server.jobs.stream_members import leave, tell
from production_server.sources.streams.counts import Counts
from testing.celeriac import Celeriac
from tests.browser.conftest import PHONE, Visit
from tests.browser.test_every_page import sideways, violations

WIDE = {"width": 1200, "height": 800}
FAULT = "ssl://broker.lab:9093/bootstrap: Disconnected: connection reset by peer (after 0ms in state SSL_HANDSHAKE)"


@pytest.fixture
def database(site: Celeriac) -> Iterator[Database]:
    database = Database(f"sqlite:///{site.directory}/state/celeriac.sqlite3")
    yield database
    for process in ("busy", "idle", "cut-off"):
        leave(database, "patients", process)
    database.close()


def tell_of(
    database: Database, process: str, lag: dict[str, int | None], counts: Counts, *, fault: str = ""
) -> None:
    rule = {"from": "kafka://broker.lab:9093/patients", "models": ["diabetes"], "results": "answers"}
    told = {"most_waiting": 10_000, "partitions": lag, "fault": fault, "paused": False, **counts.as_told()}
    tell(database, "patients", process, rule | told)


def fill(database: Database) -> None:
    counts = Counts(messages=1200, items=1200, told=1200)
    for seconds in [0.02] * 900 + [0.4] * 300:
        counts.note_answered(seconds)
    tell_of(database, "busy", {"0": 12_000, "1": 345}, counts)
    tell_of(database, "idle", {}, Counts())
    tell_of(database, "cut-off", {}, Counts(), fault=FAULT)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_it_says_who_reads_and_how_far_behind(
    visit: Visit, database: Database, scheme: str, viewport: dict[str, int]
) -> None:
    fill(database)
    page = visit("/stats", color_scheme=scheme, viewport=viewport, reduced_motion="reduce")
    page.get_by_role("link", name="streams").click()

    figures = page.locator("dl.figures")
    expect(figures).to_contain_text("Half of the results within25 ms", use_inner_text=False)
    expect(figures).to_contain_text("99 of 100 within500 ms")
    expect(page.get_by_role("row", name="idle")).to_contain_text("no partition is left for it")
    expect(page.get_by_role("row", name="cut-off")).to_contain_text("SSL_HANDSHAKE")
    assert (violations(page), sideways(page)) == ([], 0)


def test_it_follows_what_comes(visit: Visit, database: Database) -> None:
    fill(database)
    page = visit("/streams")
    expect(page.get_by_role("row", name="busy")).to_contain_text("12 000")

    tell_of(database, "busy", {"0": 0, "1": 0}, Counts(messages=13_545))
    bad = NewArrival(digest=b"\x01" * 32, place="patients/0/7", key=None, request_id="r7", sent_at=1.8e9)
    refusal = NewRefusal(
        arrival=bad, error_code="invalid_input", error_message="expected 8 numbers", message=b"", headers={}
    )
    refuse_messages(database, "patients", [refusal], tell=False)

    expect(page.get_by_role("row", name="busy")).to_contain_text("13 545")
    expect(page.get_by_text("expected 8 numbers")).to_be_visible()
