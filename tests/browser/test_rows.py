"""One row and many rows: typed, filled in by the example, pasted, uploaded."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from testing.celeriac import Celeriac
from tests.browser.conftest import ROW, Complaints, Visit, table, upload

JOB = re.compile(r"/predictions/[0-9a-f-]{36}$")
BAD_TABLE = "6,148,72,35,0,33.6,0.627,50\n6,148,72\n6,x,72,35,0,33.6,0.627,50"


def tab_to(page: Page, element_id: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(40):
        if page.evaluate("document.activeElement.id") == element_id:
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{element_id} cannot be reached by Tab")


def test_a_row_is_predicted_by_keyboard_alone(visit: Visit) -> None:
    page = visit("/predictions?model=diabetes")

    tab_to(page, "value-pregnancies")
    for value in ROW:
        page.keyboard.type("" if value == 0 else f"{value:g}")
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Predict", exact=True)).to_be_focused()
    page.keyboard.press("Enter")

    expect(page).to_have_url(JOB)
    expect(page.locator(".result .label")).to_contain_text("diabetes")
    expect(page.locator("#state")).to_have_text("Finished")


def test_one_click_fills_in_the_example_without_leaving_the_page(visit: Visit) -> None:
    page = visit("/predictions?model=diabetes")

    page.get_by_role("link", name="Example").click()

    expect(page).to_have_url(re.compile(r"model=diabetes$"))
    expect(page.get_by_label("Body mass index")).to_have_value("33.6")
    expect(page.get_by_label("Serum insulin")).to_have_value("")
    expect(page.get_by_label("Pregnancies")).to_be_focused()


def test_a_wrong_value_moves_the_focus_to_the_summary_which_leads_to_the_field(
    visit: Visit, complaints: Complaints
) -> None:
    complaints.allowed = "400 (Bad Request)"
    page = visit("/predictions?model=diabetes&example=1")
    page.get_by_label("Plasma glucose").fill("high")

    page.get_by_role("button", name="Predict", exact=True).click()

    expect(page.get_by_role("alert")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Plasma glucose")).to_be_focused()
    expect(page.get_by_label("Plasma glucose")).to_have_value("high")
    expect(page.get_by_label("Plasma glucose")).to_have_accessible_description(re.compile("got “high”"))
    expect(page.get_by_label("Age")).to_have_value("50")


def test_the_values_of_a_result_can_be_changed_and_sent_again(visit: Visit) -> None:
    page = visit("/predictions?model=diabetes&example=1")
    page.get_by_role("button", name="Predict", exact=True).click()
    page.get_by_role("link", name="Change the values").click()

    expect(page.get_by_label("Plasma glucose")).to_have_value("148")
    page.get_by_label("Plasma glucose").fill("700")
    page.get_by_role("button", name="Predict", exact=True).click()

    expect(page.get_by_text("Outside the range seen in training")).to_be_visible()
    expect(page.locator(".warnings")).to_contain_text("700 mg/dL (seen: 44 to 199)")


def test_a_table_with_the_outcome_shows_accuracy_confusion_and_roc(visit: Visit) -> None:
    page = visit("/predictions?model=diabetes")
    page.get_by_label("CSV file").set_input_files(upload("patients.csv", table(250), "text/csv"))

    page.get_by_role("button", name="Predict all rows").click()

    expect(page).to_have_url(JOB)
    expect(page.get_by_role("heading", name="Compared with the true labels")).to_be_visible()
    expect(page.get_by_role("img", name="ROC curve")).to_be_visible()
    expect(page.get_by_role("table", name="Confusion matrix")).to_be_visible()
    for figure in ("Accuracy", "Sensitivity", "Specificity", "ROC AUC"):
        expect(page.get_by_role("term").filter(has_text=figure)).to_be_visible()
    expect(page.locator(".result")).to_have_count(100)
    page.get_by_role("link", name="Last").click()
    expect(page.locator(".result")).to_have_count(50)


def test_a_wrong_pasted_table_is_kept_and_its_faults_are_listed_by_line(
    visit: Visit, complaints: Complaints
) -> None:
    complaints.allowed = "400 (Bad Request)"
    page = visit("/predictions?model=diabetes")
    page.get_by_label("Or paste the rows").fill(BAD_TABLE)

    page.get_by_role("button", name="Predict all rows").click()

    alert = page.get_by_role("alert")
    expect(alert.get_by_role("listitem")).to_have_count(2)
    expect(alert).to_contain_text("Line 2: expected 8 columns, got 3")
    expect(alert).to_contain_text("Line 3, column 2")
    expect(page.get_by_label("Or paste the rows")).to_have_value(BAD_TABLE)


def test_a_wrong_file_is_still_chosen_after_its_faults_were_listed(
    visit: Visit, complaints: Complaints
) -> None:
    complaints.allowed = "400 (Bad Request)"
    page = visit("/predictions?model=diabetes")
    page.get_by_label("CSV file").set_input_files(upload("rows.csv", BAD_TABLE, "text/csv"))

    page.get_by_role("button", name="Predict all rows").click()

    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text("Line 2: expected 8 columns, got 3")
    assert page.get_by_label("CSV file").evaluate("field => field.files[0].name") == "rows.csv"
    expect(page.get_by_role("button", name="Predict all rows")).to_be_enabled()


def test_a_server_that_does_not_answer_leaves_the_form_as_it_is(visit: Visit, complaints: Complaints) -> None:
    complaints.allowed = "ERR_INTERNET_DISCONNECTED"
    page = visit("/predictions?model=diabetes")
    page.get_by_label("CSV file").set_input_files(upload("rows.csv", table(3), "text/csv"))
    page.context.set_offline(True)

    page.get_by_role("button", name="Predict all rows").click()
    expect(page.get_by_role("alert")).to_contain_text("The server did not answer")
    page.context.set_offline(False)
    page.get_by_role("button", name="Predict all rows").click()

    expect(page).to_have_url(JOB)


def test_two_clicks_send_one_job_and_back_the_form_can_be_sent_again(visit: Visit, site: Celeriac) -> None:
    page = visit("/predictions?model=diabetes&example=1")
    before = site.web.get("/api/jobs", params={"limit": 1}).json()["jobs"]

    page.get_by_role("button", name="Predict", exact=True).dblclick(no_wait_after=True)
    expect(page).to_have_url(JOB)
    newest = site.web.get("/api/jobs", params={"limit": 2}).json()["jobs"]
    page.go_back()
    page.get_by_role("button", name="Predict", exact=True).click()

    expect(page).to_have_url(JOB)
    assert [job["id"] for job in newest[1:]] == [job["id"] for job in before]
