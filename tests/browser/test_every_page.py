"""What holds for every page: nothing that axe or the console finds, no scrolling sideways on a phone."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from testing.celeriac import Celeriac
from testing.foreign_graphs import FOREIGN_MODELS
from testing.pictures import png
from testing.processes import wait_until
from tests.browser.conftest import PHONE, ROW, Complaints, Visit, table, upload
from tests.browser.people import keep_people

PAGES = (
    "welcome", "row form", "image form", "row", "warned row", "table", "images", "one image", "cancelled",
    "tabular card", "image card", "versions", "docs", "dashboard", "results", "imports", "import", "failed import",
    "label image", "label row", "nothing to label", "personas", "persona", "pictures of a persona", "promise", "face",
)  # fmt: skip


@pytest.fixture(scope="session")
def paths(site: Celeriac) -> dict[str, str]:
    """A path of each kind of page."""
    row = site.submit("diabetes", [ROW])
    warned = site.submit("diabetes", [[6, 900, *ROW[2:]]])
    images = [("file", (f"image-{seed}.png", png(seed), "image/png")) for seed in range(3)]
    one = site.web.post("/api/jobs", data={"model": "fashion_mnist"}, files=images[:1]).json()
    many = site.web.post("/api/jobs", data={"model": "fashion_mnist"}, files=images).json()
    csv = [("csv", ("rows.csv", table(120).encode(), "text/csv"))]
    scored = site.web.post("/api/jobs", data={"model": "diabetes"}, files=csv).json()
    cancelled = site.submit("slow", [[number, 1] for number in range(2000)])
    site.web.delete(cancelled["links"]["self"])
    for job in (row, warned, one, many, scored, cancelled):
        site.wait_for(job)
    people = keep_people(site, name="Ada", seed=100)
    tried, failed = import_a_file(site, dry_run="true"), import_a_file(site, labels="a,b")
    return {
        "welcome": "/",
        "row form": "/predictions?model=diabetes&example=1",
        "image form": "/predictions?model=fashion_mnist",
        "row": row["links"]["page"],
        "warned row": warned["links"]["page"],
        "table": scored["links"]["page"],
        "images": many["links"]["page"],
        "one image": one["links"]["page"],
        "cancelled": cancelled["links"]["page"] + "?after=1899",
        "tabular card": "/models/diabetes",
        "image card": "/models/fashion_mnist",
        "versions": "/models/slow/versions",
        "docs": "/docs",
        "dashboard": "/stats?span=hour",
        "results": "/results",
        "imports": "/imports",
        "import": f"/imports/{tried}",
        "failed import": f"/imports/{failed}",
        "label image": "/label/fashion_mnist",
        "label row": "/label/diabetes",
        "nothing to label": "/label/diabetes?order=second",
        "personas": "/personas",
        "persona": f"/personas/{people.persona}",
        "pictures of a persona": f"/personas/{people.persona}?kind=pictures",
        "promise": "/personas/promise?one_in=20",
        "face": f"/personas/faces/{people.faces[0][1]}",
    }


def import_a_file(site: Celeriac, **fields: str) -> str:
    """Send the file of a model, and wait until a worker is done with it; returns the import's id."""
    with (FOREIGN_MODELS / "iris_pipeline.onnx").open("rb") as file:
        sent = site.web.post("/api/models", data={"name": "iris", **fields}, files={"file": file}).json()
    place = sent["links"]["self"]
    wait_until(lambda: site.web.get(place).json()["finished"], what="it is imported")
    return str(sent["id"])


def violations(page: Page) -> list[str]:
    """What axe finds, one line each."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(visit: Visit, paths: dict[str, str], name: str, scheme: str) -> None:
    page = visit(paths[name], color_scheme=scheme, reduced_motion="reduce")
    for summary in page.locator("summary").all()[:3]:
        summary.click()

    assert violations(page) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_needs_no_scrolling_sideways(visit: Visit, paths: dict[str, str], name: str) -> None:
    page = visit(paths[name], viewport=PHONE, has_touch=True)

    assert sideways(page) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_with_errors_is_as_good_as_any_other(
    visit: Visit, complaints: Complaints, scheme: str
) -> None:
    complaints.allowed = "400 (Bad Request)"
    page = visit("/predictions?model=diabetes", viewport=PHONE, color_scheme=scheme, reduced_motion="reduce")
    page.get_by_label("Pregnancies").fill("six")
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()

    assert violations(page) == []
    assert sideways(page) == 0


def test_a_running_job_is_as_good_as_any_other(visit: Visit, site: Celeriac) -> None:
    job = site.submit("slow", [[number, 1] for number in range(5000)])
    page = visit(job["links"]["page"], viewport=PHONE, reduced_motion="reduce")
    expect(page.get_by_role("progressbar")).to_be_visible()

    found, wide = violations(page), sideways(page)

    page.get_by_role("button", name="Cancel").click()
    assert (found, wide) == ([], 0)


def test_an_image_form_with_previews_is_as_good_as_any_other(visit: Visit) -> None:
    page = visit("/predictions?model=fashion_mnist", viewport=PHONE, reduced_motion="reduce")
    page.get_by_label("Image files").set_input_files([upload("a.png", png()), upload("b.png", png(1))])
    expect(page.get_by_role("list", name="Chosen images").get_by_role("listitem")).to_have_count(2)

    assert violations(page) == []
    assert sideways(page) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_that_is_not_there_is_as_good_as_any_other(
    visit: Visit, complaints: Complaints, scheme: str
) -> None:
    complaints.allowed = "404 (Not Found)"
    page = visit("/nothing", viewport=PHONE, color_scheme=scheme)

    assert violations(page) == []
    assert sideways(page) == 0


def test_the_skip_link_comes_first_and_leads_to_the_content(visit: Visit) -> None:
    page = visit("/")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.locator("main")).to_be_focused()


def test_plots_are_drawn_on_the_model_card(visit: Visit, paths: dict[str, str]) -> None:
    for name in ("tabular card", "image card"):
        page = visit(paths[name])
        for plot in page.locator(".plots img").all():
            plot.scroll_into_view_if_needed()
            page.wait_for_function(
                "image => image.complete && image.naturalWidth > 50", arg=plot.element_handle()
            )
