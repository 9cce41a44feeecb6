"""What serves is changed in a browser, also in one that runs no scripts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from testing.celeriac import Celeriac, celeriac
from testing.processes import temporary_directory
from testing.small_models import write_table_model
from tests.browser.test_every_page import sideways, violations
from tests.browser.test_keys import hold


@pytest.fixture
def service() -> Iterator[Celeriac]:
    with temporary_directory("versions") as directory:
        for version in ("1", "2", "3"):
            write_table_model(directory / "store", version=version)
        with celeriac(directory, MODEL_STORE=str(directory / "store")) as service:
            yield service


@pytest.mark.parametrize("has_scripts", [True, False])
def test_a_version_is_promoted_and_another_one_retired(
    browser: Browser, service: Celeriac, has_scripts: bool
) -> None:
    context = browser.new_context(base_url=service.url, java_script_enabled=has_scripts)
    page = context.new_page()
    page.goto("/models/table")
    page.get_by_role("link", name="Versions", exact=True).click()

    page.get_by_label("Version", exact=True).first.select_option("1")
    page.get_by_label("Why").first.fill("a look at it")
    page.get_by_role("button", name="Promote it").click()
    page.get_by_text("Retire a version").click()
    page.locator("#retire-version").select_option("2")
    page.get_by_role("button", name="Retire it").click()

    expect(page.get_by_role("listitem").filter(has_text="a look at it").first).to_contain_text("3 → 1")
    expect(page.get_by_text("Version 2 retired").first).to_be_visible()
    assert service.web.get("/api/models/table").json()["channels"]["stable"] == "1"
    if has_scripts:
        _hold_open(page)
    context.close()


def _hold_open(page: Page) -> None:
    for summary in page.locator("summary").all():
        summary.click()
    hold(page)
    assert (violations(page), sideways(page)) == ([], 0)
