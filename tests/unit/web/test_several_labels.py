"""Several labels at once from the request to the page."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from production_server.models.registry import Registry
from production_server.settings import Settings
from production_server.web.edge.parts import WebParts, build_parts
from testing.small_models import write_image_model, write_table_model, write_tags_model

TABLE = "cat,dog,mug,seen\n0.9,0.4,0.1,cat|dog\n0.6,0.1,0.95,cat\n0.1,0.1,0.1,none\n0.1,0.9,0.2,\n"


@pytest.fixture
def small_registry(tmp_path: Path) -> Registry:
    """The worker's."""
    write_tags_model(tmp_path / "store")
    write_table_model(tmp_path / "store", labels=["cat", "no"])
    write_tags_model(tmp_path / "store", "wordy", labels=["a" * 900, "b" * 900, "c" * 900])
    write_image_model(
        tmp_path / "store", task="image_multilabel_classification", thresholds=[0.3, 0.3], top=1
    )
    return Registry([tmp_path / "store"])


@pytest.fixture
def parts(
    settings: Settings, small_registry: Registry, furnish: Callable[[Settings], None]
) -> Iterator[WebParts]:
    furnish(settings)
    parts = replace(build_parts(settings), registry=small_registry)
    yield parts
    parts.database.close()


@pytest.fixture
def job(web: FlaskClient, work: Any) -> dict[str, Any]:
    form = {"model": "tags", "csv": (io.BytesIO(TABLE.encode()), "pets.csv")}
    job: dict[str, Any] = web.post("/api/jobs", data=form).get_json()
    work(job)
    return job


