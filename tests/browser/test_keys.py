"""Keys in a browser: the first closes the service, others are made, replaced and revoked, and the audit tells of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from testing.celeriac import Celeriac, celeriac
from testing.processes import temporary_directory
from tests.browser.conftest import PHONE, Complaints, log_in
from tests.browser.test_every_page import sideways, violations


@pytest.fixture
def fresh() -> Iterator[Celeriac]:
    with temporary_directory("keys") as directory, celeriac(directory) as service:
        yield service


@pytest.fixture
def page(browser: Browser, fresh: Celeriac, complaints: Complaints) -> Iterator[Page]:
    complaints.allowed = "Failed to load resource"  # Chromium complains of every 400, 401 and 403
    context = browser.new_context(base_url=fresh.url, permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    complaints.watch(page)
    yield page
    context.close()


def hold(page: Page) -> None:
    """The page is as good as any other: in both schemes, and on a phone."""
    wide = page.viewport_size
    assert wide is not None
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="light" if scheme == "light" else "dark", reduced_motion="reduce")
        assert violations(page) == []
    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    assert sideways(page) == 0
    page.set_viewport_size(wide)


def make(page: Page, name: str) -> str:
    """Make a key, and copy it."""
    page.get_by_role("textbox", name="Name").fill(name)
    page.get_by_role("button", name="Make the key").click()
    return copied(page)


def copied(page: Page) -> str:
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    key = str(page.evaluate("navigator.clipboard.readText()"))
    assert key == page.get_by_label("The key").input_value()
    return key


def test_keys_from_the_first_to_the_last(page: Page) -> None:
    page.goto("/keys")
    hold(page)
    page.get_by_role("textbox", name="Name").fill("two words")
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_role("alert")).to_be_focused()
    hold(page)
    root = make(page, "root")
    hold(page)

    page.get_by_role("link", name="Log in with it").click()
    log_in(page, root)
    expect(page).to_have_url("/keys")
    anna = make(page, "anna")
    page.get_by_role("link", name="All keys").click()
    page.get_by_text("Replace anna").click()
    page.get_by_text("Revoke anna").click()
    hold(page)
    page.get_by_role("button", name="Make the new key").click()
    replacement = copied(page)

    page.get_by_role("link", name="All keys").click()
    page.get_by_text(f"Revoke anna, {replacement[:12]}").click()
    page.get_by_role("button", name="Revoke it").click()
    expect(page.get_by_text("1 key that opens nothing any more")).to_be_visible()

    page.get_by_role("link", name="Audit").click()
    rows = page.get_by_role("row")
    for act, object_ in [("key.revoked", replacement), ("key.rotated", anna), ("session.opened", "")]:
        expect(rows.filter(has_text=act).filter(has_text=object_[:12])).to_have_count(1)
    hold(page)
    page.get_by_role("combobox", name="Act").select_option("key.created")
    page.get_by_role("button", name="Search").click()
    expect(rows).to_have_count(3)

    page.get_by_role("button", name="Log out").click()
    page.goto("/keys")
    log_in(page, anna)
    expect(page.get_by_text("It takes the scope admin")).to_be_visible()
    hold(page)
    log_in(page, root)
    expect(page.get_by_role("heading", name="Keys", exact=True)).to_be_visible()


def test_the_pages_work_without_scripts(browser: Browser, fresh: Celeriac) -> None:
    context = browser.new_context(base_url=fresh.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/keys")

    page.get_by_role("textbox", name="Name").fill("root")
    page.get_by_role("button", name="Make the key").click()

    expect(page.get_by_role("button", name="Copy")).to_be_hidden()
    key = page.get_by_label("The key").input_value()
    page.get_by_role("link", name="Log in with it").click()
    log_in(page, key)
    page.get_by_text("Revoke root").click()
    expect(page.get_by_text("this logs you out, here and everywhere")).to_be_visible()
    page.get_by_role("button", name="Revoke it").click()
    expect(page.get_by_label("Your key")).to_be_visible()
    context.close()
