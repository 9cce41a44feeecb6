"""/stats and /results: numbers, drawings and tables of the same, and ways to the items behind them."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest

from production_server.jobs.database import Database
from production_server.web.pages.charts import column_chart, round_up
from production_server.web.pages.stats import SHOWN_LABELS
from tests.unit.jobs.results import Answer, classified, classified_objects, let_be_finished_at
from tests.unit.jobs.test_jobs import accept, must_take
from tests.unit.web.pages.conftest import Page

Get = Callable[[str], Page]


@pytest.fixture
def filled(database: Database) -> Database:
    answers: list[Answer] = [("yes", 0.95), ("yes", 0.85), ("no", 0.3), "malformed_row"]
    classified(database, answers, version="2", source="page")
    classified_objects(database, ["s3://pets/<b>.jpg", "s3://pets/2.jpg"], [("mug", 0.1), "object_missing"])
    return database


def found(page: Page) -> int:
    """How many results a page of them shows."""
    return page.source.count("<time ")


def links(page: Page) -> set[str]:
    """All links to results."""
    return {html.unescape(each) for each in re.findall(r'href="(/results\?[^"]*)"', page.source)}


def test_an_empty_dashboard_says_what_to_do(get: Get) -> None:
    page = get("/stats")

    assert page.status == 200
    assert "Nothing was classified in this time." in page.text
    assert "<svg" not in page.source


def test_the_dashboard_tells_counts_by_everything(get: Get, filled: Database) -> None:
    accept(filled, 5)

    told = get("/stats").text

    assert "Classified 6 Failed 2 33.3 %" in told
    assert "Waiting 5" in told
    assert "table 2 page 3 1" in told
    assert "picture 1 event 1 1" in told
    assert "Labels yes 2 no 1" in told
    assert "Failures malformed_row 1" in told
    assert "90 to 100 % 1" in told


def test_every_number_leads_to_as_many_items(get: Get, filled: Database) -> None:
    numbered = re.compile(r'<a href="(/results\?[^"]*)">(\d+)</a>')
    page = get("/stats")

    counts = [(html.unescape(href), int(number)) for href, number in numbered.findall(page.source)]

    assert len(counts) >= 8
    for href, count in counts:
        assert found(get(href)) == count, href


def test_columns_labels_and_failures_lead_to_their_items(get: Get, filled: Database) -> None:
    for href in links(get("/stats")):
        assert found(get(href)) > 0, href


def test_a_chosen_model_is_alone(get: Get, filled: Database) -> None:
    page = get("/stats?span=hour&model=picture&version=")

    assert "Classified 2" in page.text
    assert "malformed_row" not in page.text
    assert "selected>picture" in page.source
    assert all("model=picture" in href for href in links(page))


def test_jobs_under_way_are_shown_with_their_progress(get: Get, database: Database) -> None:
    job = classified(database, [("yes", 0.9)])
    assert "Under way" not in get("/stats").text

    running = accept(database, 40)
    must_take(database, running)

    page = get("/stats")
    assert "Under way" in page.text
    assert f"/predictions/{running.id}" in page.source
    assert f'/predictions/{job.id}"' not in page.source


def test_many_labels_are_cut_off_and_said_so(get: Get, database: Database) -> None:
    classified(database, [(f"label {number}", 0.5) for number in range(SHOWN_LABELS + 3)], version="2")

    assert "3 labels less frequent; all of them as JSON" in get("/stats").text


def test_names_from_outside_stay_text(get: Get, filled: Database) -> None:
    for path in ("/stats", "/results"):
        page = get(path)

        assert "<b>.jpg" in page.text or "&lt;b&gt;.jpg" in page.source
        assert "<b>" not in page.source


def test_images_have_thumbnails_where_there_is_an_image(get: Get, filled: Database) -> None:
    assert get("/stats").source.count('class="thumbnail"') == 1
    assert get("/results?state=failed").source.count('class="thumbnail"') == 0


@pytest.mark.parametrize("path", ["/stats?span=decade", "/stats?source=a%00b", "/stats?spam=1"])
def test_a_dashboard_that_makes_no_sense_is_a_clear_error(get: Get, path: str) -> None:
    assert get(path).status == 400


def test_a_search_is_shown_as_it_was_asked(get: Get, filled: Database) -> None:
    page = get("/results?model=table&label=yes&min_score=0.9&max_score=&since=2020-01-01T02:00:00%2B02:00")

    assert found(page) == 1
    assert page.value("label") == "yes"
    assert page.value("min_score") == "0.9"
    assert page.value("since") == "2020-01-01T00:00:00"
    assert "/api/results.csv?model=table&amp;label=yes&amp;min_score=0.9" in page.source


def test_pages_of_results_follow_each_other(get: Get, database: Database) -> None:
    let_be_finished_at(database, classified(database, [("yes", 0.9)] * 120, version="2"), 1000)

    first = get("/results?label=yes")
    (second_href,) = re.findall(r'rel="next" href="([^"]*)"', first.source)
    second = get(html.unescape(second_href))
    (third_href,) = re.findall(r'rel="next" href="([^"]*)"', second.source)
    third = get(html.unescape(third_href))

    assert [found(page) for page in (first, second, third)] == [50, 50, 20]
    assert 'rel="next"' not in third.source
    assert 'href="/results?label=yes">Newest' in third.source


def test_what_is_wrong_with_a_search_is_said_at_its_field(get: Get, filled: Database) -> None:
    page = get("/results?min_score=many&since=yesterday&label=yes")

    assert page.status == 400
    assert 'Score from: expected a valid number, unable to parse string as a number, got "many"' in page.text
    assert "From: expected a valid datetime" in page.text
    assert 'aria-invalid="true"' in page.element('id="min_score"')
    assert page.value("min_score") == "many"
    # A browser would complain about what is no time.
    assert page.value("since") == ""
    assert page.value("label") == "yes"


def test_nothing_found_is_said(get: Get, filled: Database) -> None:
    assert "No result matches." in get("/results?label=none").text


def test_columns_are_as_high_as_their_counts_and_all_can_be_seen() -> None:
    chart = column_chart([50, 0, 1], [50, 0, 0])

    assert chart.top == 100
    assert [(column.lower, column.upper) for column in chart.columns] == [(50, 50), (0, 0), (1, 0)]
    assert chart.columns[0].x + chart.columns[0].width < chart.columns[1].x
    assert column_chart([1, 100_000]).columns[0].lower > 0.5
    assert column_chart([]).columns == ()


def test_the_scale_is_a_round_number() -> None:
    assert [round_up(count) for count in (0, 1, 2, 3, 10, 11, 21, 99, 501)] == [
        1,
        1,
        2,
        5,
        10,
        20,
        50,
        100,
        1000,
    ]