def text_of(source: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", source)))


def test_the_api_has_each_label_and_all_probabilities(web: FlaskClient, job: dict[str, Any]) -> None:
    results = web.get(job["links"]["results"]).get_json()["results"]

    assert [(each["answer"], each["labels"], each["expected"]) for each in results] == [
        ("cat, dog", ["cat", "dog"], "cat|dog"),
        ("cat, mug", ["cat", "mug"], "cat"),
        ("none of its labels", [], "none"),
        ("dog", ["dog"], None),
    ]
    assert [each["label"] for each in results] == [None] * 4
    assert (results[0]["output"], results[0]["score"]) == ([0.9, 0.4, 0.1], 0.9)


def test_tables_have_labels_with_bars_between_them(web: FlaskClient, job: dict[str, Any]) -> None:
    rows = list(csv.DictReader(web.get(job["links"]["results_csv"]).get_data(as_text=True).splitlines()))
    found = list(csv.DictReader(web.get("/api/results.csv").get_data(as_text=True).splitlines()))

    assert [row["label"] for row in rows] == ["cat|dog", "cat|mug", "none", "dog"]
    assert [row["expected"] for row in rows] == ["cat|dog", "cat", "none", ""]
    assert rows[1]["probability mug"] == "0.95"
    assert [row["label"] for row in found] == ["dog", "none", "cat|mug", "cat|dog"]


def test_labels_that_it_has_not_are_refused(web: FlaskClient) -> None:
    table = b"cat,dog,mug,seen\n0.9,0.4,0.1,cat|mouse\n"

    answer = web.post("/api/jobs", data={"model": "tags", "csv": (io.BytesIO(table), "pets.csv")}).get_json()

    assert answer["faults"] == [
        {
            "field": "csv line 2, column 4",
            "expected": "seen: 0 (cat) or 1 (dog) or 2 (mug); several with | between them, or none",
            "got": '"cat|mouse"',
        }
    ]


def test_the_page_marks_each_threshold_and_measures_each_label(web: FlaskClient, job: dict[str, Any]) -> None:
    page = web.get(job["links"]["page"]).get_data(as_text=True)
    text = text_of(page)

    assert page.count('class="threshold"') == 4 * 3
    assert "✓ right" in text and "✗ truly cat" in text
    assert "2 of 3 answers have exactly the true labels" in text
    assert "Micro F1 85.7" in text and "Macro F1 66.7" in text
    assert re.search(r"cat 2 2 2 100\.0\s%", text)
    assert re.search(r"mug 0 1 0 0\.0\s% – 0\.0\s%", text)


def test_an_item_counts_for_each_of_its_labels_and_is_found_by_each(
    web: FlaskClient, work: Any, job: dict[str, Any]
) -> None:
    other = web.post("/api/jobs", json={"model": "table", "inputs": [[1, 7]]}).get_json()
    work(other)

    table, tags = sorted(web.get("/api/stats").get_json()["models"], key=lambda each: each["model"])
    found = {
        label: sorted(each["answer"] for each in web.get(f"/api/results?label={label}").get_json()["results"])
        for label in ("cat", "dog", "mug", "ca", "CAT", "|")
    }

    assert {each["label"]: each["items"] for each in tags["labels"]} == {"cat": 2, "dog": 2, "mug": 1}
    assert tags["unlabelled"] == 1
    assert sum(each["items"] for each in tags["scores"]) == 4
    assert table["labels"] == [{"label": "cat", "items": 1}]
    assert web.get("/api/stats").get_json()["succeeded"] == 5
    assert found == {
        "cat": ["cat", "cat, dog", "cat, mug"],
        "dog": ["cat, dog", "dog"],
        "mug": ["cat, mug"],
        "ca": [],
        "CAT": [],
        "|": ["none of its labels"],
    }


def test_the_dashboard_stands_items_of_which_none_has_a_label(web: FlaskClient, work: Any) -> None:
    nothing = web.post("/api/jobs", json={"model": "tags", "inputs": [[0, 0, 0]] * 2}).get_json()
    work(nothing)

    page = text_of(web.get("/stats").get_data(as_text=True))

    assert "none of its labels 2" in page


def test_every_bar_of_the_dashboard_leads_to_as_many_items(web: FlaskClient, job: dict[str, Any]) -> None:
    page = web.get("/stats").get_data(as_text=True)

    bars = re.findall(r'<dt><a href="([^"]*)">([^<]*)</a></dt>\s*<dd>.*?<span>(\d+)</span>', page, re.DOTALL)

    assert [(name, count) for _, name, count in bars] == [
        ("cat", "2"), ("dog", "2"), ("mug", "1"), ("none of its labels", "1"),
    ]  # fmt: skip
    for href, _, count in bars:
        found = web.get("/api" + html.unescape(href)).get_json()["results"]
        assert len(found) == int(count)


def test_an_item_with_more_labels_than_can_be_stored_fails_alone(web: FlaskClient, work: Any) -> None:
    job = web.post("/api/jobs", json={"model": "wordy", "inputs": [[1, 1, 1], [1, 1, 0]]}).get_json()
    work(job)

    failed, kept = web.get(job["links"]["results"]).get_json()["results"]

    assert failed["error"]["message"] == "the model answered 3 labels, of more than 2000 bytes together"
    assert len(kept["labels"]) == 2


def test_an_image_may_have_several_labels_too(web: FlaskClient, work: Any) -> None:
    file = io.BytesIO()
    Image.new("L", (4, 4), 102).save(file, "PNG")
    file.seek(0)
    job = web.post("/api/jobs", data={"model": "picture", "file": (file, "dusk.png")}).get_json()
    work(job)

    (item,) = web.get(job["links"]["results"]).get_json()["results"]
    page = web.get(job["links"]["page"]).get_data(as_text=True)

    assert (item["labels"], item["answer"], item["score"]) == (["dark", "bright"], "dark, bright", 0.6)
    assert item["top"] == [{"label": "dark", "score": 0.6}, {"label": "bright", "score": 0.4}]
    assert page.count('class="threshold"') == 2


def test_the_form_and_the_card_say_that_several_may_fit(web: FlaskClient) -> None:
    form = text_of(web.get("/predictions?model=tags").get_data(as_text=True))
    card = text_of(web.get("/models/tags").get_data(as_text=True))

    assert "It answers with any of “cat”, “dog” and “mug”." in form
    assert "cat,dog,mug,seen 0.5,0.5,0.5,cat|dog" in form
    assert "Answers with any of cat, dog, mug" in card
    assert re.search(r"The thresholds .* dog 30\.0\s%", card)


def test_results_of_a_version_that_was_taken_away_stay_readable(
    web: FlaskClient, job: dict[str, Any], parts: WebParts, tmp_path: Path
) -> None:
    gone = replace(parts, registry=Registry([tmp_path]))
    from production_server.web.app import create_app

    other = create_app(gone).test_client()

    results = other.get(job["links"]["results"]).get_json()["results"]
    page = text_of(other.get(job["links"]["page"]).get_data(as_text=True))

    assert [each["answer"] for each in results] == ["cat|dog", "cat|mug", "none", "dog"]
    assert "cat|mug" in page and "truly cat" in page
