"""Images: chosen, dropped, drawn, looked at before they are sent."""

from __future__ import annotations

import base64
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from testing.pictures import png
from tests.browser.conftest import Complaints, Visit, upload

JOB = re.compile(r"/predictions/[0-9a-f-]{36}$")

DROP = """(zone, files) => {
  const transfer = new DataTransfer();
  for (const { name, type, data } of files) {
    transfer.items.add(new File([Uint8Array.from(atob(data), (each) => each.charCodeAt(0))], name, { type }));
  }
  for (const kind of ["dragenter", "dragover", "drop"]) {
    zone.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
  }
}"""


@pytest.fixture
def form(visit: Visit) -> Page:
    return visit("/predictions?model=fashion_mnist")


def previews(page: Page) -> Locator:
    return page.get_by_role("list", name="Chosen images").get_by_role("listitem")


def drop(page: Page, *files: tuple[str, str, bytes]) -> None:
    told = [
        {"name": name, "type": kind, "data": base64.b64encode(data).decode()} for name, kind, data in files
    ]
    page.locator("#drop-zone").evaluate(DROP, told)


def draw(page: Page, *points: tuple[float, float]) -> None:
    """One stroke with the mouse; points as shares of the canvas."""
    canvas = page.locator("#canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def dark_pixels(page: Page) -> int:
    """How many pixels of the canvas have ink."""
    count: int = page.locator("#canvas").evaluate(
        """canvas => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return data.filter((value, index) => index % 4 === 0 && value < 128).length;
        }"""
    )
    return count


def send(page: Page) -> None:
    page.get_by_role("button", name="Predict", exact=True).click()


def test_several_chosen_images_are_previewed_and_predicted_with_thumbnails(form: Page) -> None:
    form.get_by_label("Image files").set_input_files([upload(f"{n}.png", png(n)) for n in range(3)])
    expect(previews(form)).to_have_count(3)

    send(form)

    expect(form).to_have_url(JOB)
    expect(form.locator(".result.is-succeeded")).to_have_count(3)
    expect(form.get_by_role("heading", name="1.png")).to_be_visible()
    for thumbnail in form.locator(".thumbnail").all():
        form.wait_for_function("image => image.naturalWidth === 28", arg=thumbnail.element_handle())


def test_images_that_are_dropped_join_those_that_were_chosen(form: Page) -> None:
    form.get_by_label("Image files").set_input_files(upload("chosen.png", png()))

    drop(form, ("dropped.png", "image/png", png(1)), ("notes.txt", "text/plain", b"hello"))

    expect(previews(form)).to_have_count(2)
    expect(form.get_by_role("status")).to_have_text("1 added, 1 left out: no image. 2 chosen.")
    send(form)
    expect(form.locator(".result.is-succeeded")).to_have_count(2)
    expect(form.get_by_role("heading", name="dropped.png")).to_be_visible()


def test_a_chosen_image_can_be_removed_by_keyboard(form: Page) -> None:
    form.get_by_label("Image files").set_input_files([upload("a.png", png()), upload("b.png", png(1))])

    form.get_by_role("button", name="Remove a.png").press("Enter")

    expect(previews(form)).to_have_count(1)
    expect(form.get_by_role("button", name="Remove b.png")).to_be_focused()
    form.get_by_role("button", name="Remove b.png").press("Enter")
    expect(previews(form)).to_have_count(0)
    expect(form.get_by_label("Image files")).to_be_focused()


def test_a_drawing_can_be_undone_cleared_and_sent(form: Page) -> None:
    undo, clear = form.get_by_role("button", name="Undo"), form.get_by_role("button", name="Clear")
    expect(undo).to_be_disabled()

    draw(form, (0.2, 0.2), (0.8, 0.2))
    one = dark_pixels(form)
    draw(form, (0.2, 0.8), (0.8, 0.8))
    assert dark_pixels(form) > one > 0
    undo.click()
    assert dark_pixels(form) == one
    clear.click()
    assert dark_pixels(form) == 0
    expect(clear).to_be_disabled()
    draw(form, (0.3, 0.3), (0.7, 0.3), (0.7, 0.9), (0.3, 0.9), (0.3, 0.3))
    send(form)

    expect(form).to_have_url(JOB)
    expect(form.locator(".result.is-succeeded")).to_have_count(1)
    expect(form.get_by_role("heading", name="drawing-1.png")).to_be_visible()


def test_a_shape_is_filled_and_a_brush_is_as_wide_as_it_says(form: Page) -> None:
    square = ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8), (0.2, 0.2))
    draw(form, *square)
    outline = dark_pixels(form)
    form.get_by_role("button", name="Clear").click()

    form.get_by_label("Fill shapes").check()
    draw(form, *square)
    filled = dark_pixels(form)
    form.get_by_role("button", name="Clear").click()
    form.get_by_label("Fill shapes").uncheck()
    form.get_by_label("Brush").fill("40")
    draw(form, *square)

    assert filled > 1.5 * outline
    assert dark_pixels(form) > 1.5 * outline


def test_drawings_and_files_go_together(form: Page) -> None:
    form.get_by_label("Image files").set_input_files(upload("file.png", png()))
    draw(form, (0.2, 0.2), (0.8, 0.8))
    form.get_by_role("button", name="Add to the images").click()
    draw(form, (0.8, 0.2), (0.2, 0.8))

    send(form)

    for name in ("file.png", "drawing-1.png", "drawing-2.png"):
        expect(form.get_by_role("heading", name=name)).to_be_visible()


def test_a_finger_draws_too(visit: Visit) -> None:
    page = visit("/predictions?model=fashion_mnist", has_touch=True, viewport={"width": 400, "height": 900})

    page.locator("#canvas").tap()

    assert dark_pixels(page) > 0


def test_a_file_that_is_no_image_is_named_and_the_others_stay_chosen(
    form: Page, complaints: Complaints
) -> None:
    complaints.allowed = "400 (Bad Request)"
    form.get_by_label("Image files").set_input_files(
        [upload("good.png", png()), upload("bad.png", b"this is no image")]
    )

    send(form)

    expect(form.get_by_role("alert")).to_be_focused()
    expect(form.get_by_role("alert")).to_contain_text("bad.png")
    expect(previews(form)).to_have_count(2)
    form.get_by_role("button", name="Remove bad.png").click()
    send(form)
    expect(form.locator(".result.is-succeeded")).to_have_count(1)


def test_nothing_chosen_is_told(form: Page, complaints: Complaints) -> None:
    complaints.allowed = "400 (Bad Request)"

    send(form)

    expect(form.get_by_role("alert")).to_contain_text("at least one")
