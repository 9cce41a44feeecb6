"""/api/stats and /api/results."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import update

from production_server.jobs.tables import item
from production_server.web.edge.parts import WebParts
from tests.unit.jobs.results import classified, classified_objects, let_be_finished_at

URLS = ("s3://pets/in/a.jpg", "s3://pets/in/b.jpg")


def at(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


@pytest.fixture
def filled(parts: WebParts) -> WebParts:
    database = parts.database
    let_be_finished_at(
        database, classified(database, [("yes", 0.9), ("no", 0.35), "malformed_image"], source="page"), 1000
    )
    let_be_finished_at(database, classified_objects(database, URLS, [("mug", 1.0), "object_missing"]), 2000)
    return parts


def faults(answer: Any) -> list[str]:
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_input")
    return [fault["field"] for fault in answer.json["faults"]]


def test_stats_tell_counts_by_everything(web: Any, filled: WebParts) -> None:
    told = web.get("/api/stats").json

    assert (told["succeeded"], told["failed"], told["waiting"], told["step_seconds"]) == (3, 2, 0, 1800)
    assert sum(step["succeeded"] + step["failed"] for step in told["steps"]) == 5
    assert told["steps"][0]["start"] == told["since"]
    assert told["series"] == [
        {"model": "table", "version": "1", "source": "page", "succeeded": 2, "failed": 1},
        {"model": "picture", "version": "1", "source": "event", "succeeded": 1, "failed": 1},
    ]
    picture, table = told["models"]
    assert table["labels"] == [{"label": "no", "items": 1}, {"label": "yes", "items": 1}]
    assert table["errors"] == [{"code": "malformed_image", "items": 1}]
    assert picture["scores"][9] == {"min_score": 0.9, "max_score": 1.0, "items": 1}
    assert sum(score["items"] for score in picture["scores"]) == 1


def test_stats_of_a_time_and_a_model(web: Any, filled: WebParts) -> None:
    told = web.get("/api/stats?span=year&model=picture").json

    assert (told["succeeded"], told["failed"], told["step_seconds"]) == (1, 1, 7 * 86400)
    assert [each["model"] for each in told["models"]] == ["picture"]


def test_stats_of_nothing_are_empty(web: Any) -> None:
    told = web.get("/api/stats").json

    assert (told["succeeded"], told["series"], told["models"]) == (0, [], [])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("span=decade", "span"),
        ("model=" + "m" * 65, "model"),
        ("source=a%00b", "source"),
        ("spam=1", "spam"),
        ("span=day&span=year", "span"),
    ],
)
def test_stats_that_make_no_sense_are_refused(web: Any, query: str, field: str) -> None:
    assert faults(web.get(f"/api/stats?{query}")) == [field]


def test_results_are_found_with_all_that_is_known(web: Any, filled: WebParts) -> None:
    found = web.get("/api/results?key=s3://pets/&state=succeeded").json

    (result,) = found["results"]
    assert found["next"] is None
    assert (result["label"], result["score"], result["url"], result["model"], result["source"]) == (
        "mug", 1.0, URLS[0], "picture", "event",
    )  # fmt: skip
    assert result["finished"].startswith("1970-01-01T00:33:20")
    assert result["links"] == {
        "job": f"/api/jobs/{result['job']}",
        "page": f"/predictions/{result['job']}?after=-1#item-0",
    }
    assert web.get(result["links"]["job"]).status_code == 200
    assert web.get(result["links"]["page"].partition("#")[0]).status_code == 200


def test_results_come_in_pages(web: Any, filled: WebParts) -> None:
    found, after = [], ""
    for _ in range(3):
        page = web.get(f"/api/results?limit=2{after}").json
        found += [(each["model"], each["index"]) for each in page["results"]]
        after = f"&after={page['next']}"

    assert found == [("picture", 1), ("picture", 0), ("table", 2), ("table", 1), ("table", 0)]
    assert page["next"] is None


def test_times_may_say_their_zone(web: Any, filled: WebParts) -> None:
    def count(**query: str) -> int:
        return len(web.get("/api/results", query_string=query).json["results"])

    assert count(since="1970-01-01T00:33:20") == count(since="1970-01-01T02:33:20+02:00") == 2
    assert count(until="1970-01-01T00:33:20Z") == count(until=at(1500)) == 3


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("min_score=-inf", "min_score"),
        ("max_score=nan", "max_score"),
        ("state=running", "state"),
        ("since=yesterday", "since"),
        ("since=0001-01-01T00:00:00%2B14:00", "since"),
        ("until=9999-12-31T23:59:59-14:00", "until"),
        ("until=99999999999999999999", "until"),
        ("after=1_2", "after"),
        ("after=x_y_z", "after"),
        ("limit=0", "limit"),
        ("label=a%00", "label"),
        ("key=", "key"),
    ],
)
def test_searches_that_make_no_sense_are_refused(web: Any, query: str, field: str) -> None:
    assert faults(web.get(f"/api/results?{query}")) == [field]


@pytest.mark.parametrize(
    "after", ["nan_" + "0" * 32 + "_1", "1e400_" + "0" * 32 + "_1", "1_" + "0" * 32 + "_" + "9" * 30]
)
def test_a_place_that_no_page_can_have_is_refused(web: Any, filled: WebParts, after: str) -> None:
    assert faults(web.get(f"/api/results?after={after}")) == ["after"]


def test_the_table_has_all_that_a_search_finds(web: Any, filled: WebParts) -> None:
    answer = web.get("/api/results.csv?state=failed")

    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="results.csv"'
    assert [(row["model"], row["url"], row["label"], row["error_code"]) for row in rows] == [
        ("picture", URLS[1], "", "object_missing"),
        ("table", "", "", "malformed_image"),
    ]
    assert rows[0]["finished"] == "1970-01-01T00:33:20.000+00:00"
    assert faults(web.get("/api/results.csv?limit=5")) == ["limit"]


def test_names_that_a_spreadsheet_would_run_are_made_inert(web: Any, filled: WebParts) -> None:
    with filled.database.write() as connection:
        connection.execute(update(item).values(name="=cmd()"))

    rows = list(csv.DictReader(io.StringIO(web.get("/api/results.csv").text)))

    assert {row["name"] for row in rows} == {"'=cmd()"}
