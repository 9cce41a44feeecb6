"""What was classified, counted as it is stored, on both databases."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import select, update

from production_server.jobs.claim import claim, finish, give_up
from production_server.jobs.dashboard import (
    SPANS,
    Counts,
    Dashboard,
    Span,
    read_dashboard,
)
from production_server.jobs.database import Database, now
from production_server.jobs.records import Success
from production_server.jobs.schema import MIGRATIONS
from production_server.jobs.search import Search, search
from production_server.jobs.series import Chosen, Series, list_series
from production_server.jobs.tables import item, job, series, tally_hour, tally_minute
from production_server.jobs.tally import HOUR_S, count_results, tenth_of
from tests.unit.jobs.results import classified, classified_objects, to_result
from tests.unit.jobs.test_jobs import accept, lose_leases, must_take, success, take


def read(database: Database, span: str = "day", **chosen: str) -> Dashboard:
    return read_dashboard(database, SPANS[span], Chosen(**chosen))


def counted_live(database: Database) -> dict[tuple[str, str], int]:
    """What counting all items would tell."""
    query = select(item.c.state, item.c.label, item.c.error_code, item.c.score, job.c.model)
    told: dict[tuple[str, str], int] = {}
    with database.read() as connection:
        for row in connection.execute(query.join(job, job.c.id == item.c.job_id)):
            if row.state in ("succeeded", "failed"):
                key = (row.model, row.label or row.error_code)
                told[key] = told.get(key, 0) + 1
    return told


def counted(database: Database) -> dict[tuple[str, str], int]:
    """What the dashboard tells."""
    return {
        (each.model, result): count
        for each in read(database).models
        for result, count in (*each.labels.items(), *each.errors.items())
    }


def test_results_are_counted_by_label_score_error_and_series(database: Database) -> None:
    classified(database, [("yes", 0.95), ("yes", 1.0), ("no", 0.3), "not_an_image"])
    classified(database, [("no", 0.55)], source="page")
    classified_objects(database, ["s3://a/1", "s3://a/2"], [("mug", 0.1), "object_missing"])

    dashboard = read(database)

    assert dashboard.total == Counts(5, 2)
    assert dashboard.series == {
        Series("table", "1", "http"): Counts(3, 1),
        Series("picture", "1", "event"): Counts(1, 1),
        Series("table", "1", "page"): Counts(1, 0),
    }
    picture, table = dashboard.models
    assert (picture.model, picture.labels, picture.errors) == ("picture", {"mug": 1}, {"object_missing": 1})
    assert (table.model, table.labels, table.errors) == ("table", {"yes": 2, "no": 2}, {"not_an_image": 1})
    assert list(table.tenths) == [0, 0, 0, 1, 0, 1, 0, 0, 0, 2]
    assert list(picture.tenths) == [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert list_series(database, whose=None) == sorted(dashboard.series)


def test_the_steps_are_those_of_the_time_and_the_last_one_is_now(database: Database) -> None:
    classified(database, [("yes", 0.5), "too_large"])

    for name, span in SPANS.items():
        dashboard = read(database, name)

        assert dashboard.step_s == span.step_s
        assert dashboard.since % HOUR_S == 0
        assert dashboard.since <= dashboard.until - span.length_s
        assert len(dashboard.steps) == (dashboard.until - dashboard.since) // span.step_s + 1
        # The minute may have passed between counting and reading.
        assert Counts(1, 1) in dashboard.steps[-2:]
        assert sum(step.items for step in dashboard.steps) == 2


def test_what_is_older_than_the_time_is_not_in_it(database: Database) -> None:
    classified(database, [("yes", 0.5)])
    with database.write() as connection:
        for table, name, unit_s in ((tally_minute, "minute", 60), (tally_hour, "hour", 3600)):
            moved = table.c[name] - 3 * 86400 // unit_s
            connection.execute(update(table).values({name: moved}))

    assert read(database, "day").total == Counts(0, 0)
    assert read(database, "day").models == []
    assert read(database, "week").total == Counts(1, 0)
    assert read(database, "week").models[0].labels == {"yes": 1}


def test_the_present_rate_and_what_waits(database: Database) -> None:
    classified(database, [("yes", 0.5)] * 5)
    accept(database, 7, model="picture")

    dashboard = read(database)

    assert dashboard.per_s == pytest.approx(0.5)
    assert dashboard.waiting == 7
    assert read(database, model="table").waiting == 0
    assert read(database, model="picture").per_s == 0


def test_only_what_was_chosen_is_counted(database: Database) -> None:
    classified(database, [("yes", 0.5)], version="1")
    classified(database, [("no", 0.5), "too_large"], version="2", source="page")

    assert read(database, version="2").total == Counts(1, 1)
    assert read(database, source="http").models[0].labels == {"yes": 1}
    assert read(database, model="table").total == Counts(2, 1)
    nothing = read(database, model="nothing")
    assert (nothing.total, nothing.models, nothing.series) == (Counts(0, 0), [], {})


def test_results_that_do_not_count_are_not_counted(database: Database) -> None:
    accepted = accept(database, 2)
    slow = must_take(database, accepted)
    lose_leases(database, accepted)
    quick = [must_take(database, accepted) for _ in range(2)]

    finish(database, slow, [success(0), success(1)])
    for held in quick * 2:
        finish(database, held, [success(index) for index in held.indexes])

    assert counted(database) == counted_live(database) == {("table", "yes"): 2}


def test_items_that_fail_without_a_result_are_counted(database: Database) -> None:
    given_up = accept(database, 2)
    give_up(
        database,
        must_take(database, given_up),
        max_attempts=1,
        error_code="storage_unavailable",
        error_message="away",
    )
    lost = accept(database, 1, model="picture")
    must_take(database, lost)
    lose_leases(database, lost)
    assert take(database, lost, max_attempts=1) is None

    assert counted(database) == counted_live(database)
    assert counted(database) == {("table", "storage_unavailable"): 2, ("picture", "worker_lost"): 1}


def test_many_who_store_at_once_lose_no_count(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "production_server.jobs.database.TURN_S", 60
    )  # a busy disk takes each of 160 in its time
    jobs = [accept(database, 40) for _ in range(4)]
    together = threading.Barrier(4)

    def store(number: int) -> None:
        held = must_take(database, jobs[number])
        together.wait()
        # In different orders of labels: whoever counts must not wait for one who waits for it.
        for index in held.indexes[:: 1 if number % 2 else -1]:
            finish(database, held, [to_result(index, (f"label {index % 7}", (index % 10) / 10))])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(store, range(4)))

    assert read(database).total == Counts(160, 0)
    assert counted(database) == counted_live(database)


def test_results_of_releases_that_did_not_count_are_counted_by_the_migration(database: Database) -> None:
    classified(database, [("yes", 0.999), ("yes", 1.0), ("no", 0.0), ("no", 0.7), "not_an_image"])
    classified_objects(database, ["s3://a/1", "s3://a/2"], [("mug", 0.3), "object_missing"])
    accept(database, 3)
    before = read(database)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")

    database.migrate()

    after = read(database)
    assert (after.models, after.series) == (before.models, before.series)
    assert [step.items for step in after.steps if step.items] == [
        step.items for step in before.steps if step.items
    ]


def test_a_tenth_is_what_a_search_between_its_bounds_finds() -> None:
    for millionths in range(0, 1_000_001, 7):
        score = round(millionths / 1e6, 6)
        tenth = tenth_of(score)
        assert tenth / 10 <= score
        assert score < (tenth + 1) / 10 or score == 1
    assert (tenth_of(-3.5), tenth_of(17.0)) == (0, 9)


def test_a_time_begins_at_a_whole_hour_or_day() -> None:
    until = 1_000_000 * HOUR_S + 1234.5

    assert Span(HOUR_S, 120).starts_before(until) == 999_999 * HOUR_S
    assert Span(30 * 86400, 86400).starts_before(until) % 86400 == 0


def test_counting_nothing_enters_nothing(database: Database) -> None:
    with database.write() as connection:
        count_results(connection, 1, connection.execute(select(now())).scalar_one(), [])

    with database.read() as connection:
        assert connection.execute(select(tally_minute)).all() == []
        assert connection.execute(select(series)).all() == []


def test_a_claim_enters_its_series_once(database: Database) -> None:
    jobs = [accept(database, 1) for _ in range(8)]

    with ThreadPoolExecutor(8) as pool:
        ids = {
            held.series_id
            for held in pool.map(
                lambda each: claim(database, each.id, 0, 1, lease_s=60, max_attempts=3), jobs
            )
            if held is not None
        }

    assert len(ids) == 1


def test_a_score_that_is_no_probability_is_counted_all_the_same(database: Database) -> None:
    accepted = accept(database, 1)

    finish(
        database,
        must_take(database, accepted),
        [Success(index=0, label="far", score=12.5, output=(12.5,), ms=1.0)],
    )

    assert read(database).models[0].tenths[9] == 1


def test_each_of_several_labels_is_counted_and_items_by_their_score(database: Database) -> None:
    classified(database, [(("cat", "dog"), 0.95), (("dog",), 0.4), ((), 0.1), "too_large"])

    dashboard = read(database)

    (model,) = dashboard.models
    assert dashboard.total == Counts(3, 1)
    assert (model.labels, model.unlabelled, model.errors) == ({"dog": 2, "cat": 1}, 1, {"too_large": 1})
    assert list(model.tenths) == [0, 1, 0, 0, 1, 0, 0, 0, 0, 1]
    assert model.values == []


def test_values_are_counted_in_columns_whatever_their_size(database: Database) -> None:
    values = [1e308, -1e308, 5e-324, 0, *(100 + n for n in range(600))]
    classified(database, values)
    classified(database, [150.25, "too_large"])

    dashboard = read(database)

    (model,) = dashboard.models
    assert dashboard.total == Counts(605, 1)
    assert sum(each.items for each in model.values) == 605
    for column in model.values:
        found = search(
            database,
            Search(state="succeeded", min_score=column.start, max_score=column.stop),
            limit=1000,
        )
        assert len(found) == column.items
    assert (model.labels, sum(model.tenths)) == ({}, 0)
