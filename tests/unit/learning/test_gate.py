"""The gate: each check passes where it should, fails where it should, and stops no other one."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from production_server.errors import GateClosed, InferenceFailed, InvalidInput
from production_server.learning import gate as module
from production_server.learning import measuring
from production_server.learning.imports import gate_of
from production_server.learning.measuring import check_truths, times_of
from production_server.learning.probing import probe
from production_server.learning.report import (
    Check,
    CheckName,
    Report,
    Verdict,
    allowed_by,
    read_report,
    refuse_failed,
    write_report,
)
from production_server.models.importing.parity import inputs_for
from production_server.models.importing.sample import Images, Rows
from production_server.models.manifest import Manifest, digest_of, read_manifest
from production_server.models.store import ModelVersion
from production_server.models.tasks import task_of
from production_server.settings import Settings
from testing.small_models import (
    write_image_model,
    write_quantity_model,
    write_slow_model,
    write_table_model,
)

STRICT = {"threshold": {"value": 0.9, "reason": "a test"}}
"""The table model's answers are never so sure: with this all are "no"."""
ROWS = Rows(
    names=("index", "weight"),
    values=np.array([[float(index), 5.0] for index in range(10)]),
    target="outcome",
    truths=("no",) * 4 + ("yes",) * 6,
)


