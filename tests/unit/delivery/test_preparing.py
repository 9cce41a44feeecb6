"""What is made of a model's folder before main moves: a version that publishing only has to number."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from production_server.delivery.preparing import Preparing
from production_server.delivery.records import import_id
from production_server.errors import GateClosed
from production_server.learning.promotion import kept_report
from production_server.learning.report import Check, CheckName, Measured, Report, Verdict, write_report
from production_server.models.manifest import Metric, digest_of, read_manifest
from production_server.run.opened_serving import opened_serving
from production_server.settings import Settings, read_settings
from testing.small_models import write_table_model

COMMIT = "1" * 40
SAMPLE = "a" * 64


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"STATE_DIR": str(tmp_path / "state"), "GATE_LATENCY": "1000"})


@pytest.fixture
def preparing(settings: Settings) -> Iterator[Preparing]:
    with opened_serving(settings) as serving:
        yield Preparing(settings, serving, COMMIT, lambda _line: None)


def measured(folder: Path, error_rate: float, *, sample: str = SAMPLE) -> Path:
    """A version with the report of its training."""
    report = Report(
        model="table",
        against=None,
        at=datetime.now(UTC),
        seconds=1.0,
        checks=(Check.judged(CheckName.LATENCY, passed=True, expected="e", found="measured elsewhere"),),
        measured=Measured(
            data="100 rows",
            sha256=sample,
            items=100,
            values={"error_rate": Metric(mean=error_rate, std=0.01)},
        ),
    )
    write_report(report, folder)
    manifest = read_manifest(folder)
    files = {name: digest_of(folder / name) for name in ("model.onnx", "report.json")}
    (folder / "manifest.json").write_text(manifest.model_copy(update={"files": files}).to_json())
    return folder


def into(tmp_path: Path) -> Path:
    (tmp_path / "draft").mkdir()
    return tmp_path / "draft/table"


def test_a_version_is_sealed_with_its_commit_and_a_report_of_this_gate(
    preparing: Preparing, tmp_path: Path
) -> None:
    pushed, target = measured(write_table_model(tmp_path, "table"), 0.1), into(tmp_path)

    delivered = preparing.prepare("table", pushed, target)

    manifest = read_manifest(target)
    assert (delivered.path, delivered.event, delivered.state) == ("table/model.onnx", 0, "ready")
    assert manifest.source is not None
    assert (manifest.source.commit, manifest.source.import_id) == (COMMIT, import_id(COMMIT, "table"))
    assert manifest.files == {name: digest_of(target / name) for name in ("model.onnx", "report.json")}
    report = Report.model_validate_json((target / "report.json").read_bytes())
    assert report.measured is not None
    latency = report.check(CheckName.LATENCY)
    assert latency is not None and latency.verdict == Verdict.NOT_DONE


@pytest.mark.parametrize(
    ("error_rate", "sample", "is_refused"),
    [(0.3, SAMPLE, True), (0.3, "b" * 64, False), (0.11, SAMPLE, False)],
)
def test_without_a_sample_what_training_has_measured_is_compared_where_it_was_the_same_items(
    preparing: Preparing,
    settings: Settings,
    tmp_path: Path,
    error_rate: float,
    sample: str,
    *,
    is_refused: bool,
) -> None:
    stable = measured(write_table_model(settings.model_stores[-1], "table"), 0.1)
    assert kept_report(preparing.serving.registry.version("table", stable.name)) is not None
    pushed = measured(write_table_model(tmp_path, "table", "2"), error_rate, sample=sample)

    if not is_refused:
        preparing.prepare("table", pushed, into(tmp_path))
        return
    with pytest.raises(GateClosed, match=r"error rate 0\.3 instead of 0\.1 on the same 100 items") as caught:
        preparing.prepare("table", pushed, into(tmp_path))
    assert [fault.field for fault in caught.value.faults] == ["metrics"]
