"""Values and several labels on the pages, from the form to the dashboard."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from testing.celeriac import Celeriac
from tests.browser.conftest import PHONE, Visit, upload

ROOMS = "length;width;area\n" + "".join(
    f"{n};2,5;{2.5 * n + n % 3}\n".replace(".", ",") for n in range(1, 41)
)


def test_a_typed_row_is_answered_with_a_value_and_its_unit(visit: Visit) -> None:
    page = visit("/predictions?model=area")

    page.get_by_label("Length").fill("4")
    page.get_by_label("Width").fill("5.5")
    page.get_by_role("button", name="Predict", exact=True).click()

    expect(page.locator(".result .label")).to_have_text("22 m²")
    expect(page.get_by_text("0 to 100 m²")).to_be_visible()
    level = page.locator(".bars .level")
    expect(level).to_have_attribute("width", "22.00")
    page.get_by_role("link", name="Change the values").click()
    expect(page.get_by_label("Width")).to_have_value("5.5")


def test_a_table_of_true_values_is_compared_in_figures_and_a_plot_also_on_a_phone(visit: Visit) -> None:
    page = visit("/predictions?model=area", viewport=PHONE, color_scheme="dark")

    page.get_by_label("CSV file").set_input_files(upload("rooms.csv", ROOMS, "text/csv"))
    page.get_by_role("button", name="Predict all rows").click()

    expect(page.get_by_role("heading", name="Compared with the true values")).to_be_visible()
    expect(page.get_by_role("img", name="True against predicted values")).to_be_visible()
    expect(page.get_by_text("truly 3.5 m², 1 too low").first).to_be_visible()
    page.get_by_text("By true value, as a table").click()
    expect(page.get_by_role("columnheader", name="Mean answer")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_each_label_has_a_bar_with_its_threshold(visit: Visit) -> None:
    page = visit("/predictions?model=tags")

    for label, share in (("Cat", "0.9"), ("Dog", "0.35"), ("Mug", "0.8")):
        page.get_by_label(label, exact=True).fill(share)
    page.get_by_role("button", name="Predict", exact=True).click()

    expect(page.locator(".result .label")).to_have_text("cat, dog")
    expect(page.locator(".bars .threshold")).to_have_count(3)
    expect(page.locator(".bars .is-answer dt")).to_have_text(["cat", "dog"])
    page.get_by_role("link", name="Why").click()
    expect(page.get_by_role("heading", name="The thresholds")).to_be_in_viewport()


def test_columns_and_labels_of_the_dashboard_lead_to_their_items(visit: Visit, site: Celeriac) -> None:
    site.wait_for(site.submit("area", [[n, 1] for n in range(1, 41)]))
    site.wait_for(site.submit("tags", [[0.9, 0.9, 0.1], [0.1, 0.9, 0.1], [0, 0, 0]]))
    page = visit("/stats?span=hour&model=area")

    page.get_by_text(re.compile("^Values as a table")).click()
    link = page.get_by_role("row", name=re.compile("^10 to ")).get_by_role("link")
    items = int(link.inner_text())
    link.click()
    expect(page.locator("table.found tbody tr")).to_have_count(items)

    page.goto("/stats?span=hour&model=tags")
    page.get_by_role("link", name="none of its labels").click()
    expect(page.locator("table.found tbody tr").first).to_contain_text("none of its labels")
