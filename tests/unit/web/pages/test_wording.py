from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from production_server.jobs.records import Job
from production_server.web.pages.progress import progress_of
from production_server.web.pages.wording import (
    count,
    counted,
    duration,
    isoformat,
    metric_name,
    metric_value,
    moment,
    percent,
    plain,
    size,
)


def folded(text: str) -> str:
    """Without the difference between kinds of spaces."""
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0.0 %"),
        (0.0001, "< 0.1 %"),
        (0.654, "65.4 %"),
        (0.9994, "99.9 %"),
        (0.99999, "> 99.9 %"),
        (1, "100.0 %"),
    ],
)
def test_a_percentage_is_never_rounded_to_certainty(share: float, text: str) -> None:
    assert folded(percent(share)) == text


def test_numbers_are_written_without_noise() -> None:
    assert [plain(44.0), plain(0.627), plain(-1.5)] == ["44", "0.627", "−1.5"]
    assert [folded(count(999)), folded(count(1234567))] == ["999", "1 234 567"]
    assert [folded(counted(1, "row")), folded(counted(10_000, "row"))] == ["1 row", "10 000 rows"]


def test_durations_and_sizes_have_the_unit_that_fits() -> None:
    durations = [duration(s) for s in (0.0001, 0.008, 1.54, 12, 180, 7300)]
    assert [folded(each) for each in durations] == ["1 ms", "8 ms", "1.5 s", "12 s", "3 min", "2 h"]
    assert [folded(size(b)) for b in (512, 42_583, 64 * 2**20)] == ["512 bytes", "41.6 kB", "64 MB"]


def test_times_are_told_in_utc() -> None:
    when = datetime(2026, 11, 20, 9, 5, 7, tzinfo=UTC)

    assert moment(when) == moment(when.timestamp()) == "20 Nov 2026, 09:05 UTC"
    assert isoformat(when) == isoformat(when.timestamp()) == "2026-11-20T09:05:07Z"


def test_metrics_have_names_and_shares_are_percentages() -> None:
    assert [metric_name("roc_auc"), metric_name("mean_error")] == ["ROC AUC", "Mean error"]
    assert [metric_value(0.8377, "roc_auc"), folded(metric_value(0.7356, "accuracy"))] == ["0.838", "73.6 %"]


def job(done: int, *, started_at: float | None) -> Job:
    return Job(
        id=uuid4(), client="test", model="table", version="1", source="test", priority="normal",
        effective_priority="normal", state="running", total=1000, succeeded=done, failed=0, cancelled=0, created_at=0,
        started_at=started_at, finished_at=None,
    )  # fmt: skip


def test_progress_tells_the_rate_and_the_time_left() -> None:
    assert (
        folded(progress_of(job(400, started_at=100), 104).sentence)
        == "400 of 1 000 done, 100 per second, about 6.0 s left"
    )


def test_progress_tells_no_rate_before_there_is_one() -> None:
    for waiting in (job(0, started_at=None), job(0, started_at=100), job(400, started_at=103.9)):
        assert folded(progress_of(waiting, 104).sentence).endswith("of 1 000 done")


def test_a_job_that_is_over_has_no_rate() -> None:
    assert progress_of(job(1000, started_at=100), 104).rate is None


def test_a_cancelled_job_tells_what_is_still_being_worked_on() -> None:
    cancelled = replace(job(999, started_at=100), state="cancelled")

    assert folded(progress_of(cancelled, 104).sentence) == "1 item still in the hands of a worker"
