"""The page that takes the file of a model, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from testing.foreign_graphs import FOREIGN_MODELS
from tests.browser.conftest import Complaints, Visit

IRIS = FOREIGN_MODELS / "iris_pipeline.onnx"


@pytest.mark.parametrize("has_javascript", [True, False])
def test_a_file_is_sent_and_followed_until_it_is_over(visit: Visit, has_javascript: bool) -> None:
    page = visit("/imports", java_script_enabled=has_javascript)
    page.get_by_label("Name", exact=True).fill("flowers")
    page.get_by_label("File", exact=True).set_input_files(IRIS)
    page.get_by_text("What the file cannot tell").click()
    page.get_by_label("Only try").check()
    page.get_by_role("button", name="Import it").click()

    expect(page.locator("#import .state", has_text="Tried: no version was made")).to_be_visible(
        timeout=20_000
    )
    expect(page.get_by_text("setosa, versicolor, virginica")).to_be_visible()
    expect(page.get_by_role("heading", name="What was assumed")).to_be_visible()


def test_what_is_wrong_stands_beside_its_field(visit: Visit, complaints: Complaints) -> None:
    complaints.allowed = "400 (Bad Request)"
    page = visit("/imports")
    page.get_by_label("Name", exact=True).fill("No Name")
    page.get_by_label("File", exact=True).set_input_files(IRIS)
    page.get_by_role("button", name="Import it").click()

    expect(page.get_by_role("alert")).to_contain_text("Name: expected small letters")
    expect(page.get_by_label("Name", exact=True)).to_have_value("No Name")
