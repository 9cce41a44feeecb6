"""What serves is changed in a browser, also in one that runs no scripts."""

from __future__ import annotations

import re
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
        for version, label in (("1", "yes"), ("2", "maybe"), ("3", "yes")):
            write_table_model(directory / "store", version=version, labels=["no", label])
        with celeriac(directory, MODEL_STORE=str(directory / "store")) as service:
            yield service


@pytest.mark.parametrize("has_scripts", [True, False])
def test_a_version_is_promoted_and_another_one_retired(
    browser: Browser, service: Celeriac, has_scripts: bool
) -> None:
    context = browser.new_context(
        base_url=service.url, java_script_enabled=has_scripts, reduced_motion="reduce"
    )
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


@pytest.mark.parametrize("has_scripts", [True, False])
def test_what_the_gate_finds_wrong_is_seen_first_and_takes_a_tick(
    browser: Browser, service: Celeriac, has_scripts: bool
) -> None:
    context = browser.new_context(
        base_url=service.url, java_script_enabled=has_scripts, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto("/models/table/versions")
    in_the_way = page.locator("#in-the-way")

    expect(in_the_way.get_by_role("listitem")).to_have_text(
        re.compile(
            r"Version 2, signature\s+something else than version 3 has: labels \(maybe instead of yes\)"
        )
    )
    expect(page.get_by_role("row", name="In the way of stable")).to_contain_text("It came by no gate.")
    if has_scripts:
        hold(page)
    page.locator("#promote-version").select_option("2")
    page.get_by_role("button", name="Promote it").click()

    expect(page.get_by_role("alert")).to_contain_text("something else than version 3 has: labels")
    in_the_way.get_by_label("It may take or answer something else").check()
    page.get_by_role("button", name="Promote it").click()

    expect(page.get_by_role("listitem").filter(has_text="despite signature")).to_contain_text("3 → 2")
    assert service.web.get("/api/models/table").json()["channels"]["stable"] == "2"
    context.close()


def test_the_page_follows_what_others_change(service: Celeriac, page: Page) -> None:
    channels = "/api/models/table/channels"
    service.web.put(f"{channels}/stable", json={"version": "1"}, headers={"Prefer": "wait=30"})
    begun = service.web.put(
        f"{channels}/canary", json={"version": "3", "percent": 5}, headers={"Prefer": "wait=30"}
    )
    assert begun.status_code == 200, begun.text
    page.goto(f"{service.url}/models/table/versions")
    page.get_by_label("Why").first.fill("typed meanwhile")

    service.web.put(f"{channels}/stable", json={"version": "3"}, headers={"Prefer": "wait=30"})

    expect(page.locator("#now")).to_contain_text(re.compile(r"stable\s+is version 3"))
    expect(page.locator("#announcement")).to_contain_text("is version 3")
    expect(page.get_by_label("Why").first).to_have_value("typed meanwhile")
    page.locator("#promote-version").select_option("1")
    page.get_by_role("button", name="Promote it").click()
    expect(page.get_by_role("listitem").filter(has_text="typed meanwhile")).to_contain_text("3 → 1")


def _hold_open(page: Page) -> None:
    for summary in page.locator("summary").all():
        summary.click()
    hold(page)
    assert (violations(page), sideways(page)) == ([], 0)
