"""A real service of the tests' own, and pages in Chromium that must not complain about anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from testing.celeriac import Celeriac, celeriac
from testing.processes import temporary_directory
from testing.small_models import write_quantity_model, write_slow_model, write_tags_model

Visit = Callable[..., Page]

ROW = [6, 148, 72, 35, 0, 33.6, 0.627, 50]
HEADER = "Pregnancies,Glucose,BloodPressure,SkinThickness,Insulin,BMI,DiabetesPedigreeFunction,Age,Outcome"
PATIENCE_MS = 15_000
"""How long a page may take on a busy machine until what is expected of it is there."""
PHONE = {"width": 320, "height": 640}


@pytest.fixture(scope="session", autouse=True)
def patience() -> None:
    """For whichever test of this folder comes first."""
    expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celeriac]:
    """The service with its built-in models, one of each other task, and `slow`, of which each batch takes a while."""
    store: Path = tmp_path_factory.mktemp("store")
    write_slow_model(store)
    write_quantity_model(store)
    write_tags_model(store)
    with (
        temporary_directory("browser") as directory,
        celeriac(
            directory,
            MODEL_STORE=str(store),
            BATCH_ITEMS="16",
            STORAGE_ALLOW=f"file://{directory}/bucket",
            PERSONAS="on",
        ) as service,
    ):
        yield service


class Complaints:
    """What pages wrote to their consoles: errors, warnings, violations of the Content-Security-Policy."""

    def __init__(self) -> None:
        self.allowed = ""
        self._found: list[str] = []

    def watch(self, page: Page) -> None:
        page.on("console", self._note)
        page.on("pageerror", lambda error: self._found.append(str(error)))

    @property
    def found(self) -> list[str]:
        return [each for each in self._found if not self.allowed or self.allowed not in each]

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._found.append(message.text)


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """Fails the test if a page complained; a test that provokes an error says which text is `allowed`."""
    complaints = Complaints()
    yield complaints
    assert complaints.found == []


@pytest.fixture
def visit(browser: Browser, site: Celeriac, complaints: Complaints) -> Iterator[Visit]:
    """Opens a path of the site in a fresh profile; takes what a browser context takes."""
    contexts: list[BrowserContext] = []

    def open_page(path: str, **options: Any) -> Page:
        context = browser.new_context(base_url=site.url, **options)
        contexts.append(context)
        page = context.new_page()
        complaints.watch(page)
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()


def table(rows: int) -> str:
    """A diabetes table with its outcome; the outcome follows glucose, but for every seventh row."""
    random = np.random.default_rng(rows)
    lines = [HEADER]
    for number in range(rows):
        glucose = int(random.integers(70, 199))
        outcome = int((glucose > 130) != (number % 7 == 0))
        lines.append(f"{number % 9},{glucose},72,35,0,33.6,0.627,{21 + number % 50},{outcome}")
    return "\n".join(lines) + "\n"


def upload(name: str, data: bytes | str, media_type: str = "image/png") -> Any:
    """A file as Playwright gives it to a file field."""
    return {"name": name, "mimeType": media_type, "buffer": data.encode() if isinstance(data, str) else data}


def log_in(page: Page, key: str) -> None:
    """Give a key to the page that asks for one, which then shows what was asked for, its scripts loaded."""
    page.get_by_label("Your key").fill(key)
    with page.expect_navigation(wait_until="load"):
        page.get_by_role("button", name="Log in").click()
