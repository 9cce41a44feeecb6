"""What stands in the way of a version that is to serve: its report, held against what serves today."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from production_server.learning.promotion import PromotionGate, kept_report, measured_of
from production_server.learning.report import (
    Check,
    CheckName,
    Measured,
    Report,
    Verdict,
    write_report,
)
from production_server.models.manifest import Metric, digest_of, read_manifest
from production_server.models.store import ModelVersion
from production_server.models.tasks import task_of
from testing.small_models import write_quantity_model, write_table_model

GATE = PromotionGate(margin=0.02)
FAILED, PASSED, NOT_DONE = Verdict.FAILED, Verdict.PASSED, Verdict.NOT_DONE


def version_in(folder: Path) -> ModelVersion:
    manifest = read_manifest(folder)
    return ModelVersion(manifest, folder, task_of(manifest))


def measured(mean: float, *, sample: str = "a", name: str = "error_rate") -> Measured:
    return Measured(
        data="50 rows of the sample", sha256=sample * 64, items=50, values={name: Metric(mean=mean)}
    )


def with_report(
    folder: Path,
    against: ModelVersion | None,
    *,
    kept: Measured | None = None,
    **verdicts: Verdict,
) -> ModelVersion:
    """A version with a report that has these verdicts, as the gate writes one."""
    checks = tuple(
        Check(name=name, verdict=verdicts.get(name.value, PASSED), expected="e", found="as it came in")
        for name in CheckName
    )
    write_report(
        Report(
            model="table",
            against=None if against is None else against.manifest.version,
            against_sha256=None if against is None else against.sha256,
            at=datetime.now(UTC),
            seconds=1,
            checks=checks,
            measured=kept,
        ),
        folder,
    )
    manifest = read_manifest(folder)
    files = {**manifest.files, "report.json": digest_of(folder / "report.json")}
    (folder / "manifest.json").write_text(manifest.model_copy(update={"files": files}).to_json())
    return version_in(folder)


@pytest.fixture
def stable(tmp_path: Path) -> ModelVersion:
    return version_in(write_table_model(tmp_path / "stable"))


def table(tmp_path: Path, version: str = "2", **changes: Any) -> Path:
    return write_table_model(tmp_path / "store", version=version, **changes)


def verdicts(report: Report) -> dict[str, str]:
    return {check.name.value: check.verdict.value for check in report.checks}


def test_a_report_against_what_serves_now_counts_as_it_is(tmp_path: Path, stable: ModelVersion) -> None:
    report = GATE.hold(with_report(table(tmp_path), stable, latency=FAILED), stable)

    assert verdicts(report) == dict.fromkeys(CheckName, "passed") | {"latency": "failed"}
    assert (report.against, report.against_sha256) == ("1", stable.sha256)


def test_what_was_let_through_when_it_came_in_is_asked_about_again(
    tmp_path: Path, stable: ModelVersion
) -> None:
    report = GATE.hold(with_report(table(tmp_path), stable, memory=Verdict.ALLOWED), stable)

    assert [check.name for check in report.failed] == [CheckName.MEMORY]
    assert report.unless([CheckName.MEMORY]).overridden == (CheckName.MEMORY,)


@pytest.mark.parametrize("is_other_number", [True, False])
def test_what_was_measured_beside_another_version_says_nothing_now(
    tmp_path: Path, stable: ModelVersion, is_other_number: bool
) -> None:
    """Another number, or the same one in another store."""
    other = version_in(
        write_table_model(tmp_path / "other", version="9" if is_other_number else "1", title="Another")
    )

    report = GATE.hold(with_report(table(tmp_path), other, latency=FAILED, edges=FAILED), stable)

    assert verdicts(report) == {
        "signature": "passed", "loads": "passed", "parity": "passed", "edges": "failed", "metrics": "not done",
        "latency": "not done", "memory": "not done",
    }  # fmt: skip
    assert report.unknown == [
        "no sample has said how good it is",
        f"it was held against version {other.key[1]}, and version 1 serves now",
    ]


def test_signatures_are_compared_whatever_the_report_says(tmp_path: Path, stable: ModelVersion) -> None:
    other = with_report(table(tmp_path, labels=["no", "perhaps"]), stable)

    (failed,) = GATE.hold(other, stable).failed

    assert failed.name == CheckName.SIGNATURE
    assert failed.found == "something else than version 1 has: labels (perhaps instead of yes)"


def test_what_came_by_no_gate_says_so_and_its_signature_is_compared(
    tmp_path: Path, stable: ModelVersion
) -> None:
    by_hand = version_in(table(tmp_path))

    report = GATE.hold(by_hand, stable)

    assert report.has_passed and verdicts(report)["signature"] == "passed"
    assert report.unknown == ["it came by no gate"]


def test_a_report_that_is_none_of_its_files_counts_for_nothing(tmp_path: Path, stable: ModelVersion) -> None:
    folder = table(tmp_path)
    before = (folder / "manifest.json").read_bytes()
    with_report(folder, stable, kept=measured(0.1))
    (folder / "manifest.json").write_bytes(before)

    forged = version_in(folder)

    assert kept_report(forged) is None and measured_of(forged) is None
    assert GATE.hold(forged, stable).unknown == ["it came by no gate"]


@pytest.mark.parametrize(("mean", "verdict"), [(0.115, PASSED), (0.13, FAILED), (0.0, PASSED)])
def test_on_the_same_sample_both_are_compared_anew(
    tmp_path: Path, stable: ModelVersion, mean: float, verdict: Verdict
) -> None:
    now = with_report(table(tmp_path, "2"), stable, kept=measured(0.1))
    mine = with_report(table(tmp_path, "3"), stable, kept=measured(mean))

    metrics = GATE.hold(mine, now).check(CheckName.METRICS)

    assert metrics is not None and metrics.verdict == verdict
    assert metrics.found == f"error rate {mean:.4g} instead of 0.1 on the same 50 items"


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (measured(0.1, sample="b"), "version 2 was measured on another sample"),
        (measured(0.1, name="mean_absolute_error"), "version 2 was measured on another sample"),
        (None, "no sample has said how good it is"),
    ],
)
def test_what_was_measured_on_something_else_is_not_compared(
    tmp_path: Path, stable: ModelVersion, other: Measured | None, why: str
) -> None:
    now = with_report(table(tmp_path, "2"), stable, kept=measured(0.1))
    mine = with_report(table(tmp_path, "3"), stable, kept=other)

    metrics = GATE.hold(mine, now).check(CheckName.METRICS)

    assert metrics is not None and (metrics.verdict, metrics.found) == (NOT_DONE, why)


def test_values_may_be_worse_by_a_share_of_the_mean_error(tmp_path: Path) -> None:
    kept = {mean: measured(mean, name="mean_absolute_error") for mean in (10.0, 10.1, 10.3)}
    now = with_report(write_quantity_model(tmp_path / "store"), None, kept=kept[10.0])
    good = with_report(write_quantity_model(tmp_path / "store", version="2"), None, kept=kept[10.1])
    bad = with_report(write_quantity_model(tmp_path / "store", version="3"), None, kept=kept[10.3])

    assert GATE.hold(good, now).has_passed
    assert [check.name for check in GATE.hold(bad, now).failed] == [CheckName.METRICS]


def test_where_a_process_may_run_models_both_are_run_if_the_report_is_of_another_time(
    tmp_path: Path, stable: ModelVersion
) -> None:
    asked: list[tuple[str, str]] = []
    slow = Check(name=CheckName.LATENCY, verdict=FAILED, expected="e", found="twice as slow")

    def examine(candidate: ModelVersion, beside: ModelVersion) -> Report:
        asked.append((candidate.key[1], beside.key[1]))
        return Report(model="table", against="1", at=datetime.now(UTC), seconds=2, checks=(slow,))

    gate = PromotionGate(margin=0.02, examine=examine)
    of_now, by_hand = with_report(table(tmp_path, "2"), stable), version_in(table(tmp_path, "3"))

    assert gate.hold(of_now, stable).has_passed
    (failed,) = gate.hold(by_hand, stable).failed
    assert (failed, asked) == (slow, [("3", "1")])


def test_what_cannot_be_run_here_is_not_held_against_a_version(tmp_path: Path, stable: ModelVersion) -> None:
    gate = PromotionGate(margin=0.02, examine=lambda *_: None)

    report = gate.hold(version_in(table(tmp_path)), stable)

    assert report.has_passed and report.unknown == ["it came by no gate"]


def test_where_what_serves_is_not_here_only_its_own_checks_count(
    tmp_path: Path, stable: ModelVersion
) -> None:
    mine = with_report(table(tmp_path), stable, latency=FAILED)

    report = GATE.hold(mine, None)

    assert report.has_passed and report.against is None
    assert "the version that serves is not here" in report.unknown
