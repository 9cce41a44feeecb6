"""A service with keys, in a browser: its pages ask for one, and are left as they were entered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from production_server.access.key_text import new_key
from testing.celeriac import Celeriac, celeriac
from testing.pictures import png
from testing.processes import temporary_directory
from tests.browser.conftest import PHONE, Complaints, log_in, upload
from tests.browser.test_every_page import sideways, violations

KEY, READER = new_key(), new_key()


@pytest.fixture(scope="module")
def locked() -> Iterator[Celeriac]:
    with (
        temporary_directory("locked") as directory,
        celeriac(directory, API_KEYS=f"{KEY} anna predict read\n{READER} bert read") as service,
    ):
        yield service


@pytest.fixture
def page(browser: Browser, locked: Celeriac, complaints: Complaints) -> Iterator[Page]:
    complaints.allowed = "401"  # Chromium complains of every such answer
    context = browser.new_context(base_url=locked.url)
    page = context.new_page()
    complaints.watch(page)
    yield page
    context.close()


def test_whoever_has_a_key_gets_to_where_he_wanted_and_leaves_again(page: Page) -> None:
    page.goto("/predictions?model=diabetes&example=1")
    log_in(page, KEY)
    expect(page).to_have_title("Predict with Diabetes · Celeriac")

    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.get_by_text("The answer is")).to_be_visible()
    page.get_by_role("button", name="Log out").click()

    expect(page.get_by_label("Your key")).to_be_visible()
    page.go_back()
    page.reload()
    expect(page.get_by_label("Your key")).to_be_visible()


def test_a_typing_error_is_told_and_mended(page: Page) -> None:
    page.goto("/stats")
    log_in(page, KEY[:-1] + ("x" if KEY[-1] != "x" else "y"))
    expect(page.get_by_role("alert")).to_contain_text("typing error")

    log_in(page, KEY)

    expect(page).to_have_url("/stats")


def test_whoever_may_only_look_is_told_so(page: Page) -> None:
    page.goto("/predictions?model=diabetes")
    log_in(page, READER)

    expect(page.get_by_text("lets you look, not predict")).to_be_visible()
    expect(page.get_by_role("button", name="Predict", exact=True)).to_have_count(0)


def test_files_that_were_chosen_survive_the_end_of_a_session(page: Page) -> None:
    page.goto("/predictions?model=fashion_mnist")
    log_in(page, KEY)
    page.get_by_label("Image files").set_input_files([upload("a.png", png())])
    page.context.clear_cookies()

    page.get_by_role("button", name="Predict", exact=True).click()

    expect(page.get_by_role("alert")).to_contain_text("You are logged out")
    expect(page.get_by_role("list", name="Chosen images").get_by_role("listitem")).to_have_count(1)


def test_a_page_that_follows_something_asks_for_a_key_when_the_session_is_over(page: Page) -> None:
    page.goto("/stats")
    log_in(page, KEY)
    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()

    page.context.clear_cookies()

    expect(page.get_by_label("Your key")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/login", "/stats"])
def test_axe_finds_nothing(page: Page, path: str, scheme: str) -> None:
    page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    page.goto(path)
    assert (violations(page), sideways(page)) == ([], 0)

    log_in(page, KEY)

    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    assert (violations(page), sideways(page)) == ([], 0)
