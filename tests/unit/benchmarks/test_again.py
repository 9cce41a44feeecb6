"""The measurement of answering again: its policy is one that the service takes; rates are by the database's clock."""

from __future__ import annotations

from pathlib import Path

from benchmarks.again import MODEL, _policy, _rate
from production_server.retraining.policies import policies_in


def test_what_trains_copies_the_version_that_is_built_in(tmp_path: Path) -> None:
    policy = policies_in(_policy(tmp_path, 300))[MODEL]

    assert policy.answer_again == 300
    assert Path(policy.train.command[3]).is_file()
    assert len(policy.train.describe.labels) == 10


def test_a_rate_is_of_all_items_from_the_first_moment_of_a_job_to_its_last() -> None:
    job = {"succeeded": 100, "created": "2026-12-01T05:00:00Z", "finished": "2026-12-01T05:00:04.000000Z"}

    assert _rate(job) == 25
