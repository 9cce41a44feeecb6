"""How trainings go, in numbers, on both databases."""

from __future__ import annotations

from production_server.errors import CeleriacError
from production_server.jobs.database import Database
from production_server.retraining.policies import Policy
from production_server.retraining.runs import NewRun, add_run, claim_run, end_run
from production_server.retraining.statistics import training_statistics


def begin(database: Database, model: str) -> None:
    written = {"model": model, "train": {"command": ["train", "{data}", "{model}"]}}
    add_run(database, NewRun(policy=Policy.model_validate(written), client="lab", why="hand", actor={}))


def test_there_are_none_where_nothing_was_trained(database: Database) -> None:
    found = training_statistics(database)

    assert (found.runs, found.latest_s, found.new_labels) == ({}, {}, {})


def test_runs_are_counted_by_model_and_state_and_the_latest_is_timed(database: Database) -> None:
    for _ in range(2):
        begin(database, "iris")
        held = claim_run(database, lease_s=60)
        assert held is not None
        end_run(database, held, "failed", error=CeleriacError("out of memory"))
    begin(database, "iris")
    begin(database, "wine")

    found = training_statistics(database)

    assert {key: count for key, count in found.runs.items() if count} == {
        ("iris", "failed"): 2,
        ("iris", "open"): 1,
        ("wine", "open"): 1,
    }
    assert found.latest_s.keys() == {"iris", "wine"} and all(
        0 <= each < 60 for each in found.latest_s.values()
    )
