"""Training a model again on pages: with and without JavaScript, wide and narrow, light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from testing.blobs import blobs, label, prepare
from testing.celeriac import Celeriac, celeriac
from testing.processes import temporary_directory, wait_until
from tests.browser.conftest import PHONE, Visit
from tests.browser.test_every_page import sideways, violations

FIRST = """
import pathlib, sys, time
here = pathlib.Path(__file__).parent
print("epoch 1/1  loss 0.6211  accuracy 0.9775  validation loss 0.7379  accuracy 0.7324", flush=True)
while (here / "wait").exists():
    time.sleep(0.05)
if (here / "fail").exists():
    sys.exit("out of memory")
"""
OTHER = """
  - model: never
    train: {command: [train, "{data}", "{model}"]}
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Celeriac]:
    """A service of its own, with a model that can be trained again."""
    with temporary_directory("trainings") as folder:
        learning = prepare(folder, first=FIRST, more=OTHER)
        with celeriac(folder, LEARNING_FILE=str(learning), LEASE_S="1") as service:
            rows, truths = blobs(150, seed=2)
            job = service.wait_for(service.submit("blobs", rows.tolist()))
            label(service, job, truths[:120])
            yield service


def run(service: Celeriac) -> None:
    """Train once more, to the end."""
    begun = service.web.post("/api/training-runs", json={"model": "blobs"}).json()
    wait_until(
        lambda: service.web.get(begun["links"]["self"]).json()["state"] != "open", what="it is trained"
    )


def page_of(service: Celeriac, state: str) -> str:
    """The path of the latest run, which is in that state: one that is done, or has failed."""
    latest = service.web.get("/api/training-runs?model=blobs").json()["runs"][:1]
    if not latest or latest[0]["state"] != state:
        fails = service.directory / "fail"
        if state == "failed":
            fails.touch()
        run(service)
        fails.unlink(missing_ok=True)
        latest = service.web.get("/api/training-runs?model=blobs").json()["runs"][:1]
    assert latest[0]["state"] == state
    return str(latest[0]["links"]["page"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["runs", "of one model", "done", "failed", "labels", "versions"])
def test_axe_finds_nothing_and_a_phone_needs_no_scrolling_sideways(
    visit: Visit, site: Celeriac, name: str, scheme: str
) -> None:
    place = page_of(site, "failed" if name == "failed" else "succeeded")
    paths = {
        "runs": "/training-runs",
        "of one model": "/training-runs?model=never",
        "labels": "/label/blobs",
        "versions": "/models/blobs/versions",
    }
    page = visit(paths.get(name, place), color_scheme=scheme, reduced_motion="reduce")
    assert violations(page) == []
    narrow = visit(paths.get(name, place), viewport=PHONE, has_touch=True)
    assert sideways(narrow) == 0


@pytest.mark.parametrize("path", ["/label/blobs", "/models/blobs/versions"])
def test_who_labels_and_who_looks_at_versions_is_told_what_the_last_training_changed(
    visit: Visit, site: Celeriac, path: str
) -> None:
    page_of(site, "succeeded")
    page = visit(path)

    expect(page.locator("main")).to_contain_text(
        re.compile(r"The last training changed \d+\sanswers?, \d+ now agrees? with you, \d+ no longer")
    )
    page.get_by_role("link", name=re.compile("The last training")).click()

    expect(page.get_by_text(re.compile(r"\d+ of 150 answers changed"))).to_be_visible()
    page.get_by_role("link", name="Training runs").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Training runs")


@pytest.mark.parametrize("has_javascript", [True, False])
def test_a_training_is_begun_followed_and_cancelled(
    visit: Visit, site: Celeriac, has_javascript: bool
) -> None:
    (site.directory / "wait").touch()
    page = visit("/training-runs?model=blobs", java_script_enabled=has_javascript, viewport=PHONE)

    page.get_by_role("button", name="Train it now").click()

    state = page.locator("#training .state")
    expect(state).to_have_text("Training")
    if has_javascript:
        expect(page.get_by_text("epoch 1/1")).to_be_visible()
        assert violations(page) == []
        assert sideways(page) == 0
    else:
        wait_until(
            lambda: page.reload() is not None and page.get_by_text("epoch 1/1").is_visible(),
            what="it is told by who looks again",
        )
    told = visit("/label/blobs")
    expect(told.get_by_role("link", name="It is being trained again")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(state).to_have_text("Cancelled")
    (site.directory / "wait").unlink()


def test_one_that_failed_goes_on_and_says_so_by_itself(visit: Visit, site: Celeriac) -> None:
    page = visit(page_of(site, "failed"))
    expect(page.get_by_text("out of memory")).to_be_visible()

    page.get_by_role("button", name="Go on").click()

    expect(page.locator("#training .state")).to_have_text("Done", timeout=60_000)


def test_nobody_is_told_of_trainings_of_a_model_without_any(visit: Visit) -> None:
    page = visit("/models/diabetes/versions")

    expect(page.get_by_text("train", exact=False)).to_have_count(0)