@pytest.fixture(autouse=True)
def same_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both take as long: what a busy machine says of that belongs into no test."""
    times = {f"{whose}_{which}": 0.001 for whose in ("candidate", "stable") for which in ("p50", "p99")}
    monkeypatch.setattr(measuring, "times_of", lambda *_: times)


def version_in(folder: Path) -> ModelVersion:
    manifest = read_manifest(folder)
    return ModelVersion(manifest, folder, task_of(manifest))


@pytest.fixture
def stable(tmp_path: Path) -> ModelVersion:
    return version_in(write_table_model(tmp_path / "stable"))


def candidate(tmp_path: Path, **changes: Any) -> ModelVersion:
    return version_in(write_table_model(tmp_path / "candidate", version="2", **changes))


def examine(
    version: ModelVersion,
    stable: ModelVersion | None,
    sample: Any = None,
    *,
    allowed: Collection[CheckName] = (),
    **settings: Any,
) -> tuple[Report, Mapping[CheckName, Check]]:
    report = gate_of(Settings(**settings), lambda _: None, allowed=allowed).examine(version, stable, sample)
    return report, {check.name: check for check in report.checks}


def verdicts(checks: Mapping[CheckName, Check]) -> dict[str, str]:
    return {name.value: check.verdict.value for name, check in checks.items()}


def test_a_first_version_is_held_against_nothing(tmp_path: Path) -> None:
    report, checks = examine(candidate(tmp_path), None, ROWS)

    assert report.has_passed and report.against is None
    assert report.measured is not None and report.measured.items == 10
    assert report.measured.data == "10 rows of the sample"
    assert verdicts(checks) == {
        "signature": "not done", "loads": "passed", "parity": "passed", "edges": "passed", "metrics": "not done",
        "latency": "not done", "memory": "not done",
    }  # fmt: skip


def test_one_that_is_as_good_passes_all(tmp_path: Path, stable: ModelVersion) -> None:
    report, checks = examine(candidate(tmp_path), stable, ROWS)

    assert report.has_passed and report.against == "1"
    assert set(verdicts(checks).values()) == {"passed"}
    assert checks[CheckName.METRICS].numbers["items"] == 10
    assert "error rate 0 instead of 0 on 10 items" in checks[CheckName.METRICS].found


def test_one_that_is_worse_fails_by_its_metrics_and_by_nothing_else(
    tmp_path: Path, stable: ModelVersion
) -> None:
    report, checks = examine(candidate(tmp_path, **STRICT), stable, ROWS)

    assert [check.name for check in report.failed] == [CheckName.METRICS]
    numbers = checks[CheckName.METRICS].numbers
    assert report.measured is not None
    (error,) = report.measured.values.values()
    assert error.mean == 0.6 and error.std == pytest.approx((0.6 * 0.4 / 9) ** 0.5)
    assert (report.measured.sha256, report.against_sha256) == (ROWS.sha256, stable.sha256)
    assert (numbers["candidate"], numbers["stable"]) == (0.6, 0.0)
    assert 0.2 <= numbers["low"] < 0.6 < numbers["high"] <= 1.0
    with pytest.raises(GateClosed, match=r"metrics: expected at most 0\.02 worse") as caught:
        refuse_failed(report)
    assert [fault.field for fault in caught.value.faults] == ["metrics"]


def test_what_somebody_allows_may_fail_and_is_told(tmp_path: Path, stable: ModelVersion) -> None:
    report, checks = examine(
        candidate(tmp_path, **STRICT), stable, ROWS, allowed=allowed_by(breaking=False, despite=["metrics"])
    )

    assert report.has_passed
    assert checks[CheckName.METRICS].verdict == Verdict.ALLOWED
    refuse_failed(report)


def test_a_margin_is_what_the_settings_say(tmp_path: Path, stable: ModelVersion) -> None:
    report, _ = examine(candidate(tmp_path, **STRICT), stable, ROWS, gate_margin=0.6)

    assert report.has_passed


def test_a_sample_without_truths_compares_nothing(tmp_path: Path, stable: ModelVersion) -> None:
    unlabelled = Rows(ROWS.names, ROWS.values, None, ())

    for sample in (None, unlabelled):
        _, checks = examine(candidate(tmp_path / str(id(sample))), stable, sample)
        assert checks[CheckName.METRICS].verdict == Verdict.NOT_DONE


def test_what_clients_would_see_change_is_named(tmp_path: Path, stable: ModelVersion) -> None:
    report, checks = examine(candidate(tmp_path, labels=["never", "always"]), stable, ROWS)

    assert [check.name for check in report.failed] == [CheckName.SIGNATURE]
    assert checks[CheckName.SIGNATURE].found == (
        "something else than version 1 has: labels (never, always instead of no, yes)"
    )
    assert checks[CheckName.METRICS].verdict == Verdict.NOT_DONE
    report, _ = examine(
        candidate(tmp_path / "again", labels=["never", "always"]),
        stable,
        allowed=allowed_by(breaking=True, despite=[]),
    )
    assert report.has_passed


def test_one_that_does_not_load_fails_by_that_and_nothing_more_is_asked(
    tmp_path: Path, stable: ModelVersion
) -> None:
    version = candidate(tmp_path)
    (version.folder / "model.onnx").write_bytes(b"damaged")

    report, checks = examine(version, stable, ROWS)

    assert [check.name for check in report.failed] == [CheckName.LOADS]
    assert "has SHA-256" in checks[CheckName.LOADS].found
    assert checks[CheckName.LATENCY].found == "it does not load"


def test_a_version_that_serves_and_does_not_load_keeps_no_other_out(
    tmp_path: Path, stable: ModelVersion
) -> None:
    (stable.folder / "model.onnx").write_bytes(b"damaged")

    report, checks = examine(candidate(tmp_path), stable, ROWS)

    assert report.has_passed
    assert checks[CheckName.MEMORY].found == "the version that serves does not load"


def test_answers_that_are_no_numbers_fail(tmp_path: Path, stable: ModelVersion) -> None:
    version = candidate(tmp_path)
    model = onnx.load(version.folder / "model.onnx")
    last = model.graph.node[-1]
    last.output[0] = "answered"
    model.graph.node.append(onnx.helper.make_node("Log", ["answered"], ["probabilities"]))
    onnx.save(model, version.folder / "model.onnx")
    with_digest(version.folder)

    report, checks = examine(version_in(version.folder), stable)

    assert [check.name for check in report.failed] == [CheckName.EDGES]
    assert "NaN or infinity" in checks[CheckName.EDGES].found


def with_digest(folder: Path) -> None:
    manifest = read_manifest(folder)
    files = {"model.onnx": digest_of(folder / "model.onnx")}
    changed: Manifest = manifest.model_copy(update={"files": files})
    (folder / "manifest.json").write_text(changed.to_json())


@pytest.mark.parametrize(
    ("mine", "passes", "looks"),
    [([0.0011], True, 1), ([0.0031], False, 3), ([0.0031, 0.0011], True, 2), ([0.5, 0.4, 0.0011], True, 3)],
)
def test_one_that_is_much_slower_fails_if_it_is_so_whenever_one_looks(
    tmp_path: Path,
    stable: ModelVersion,
    monkeypatch: pytest.MonkeyPatch,
    mine: list[float],
    passes: bool,
    looks: int,
) -> None:
    seen: list[float] = []

    def times_of(*_: Any) -> dict[str, float]:
        seen.append(mine[min(len(seen), len(mine) - 1)])
        p50 = seen[-1]
        return {"candidate_p50": p50, "stable_p50": 0.001, "candidate_p99": p50, "stable_p99": 0.001}

    monkeypatch.setattr(measuring, "times_of", times_of)

    report, checks = examine(candidate(tmp_path), stable)

    assert report.has_passed is passes
    assert len(seen) == looks
    assert "p50 " in checks[CheckName.LATENCY].found


def test_calls_of_both_are_timed_in_turns(tmp_path: Path, stable: ModelVersion) -> None:
    slow = version_in(write_slow_model(tmp_path / "slow", turns=2000))
    gate = gate_of(Settings(), lambda _: None)
    with (
        probe(gate.program(slow), slow, tmp_path) as mine,
        probe(gate.program(stable), stable, tmp_path) as its,
    ):
        times = times_of(
            (mine, inputs_for(slow.manifest, None).tensors), (its, inputs_for(stable.manifest, ROWS).tensors)
        )

    assert times["candidate_p50"] > times["stable_p50"] > 0
    assert times["candidate_p99"] >= times["candidate_p50"]


def test_a_probe_goes_on_after_an_item_that_fails(tmp_path: Path, stable: ModelVersion) -> None:
    gate = gate_of(Settings(), lambda _: None)
    with probe(gate.program(stable), stable, tmp_path) as its:
        with pytest.raises(InferenceFailed):
            its.run({"features": np.array([[99, 1]], np.float32)})

        answered = its.run({"features": np.array([[2, 1]], np.float32)})["probabilities"]

    assert answered.tolist()[0][1] == pytest.approx(0.1)


def test_one_that_needs_much_more_memory_fails(
    tmp_path: Path, stable: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = candidate(tmp_path)
    model = onnx.load(large.folder / "model.onnx")
    weights = np.random.default_rng(1).random((4_000_000,), np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "weights"))
    last = model.graph.node[-1]
    last.output[0] = "answered"
    model.graph.node.append(onnx.helper.make_node("ReduceMin", ["weights"], ["least"], keepdims=0))
    model.graph.node.append(onnx.helper.make_node("Min", ["least", "least"], ["zero_or_so"]))
    model.graph.node.append(onnx.helper.make_node("Sub", ["zero_or_so", "zero_or_so"], ["nothing"]))
    model.graph.node.append(onnx.helper.make_node("Add", ["answered", "nothing"], ["probabilities"]))
    onnx.save(model, large.folder / "model.onnx")
    with_digest(large.folder)
    monkeypatch.setattr(module, "MEMORY_SLACK_BYTES", 0)

    report, checks = examine(version_in(large.folder), stable, gate_memory=1.2)

    assert [check.name for check in report.failed] == [CheckName.MEMORY]
    numbers = checks[CheckName.MEMORY].numbers
    assert numbers["candidate_bytes"] > numbers["stable_bytes"] + 8e6


def test_images_are_compared_by_their_folders(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    files = []
    for label, grey in (("dark", 10), ("bright", 250)):
        (folder / label).mkdir(parents=True)
        for number in range(3):
            file = folder / label / f"{number}.png"
            file.write_bytes(grey_png(grey))
            files.append(file)
    sample = Images(("bright", "dark"), tuple(files), ("dark",) * 3 + ("bright",) * 3)
    stable = version_in(write_image_model(tmp_path / "stable"))
    inverted = {"mode": "L", "width": 4, "height": 4, "scale": -1 / 255, "offset": 1}
    worse = version_in(write_image_model(tmp_path / "worse", image=inverted))

    _, checks = examine(worse, stable, sample)

    numbers = checks[CheckName.METRICS].numbers
    assert (numbers["candidate"], numbers["stable"], numbers["items"]) == (1.0, 0.0, 6)


def grey_png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (4, 4), value).save(file, "PNG")
    return file.getvalue()


def test_a_report_is_kept_with_the_version_and_read_again(tmp_path: Path, stable: ModelVersion) -> None:
    report, _ = examine(candidate(tmp_path), stable, ROWS)

    write_report(report, tmp_path)

    assert read_report(tmp_path) == report
    lines = list(report.lines())
    assert lines[0].startswith("The gate against 1, ") and len(lines) == 9
    (tmp_path / "report.json").write_text("{}")
    assert read_report(tmp_path) is None and read_report(tmp_path / "none") is None


def test_what_may_never_fail_cannot_be_allowed() -> None:
    with pytest.raises(InvalidInput, match='despite: expected any of latency, memory, metrics, got "loads"'):
        allowed_by(breaking=False, despite=["loads"])


def test_values_may_be_worse_by_a_share_of_the_mean_error(tmp_path: Path) -> None:
    """The model multiplies, and what is true is one more: both versions are wrong by one, or by what is changed."""
    stable = version_in(write_quantity_model(tmp_path / "stable"))
    sample = Rows(
        ("length", "width"), np.array([[2.0, number] for number in (1, 2, 3)]), "area", ("3", "5", "7")
    )
    same, worse = (version_in(write_quantity_model(tmp_path / name)) for name in ("same", "worse"))
    twice = onnx.load(worse.folder / "model.onnx")
    last = twice.graph.node[-1]
    answer = last.output[0]
    last.output[0] = "once"
    twice.graph.node.append(onnx.helper.make_node("Add", ["once", "once"], [answer]))
    onnx.save(twice, worse.folder / "model.onnx")
    with_digest(worse.folder)

    _, fine = examine(same, stable, sample)
    report, checks = examine(version_in(worse.folder), stable, sample)

    assert fine[CheckName.METRICS].numbers["margin"] == pytest.approx(0.02)
    assert fine[CheckName.METRICS].verdict == Verdict.PASSED
    assert [check.name for check in report.failed] == [CheckName.METRICS]
    assert "mean absolute error 3 instead of 1 on 3 items" in checks[CheckName.METRICS].found


@pytest.mark.parametrize(
    ("truths", "told"),
    [
        (("no", "perhaps", *["yes"] * 8), 'target, item 2 of the sample: expected .*"perhaps"'),
        (("",) * 10, "target: expected what is true of at least one item"),
    ],
)
def test_truths_that_the_model_has_no_word_for_are_refused_and_not_left_out(
    stable: ModelVersion, truths: tuple[str, ...], told: str
) -> None:
    check_truths(stable, ROWS)
    check_truths(stable, Rows(ROWS.names, ROWS.values, "outcome", ("no", "", *["1"] * 8)))

    with pytest.raises(InvalidInput, match=told):
        check_truths(stable, Rows(ROWS.names, ROWS.values, "outcome", truths))


def test_a_store_may_be_named_from_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stable, mine = (version_in(write_table_model(Path(name))) for name in ("stable", "candidate"))

    report, _ = examine(mine, stable, ROWS)

    assert {check.verdict for check in report.checks} == {Verdict.PASSED}
