"""The page of a job that a scan makes, while it grows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from testing.celeriac import Celeriac, celeriac
from testing.pictures import png
from testing.s3 import s3_store
from tests.browser.conftest import Visit

LONG_MS = 60_000


@pytest.mark.parametrize("has_scripts", [True, False])
def test_a_scans_job_is_followed_from_nothing_to_its_end(
    visit: Visit, site: Celeriac, *, has_scripts: bool
) -> None:
    folder = site.directory / "bucket" / str(has_scripts)
    folder.mkdir(parents=True)
    for number in range(150):
        (folder / f"{number}.png").write_bytes(png(number))
    asked = {"url": f"file://{folder}", "model": "fashion_mnist", "pattern": "*.png"}
    scan = site.web.post("/api/scans", json=asked).raise_for_status().json()

    page = visit(scan["job"]["links"]["page"], java_script_enabled=has_scripts)

    expect(page.locator("#state")).to_have_text("Finished", timeout=LONG_MS)
    expect(page.get_by_role("heading", name=re.compile(r"150\simages"))).to_be_visible()
    expect(page.get_by_text(f"everything in file://{folder} that matches *.png")).to_be_visible()
    expect(page.locator(".result.is-succeeded")).to_have_count(100)


def test_a_listing_that_failed_says_why(visit: Visit, site: Celeriac) -> None:
    asked = {"url": f"file://{site.directory}/bucket/nothing", "model": "fashion_mnist"}
    scan = site.web.post("/api/scans", json=asked).raise_for_status().json()

    page = visit(scan["job"]["links"]["page"])

    expect(page.get_by_text("The listing has failed.")).to_be_visible(timeout=LONG_MS)
    expect(page.get_by_text("/bucket/nothing does not exist")).to_be_visible()


def test_a_job_says_what_it_waits_for_as_long_as_it_does(visit: Visit, tmp_path: Path) -> None:
    with s3_store() as store:
        store.fill("waited-for", {f"{number}.png": png(number) for number in range(3)})
        with celeriac(tmp_path, STORAGE_ALLOW="s3://waited-for", **store.environ) as service:
            with store.away():
                asked = {"url": "s3://waited-for", "model": "fashion_mnist"}
                scan = service.web.post("/api/scans", json=asked).raise_for_status().json()
                page = visit(f"{service.url}/predictions/{scan['id']}")

                expect(page.get_by_text("Waiting for s3://waited-for/")).to_be_visible(timeout=LONG_MS)
                expect(
                    page.get_by_text(re.compile("It is (asked again at|being asked again)"))
                ).to_be_visible()
                expect(page.locator("#state")).to_have_text("Waiting for its objects")

            expect(page.locator("#state")).to_have_text("Finished", timeout=LONG_MS)
            expect(page.get_by_text(re.compile("It is (asked again at|being asked again)"))).to_have_count(0)
            page.close()  # Before the service goes, which the page would complain about.
