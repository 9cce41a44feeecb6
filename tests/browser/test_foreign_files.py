"""Files that people bring, of every kind: the page of each version, and an example that it is asked from there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from production_server.models.importing.described import Described
from testing.celeriac import Celeriac, celeriac
from testing.foreign_graphs import FOREIGN_MODELS
from testing.importing import import_here
from testing.pictures import png
from tests.browser.conftest import Complaints, upload
from tests.browser.test_keys import hold

pytestmark = [
    pytest.mark.training,
    pytest.mark.filterwarnings("ignore"),
]  # inside Keras, TensorFlow and tf2onnx

KERAS_2 = FOREIGN_MODELS / "keras"
MOBILENET = Path(os.environ.get("MODEL_DATA_DIR", ""), "models", "mobilenet_v1_0.25_224.h5")
THREE = ("low", "middle", "high")


@dataclass(frozen=True)
class Kind:
    """A kind of file, what an answer of its looks like, and what is said of it when it is imported."""

    file: Path
    answer: str
    said: dict[str, Any] = field(default_factory=dict)
    weights: Path | None = None


def kinds(folder: Path) -> dict[str, Kind]:
    """All of them; the files that no repository has are written into `folder`."""
    from testing.foreign_models.keras3 import classifier, of_rows_and_image

    of_rows_and_image().save(folder / "two.keras")
    classifier().export(folder / "saved", verbose=False)
    return {
        "sklearn_classifier": Kind(FOREIGN_MODELS / "iris_pipeline.onnx", r"setosa|versicolor|virginica"),
        "sklearn_regressor": Kind(
            FOREIGN_MODELS / "disease_regressor.onnx",
            r"\d points",
            {"quantity": {"name": "progression", "unit": "points"}},
        ),
        "pytorch_cnn": Kind(FOREIGN_MODELS / "fashion_cnn.onnx", r"class_\d"),
        "mobilenet": Kind(MOBILENET, r"class_\d+", {"image": {"scale": 1 / 127.5, "offset": -1.0}}),
        "architecture_and_weights": Kind(
            KERAS_2 / "mlp.json", r"class_\d", weights=KERAS_2 / "mlp_weights.h5"
        ),
        "two_inputs": Kind(folder / "two.keras", r"kind"),
        "saved_model": Kind(folder / "saved", "low|middle|high", {"labels": THREE}),
    }


@dataclass(frozen=True)
class Served:
    """A service that has a version of each kind, called like it."""

    service: Celeriac
    kinds: dict[str, Kind]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("foreign")
    found = {name: kind for name, kind in kinds(folder).items() if kind.file.exists()}
    for name, kind in found.items():
        import_here(folder / "store", kind.file, Described(**kind.said), name=name, weights=kind.weights)
    with celeriac(folder, MODEL_STORE=str(folder / "store")) as service:
        yield Served(service, found)


def ask(page: Page, name: str) -> None:
    """Ask the form that the page has for an example."""
    if name == "two_inputs":
        item = {"rows": [0.5, 1, -1, 2], "image": np.full((8, 8, 1), 0.5).tolist()}
        page.get_by_label("Items").fill(str([item]).replace("'", '"'))
    elif name in ("pytorch_cnn", "mobilenet"):
        page.locator("input[type=file]").first.set_input_files(upload("picture.png", png(1)))
    else:
        for place, box in enumerate(page.locator(".sheet input[type=text]").all()):
            box.fill(str(1 + place / 4))
    page.get_by_role("button", name="Predict").first.click()


@pytest.mark.parametrize(
    "name",
    [
        "sklearn_classifier", "sklearn_regressor", "pytorch_cnn", "mobilenet", "architecture_and_weights",
        "two_inputs", "saved_model",
    ],
)  # fmt: skip
def test_the_page_of_a_version_tells_what_it_is_and_leads_to_an_answer(
    browser: Browser, served: Served, complaints: Complaints, name: str
) -> None:
    if name not in served.kinds:
        pytest.skip("MODEL_DATA_DIR has no mobilenet_v1_0.25_224.h5")
    kind = served.kinds[name]
    context = browser.new_context(base_url=served.service.url, reduced_motion="reduce")
    page = context.new_page()
    complaints.watch(page)
    page.goto(f"/models/{name}/versions")
    page.get_by_role("link", name="Version 1", exact=True).click()
    expect(page.get_by_text(f"Imported from {kind.file.name}")).to_be_visible()
    page.locator("#main").get_by_role("link", name="Predict", exact=True).click()

    ask(page, name)

    expect(page.locator(".result, table").first).to_contain_text(re.compile(kind.answer))
    hold(page)
    context.close()
