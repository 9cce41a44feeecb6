"""The dashboard while something happens, and the ways from it to items."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from production_server.web.pages.wording import count
from testing.celeriac import Celeriac
from testing.pictures import png
from tests.browser.conftest import ROW, Visit

LONG_MS = 60_000
PAGE_RESULTS = 50


def classified(page: Page) -> int:
    """What the first figure says."""
    return int(re.sub(r"\D", "", page.locator("#figures dd").first.inner_text()))


@pytest.fixture(scope="module")
def job(site: Celeriac) -> str:
    """The id of a job of rows and of one of images."""
    site.wait_for(site.submit("diabetes", [ROW] * 3))
    files = [("file", (f"boot-{seed}.png", png(seed), "image/png")) for seed in range(2)]
    images = site.web.post("/api/jobs", data={"model": "fashion_mnist"}, files=files).json()
    site.wait_for(images)
    return str(images["id"])


def test_the_dashboard_follows_a_scan_by_itself(visit: Visit, site: Celeriac, job: str) -> None:
    page = visit("/stats?span=hour")
    before = classified(page)
    page.locator("#time-table summary").click()
    folder = site.directory / "bucket" / "watched"
    folder.mkdir(parents=True)
    for number in range(40):
        (folder / f"{number}.png").write_bytes(png(number))

    asked = {"url": f"file://{folder}", "model": "fashion_mnist"}
    site.web.post("/api/scans", json=asked).raise_for_status()

    expect(page.locator("#figures dd").first).to_have_text(count(before + 40), timeout=LONG_MS)
    expect(page.locator("#by-series").get_by_role("row", name="fashion_mnist 1 scan")).to_be_visible()
    expect(page.locator("#latest img")).to_have_count(12)
    # What somebody has unfolded stays so.
    expect(page.locator("#time-table tbody")).to_be_visible()


@pytest.mark.parametrize("has_scripts", [True, False])
def test_a_column_leads_to_its_items(visit: Visit, job: str, *, has_scripts: bool) -> None:
    page = visit("/stats?span=day&model=fashion_mnist&source=http", java_script_enabled=has_scripts)

    page.locator("#models svg a .reach").last.click()

    expect(page.get_by_role("heading", name="Results")).to_be_visible()
    expect(page.locator(".found tbody tr").first).to_be_visible()
    assert "min_score=" in page.url


def test_a_label_leads_to_its_items_and_those_to_their_jobs(visit: Visit, job: str) -> None:
    page = visit("/stats?model=fashion_mnist&source=http")

    page.locator("#models .counts a").first.click()
    page.get_by_role("link", name="boot-").first.click()

    expect(page).to_have_url(re.compile(rf"/predictions/{job}\?after="))
    expect(page.locator(".result:target")).to_be_visible()


def test_a_search_finds_by_key_label_and_time(visit: Visit, job: str) -> None:
    page = visit("/results")

    page.get_by_label("Key").fill("BOOT-1")
    page.get_by_label("Model").select_option("fashion_mnist")
    page.locator("#since").fill("2020-01-01T00:00:30")
    page.get_by_role("button", name="Search").click()

    expect(page.locator(".found tbody tr")).to_have_count(1)
    expect(page.locator("#since")).to_have_value("2020-01-01T00:00:30")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 2
    assert f"{job},1,boot-1.png" in lines[1]


def test_a_keyboard_reaches_every_number(visit: Visit, job: str) -> None:
    page = visit("/stats?model=fashion_mnist&source=http")
    page.locator("#time-table summary").press("Enter")
    counts = page.locator("#time-table tbody tr").first.locator("td").all_inner_texts()

    page.locator("#time-table a").first.press("Enter")

    expect(page.locator(".found tbody tr")).to_have_count(min(sum(map(int, counts)), PAGE_RESULTS))
