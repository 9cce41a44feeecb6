"""A job's page while it runs, with and without JavaScript."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from testing.celeriac import Celeriac
from testing.pictures import png
from tests.browser.conftest import Complaints, Visit, table, upload

JOB = re.compile(r"/predictions/[0-9a-f-]{36}$")
LONG_MS = 200_000


def test_results_appear_on_the_page_as_they_come(visit: Visit, site: Celeriac) -> None:
    job = site.submit("slow", [[number, 1] for number in range(4000)])
    page = visit(job["links"]["page"])
    page.evaluate("document.body.dataset.sameDocument = 'yes'")

    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.locator(".result.is-succeeded").first).to_be_visible()
    expect(page.locator("#sentence")).to_have_text(
        re.compile(r"of 4\s000 done, \d+ per second, about \d+\ss left")
    )
    expect(page.get_by_text("Finished", exact=True).first).to_be_visible(timeout=LONG_MS)

    expect(page.locator(".result.is-succeeded")).to_have_count(100)
    expect(page.get_by_role("progressbar")).to_have_count(0)
    assert page.evaluate("document.body.dataset.sameDocument") == "yes"
    assert page.title().startswith("4")
    assert "finished" in page.title()


def test_the_end_of_a_job_is_announced(visit: Visit, site: Celeriac) -> None:
    job = site.submit("slow", [[number, 1] for number in range(2000)])
    page = visit(job["links"]["page"])

    expect(page.locator("#announcement[role=status]")).to_have_text("Finished", timeout=LONG_MS)


def test_a_large_job_never_shows_more_than_a_page_of_rows(visit: Visit, site: Celeriac) -> None:
    csv = [("csv", ("rows.csv", table(10_000).encode(), "text/csv"))]
    job = site.web.post("/api/jobs", data={"model": "diabetes"}, files=csv).json()

    page = visit(job["links"]["page"])

    expect(page.locator("#state")).to_have_text("Finished", timeout=LONG_MS)
    expect(page.get_by_role("heading", name="Compared with the true labels")).to_be_visible()
    expect(page.locator(".result")).to_have_count(100)
    page.get_by_role("link", name="Next 100").click()
    expect(page.get_by_role("heading", name=re.compile(r"101 to 200 of 10\s000"))).to_be_visible()
    expect(page.get_by_role("heading", name="Row 101")).to_be_visible()


def test_a_running_job_is_cancelled_from_its_page(visit: Visit, site: Celeriac) -> None:
    job = site.submit("slow", [[number, 1] for number in range(20_000)])
    page = visit(job["links"]["page"])

    page.get_by_role("button", name="Cancel").click()

    expect(page.locator("#state")).to_have_text(re.compile(r"^Cancelled [\d\s]+ not run$"), timeout=LONG_MS)
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert site.wait_for(job)["state"] == "cancelled"


def test_a_page_that_loses_the_server_goes_on_when_it_is_back(
    visit: Visit, site: Celeriac, complaints: Complaints
) -> None:
    complaints.allowed = "ERR_INTERNET_DISCONNECTED"
    job = site.submit("slow", [[number, 1] for number in range(1500)])
    page = visit(job["links"]["page"])

    page.context.set_offline(True)
    expect(page.locator("#sentence")).to_contain_text("trying again")
    page.context.set_offline(False)

    expect(page.locator("#state")).to_have_text("Finished", timeout=LONG_MS)
    expect(page.locator(".result.is-succeeded")).to_have_count(100)


def test_results_can_be_downloaded(visit: Visit) -> None:
    page = visit("/predictions?model=diabetes&example=1")
    page.get_by_role("button", name="Predict", exact=True).click()

    with page.expect_download() as csv:
        page.get_by_role("link", name="Download CSV").click()
    with page.expect_download() as json:
        page.get_by_role("link", name="Download JSON").click()

    assert csv.value.suggested_filename.endswith(".csv")
    assert csv.value.path().read_text().startswith("index,pregnancies")
    assert json.value.path().read_text().startswith('{"results"')


def test_a_row_is_predicted_without_javascript(visit: Visit) -> None:
    page = visit("/predictions?model=diabetes", java_script_enabled=False)

    page.get_by_role("link", name="Example").click()
    expect(page.get_by_label("Plasma glucose")).to_have_value("148")
    page.get_by_role("button", name="Predict", exact=True).click()

    expect(page).to_have_url(JOB)
    expect(page.locator(".result .label")).to_contain_text("diabetes")


def test_a_table_and_images_are_predicted_without_javascript(visit: Visit) -> None:
    page = visit("/predictions?model=diabetes", java_script_enabled=False)
    page.get_by_label("CSV file").set_input_files(upload("rows.csv", table(40), "text/csv"))
    page.get_by_role("button", name="Predict all rows").click()
    expect(page.get_by_role("img", name="ROC curve")).to_be_visible()

    page.goto("/predictions?model=fashion_mnist")
    expect(page.locator("#canvas")).to_be_hidden()
    page.get_by_label("Image files").set_input_files([upload("a.png", png()), upload("b.png", png(1))])
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.locator(".result.is-succeeded .thumbnail")).to_have_count(2)


def test_a_running_job_refreshes_itself_without_javascript(visit: Visit, site: Celeriac) -> None:
    job = site.submit("slow", [[number, 1] for number in range(2000)])

    page = visit(job["links"]["page"], java_script_enabled=False)

    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.locator("#state")).to_have_text("Finished", timeout=LONG_MS)
    expect(page.locator(".result.is-succeeded")).to_have_count(100)


def test_errors_are_shown_without_javascript(visit: Visit, complaints: Complaints) -> None:
    complaints.allowed = "400 (Bad Request)"
    page = visit("/predictions?model=diabetes&example=1", java_script_enabled=False)
    page.get_by_label("Plasma glucose").fill("high")

    page.get_by_role("button", name="Predict", exact=True).click()

    expect(page.get_by_role("alert")).to_contain_text("expected a number, got “high”")
    expect(page.get_by_label("Age")).to_have_value("50")
