"""Saying who faces are, with a mouse and without JavaScript, and the slider of strangers that get a name."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from testing.celeriac import Celeriac
from tests.browser.conftest import Visit
from tests.browser.people import People, keep_people, settle


@pytest.fixture(scope="module")
def people(site: Celeriac) -> People:
    return keep_people(site, name="Grace", seed=500)


def test_a_prediction_is_ticked_and_accepted_without_javascript(
    visit: Visit, site: Celeriac, people: People
) -> None:
    page = visit(f"/personas/{people.persona}", java_script_enabled=False)
    face = people.faces[0][1]

    page.get_by_role("checkbox", name=f"Face {face}", exact=True).check()
    page.get_by_role("button", name="Yes, Grace").click()

    expect(page.get_by_role("checkbox", name=f"Face {face}", exact=True)).to_have_count(0)
    page.get_by_role("link", name="Labelled").click()
    expect(page.get_by_role("checkbox", name=f"Face {face}", exact=True)).to_be_visible()
    page.get_by_role("button", name="Undo what I said last").click()
    settle(site)


def test_a_frame_that_is_clicked_leads_to_its_face_which_gets_a_name(
    visit: Visit, site: Celeriac, people: People
) -> None:
    page = visit(f"/personas/{people.persona}?kind=pictures", java_script_enabled=False)
    face = people.faces[0][0]

    page.locator(f'.framed a[href="/personas/faces/{face}"] rect').click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Grace")
    other = people.faces[1][0]
    page.goto(f"/personas/faces/{other}")
    page.get_by_label("Whose face it is").fill("Radia")
    page.get_by_role("button", name="It is", exact=True).click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Radia")
    settle(site)


def test_the_slider_shows_what_another_promise_changes_and_keys_move_it(
    visit: Visit, site: Celeriac, people: People
) -> None:
    page = visit("/personas/promise")
    slider = page.get_by_role("slider")
    expect(slider).to_have_value("4")

    slider.focus()
    page.keyboard.press("ArrowLeft")

    expect(page.get_by_role("button", name="Name at most one in 50")).to_be_visible()
    expect(page.locator("#one-in")).to_have_text("50")
    expect(slider).to_be_focused()
    page.get_by_role("button", name="Name at most one in 50").click()
    settle(site)
    page.reload()
    expect(page.get_by_text("Set by anonymous")).to_be_visible()
    assert {each["one_in"] for each in site.web.get("/api/personas/classifiers").json()["classifiers"]} == {
        50
    }


def test_a_promise_is_tried_and_set_without_javascript(visit: Visit, site: Celeriac, people: People) -> None:
    page = visit("/personas/promise", java_script_enabled=False)

    expect(page.get_by_role("slider")).to_have_count(0)
    page.get_by_role("spinbutton").fill("70")
    page.get_by_role("button", name="Look").click()
    page.get_by_role("button", name="Name at most one in 70").click()

    expect(page.get_by_text("Set by anonymous")).to_be_visible()
    site.web.put("/api/personas/classifiers/faces/promise", json={"one_in": 100}).raise_for_status()
    settle(site)
