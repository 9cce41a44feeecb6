"""A prediction of each model, by the page and by the client."""

from __future__ import annotations

import io
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import expect

from testing.docker import inspect
from testing.pictures import png
from testing.web_service import predict
from tests.browser.conftest import PATIENCE_MS, ROW, log_in, upload

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from testing.compose_project import ComposeProject

JOB = re.compile(r"/predictions/[0-9a-f-]{36}$")


def test_a_row_is_predicted_through_the_page(project: ComposeProject, page: Page) -> None:
    page.goto(f"{project.url}/predictions?model=diabetes&example=1")
    log_in(page, project.key)

    page.get_by_role("button", name="Predict", exact=True).click()

    expect(page).to_have_url(JOB, timeout=PATIENCE_MS)
    expect(page.locator(".result .label")).to_contain_text("diabetes", timeout=PATIENCE_MS)


def test_images_are_predicted_through_the_page(project: ComposeProject, page: Page) -> None:
    page.goto(f"{project.url}/predictions?model=fashion_mnist")
    log_in(page, project.key)
    page.get_by_label("Image files").set_input_files([upload(f"{n}.png", png(n)) for n in range(3)])

    page.get_by_role("button", name="Predict", exact=True).click()

    expect(page).to_have_url(JOB, timeout=PATIENCE_MS)
    expect(page.locator(".result.is-succeeded")).to_have_count(3, timeout=PATIENCE_MS)


def test_each_model_predicts_through_the_client(project: ComposeProject, tmp_path: Path) -> None:
    (tmp_path / "shoe.png").write_bytes(png())

    assert "row 1  diabetes" in predict(project.url, "--model", "diabetes", *map(str, ROW), key=project.key)
    shoe = str(tmp_path / "shoe.png")
    assert "shoe.png" in predict(project.url, "--model", "fashion_mnist", shoe, key=project.key)


def test_small_files_that_are_huge_once_decoded_do_not_end_the_service(project: ComposeProject) -> None:
    file = io.BytesIO()
    Image.new("RGB", (5000, 4900)).save(file, "WEBP", lossless=True)
    part = {"file": ("huge.webp", file.getvalue(), "image/webp")}

    def submit(_number: int) -> int:
        return project.web.post("/api/jobs", data={"model": "fashion_mnist"}, files=part).status_code

    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(submit, range(6)))

    # Who does not get the memory in time shall come again.
    assert set(answers) <= {202, 503}
    assert 202 in answers
    assert [each["RestartCount"] for each in inspect(project.containers("web"))] == [0]
