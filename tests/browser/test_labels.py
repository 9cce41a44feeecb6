"""Labelling by keys, by forms without JavaScript, and in two windows at once."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from testing.celeriac import Celeriac
from testing.pictures import png
from tests.browser.conftest import Complaints, Visit


@pytest.fixture
def names(site: Celeriac) -> list[str]:
    """Pictures that have answers and no label."""
    names = [f"image-{seed}.png" for seed in range(6)]
    files = [("file", (name, png(seed), "image/png")) for seed, name in enumerate(names)]
    site.wait_for(site.web.post("/api/jobs", data={"model": "fashion_mnist"}, files=files).json())
    return names


def item_of(page: Page) -> str:
    return str(page.locator("#question .question").get_attribute("data-item"))


def stored(site: Celeriac) -> list[tuple[str, str | None]]:
    found = site.web.get("/api/labels/fashion_mnist/decisions?limit=20").json()["decisions"]
    return [(each["kind"], f"{each['job']}/{each['index']}") for each in found]


def press(page: Page, key: str) -> tuple[str, str]:
    """Press a key and wait until all that it sends is answered; tells the items before and after."""
    before = item_of(page)
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.keyboard.press(key)
    expect(page.locator(f'#question .question[data-item="{before}"]')).to_have_count(0)
    return before, item_of(page)


def test_keys_answer_go_on_and_go_back(visit: Visit, site: Celeriac, names: list[str]) -> None:
    page = visit("/label/fashion_mnist")

    first, second = press(page, "y")
    assert press(page, "x")[0] == second
    third = press(page, "2")[0]
    fourth = press(page, " ")[0]
    fifth = press(page, "i")[0]

    for back in (fifth, fourth, third):
        assert press(page, "Backspace")[1] == back
    expect(page.locator("#label-progress")).to_contain_text(re.compile(r"\d+ left, \d+ a minute"))
    assert stored(site)[:8] == [
        ("undo", third), ("undo", fourth), ("undo", fifth), ("ignore", fifth), ("skip", fourth),
        ("label", third), ("reject", second), ("label", first),
    ]  # fmt: skip


def test_keys_are_off_while_somebody_types(visit: Visit, site: Celeriac, names: list[str]) -> None:
    page = visit("/label/fashion_mnist")
    before, count = item_of(page), len(stored(site))

    page.keyboard.press("n")
    page.keyboard.type("Bax y")
    for _ in range(3):
        page.keyboard.press("Backspace")
    page.keyboard.type("g")

    assert page.locator("#question input[name=label]").input_value() == "Bag"
    assert (item_of(page), len(stored(site))) == (before, count)
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.keyboard.press("Enter")
    expect(page.locator(f'#question .question[data-item="{before}"]')).to_have_count(0)
    assert stored(site)[0] == ("label", before)


def test_what_cannot_be_stored_is_said_with_the_question_it_was_about(
    visit: Visit, names: list[str], complaints: Complaints
) -> None:
    complaints.allowed = "400"
    page = visit("/label/fashion_mnist")
    before = item_of(page)

    page.locator("#question input[name=label]").fill("spaceship")
    page.keyboard.press("Enter")

    expect(page.locator("#problem")).to_contain_text("expected a label of fashion_mnist")
    assert item_of(page) == before
    assert page.locator("#question input[name=label]").input_value() == "spaceship"


def test_without_javascript_forms_do_the_same(visit: Visit, site: Celeriac, names: list[str]) -> None:
    page = visit("/label/fashion_mnist", java_script_enabled=False)
    first = item_of(page)

    page.get_by_role("button", name="Yes").click()
    assert item_of(page) != first
    page.get_by_role("button", name="Undo").click()

    assert item_of(page) == first
    assert stored(site)[:2] == [("undo", first), ("label", first)]


def test_two_windows_are_asked_different_questions(visit: Visit, names: list[str]) -> None:
    assert item_of(visit("/label/fashion_mnist")) != item_of(visit("/label/fashion_mnist"))
