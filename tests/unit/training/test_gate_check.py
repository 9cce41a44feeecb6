"""A training's version passes the gate, against the newest one in its store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from production_server.errors import GateClosed
from production_server.learning.report import CheckName, read_report
from production_server.models.importing.sample import HeldOut
from production_server.training.gate_check import pass_gate
from production_server.training.progress import Reporter
from testing.small_models import write_table_model

STRICT: dict[str, Any] = {"threshold": {"value": 0.9, "reason": "a test"}}
"""The table model's answers are never so sure: with this all are "no"."""
HELD_OUT = HeldOut(
    {"features": np.array([[float(index), 5.0] for index in range(10)], np.float32)},
    ("no",) * 4 + ("yes",) * 6,
)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a busy machine says of times belongs into no test."""
    monkeypatch.setenv("GATE_LATENCY", "1000")


def test_the_first_version_passes_and_has_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draft = write_table_model(tmp_path / "draft")

    pass_gate(draft, tmp_path / "store", held_out=HELD_OUT, allowed=(), reporter=Reporter(is_quiet=False))

    report = read_report(draft)
    assert report is not None and report.has_passed and report.against is None
    assert "The gate" in capsys.readouterr().err


def test_one_that_is_worse_on_what_was_held_out_is_refused_unless_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1", "2"):
        write_table_model(tmp_path / "store", version=version)
    draft, quiet = write_table_model(tmp_path / "draft", version="3", **STRICT), Reporter(is_quiet=True)

    with pytest.raises(GateClosed, match=r"metrics: .* error rate 0\.6 instead of 0 on 10 items"):
        pass_gate(draft, tmp_path / "store", held_out=HELD_OUT, allowed=(), reporter=quiet)
    assert read_report(draft) is None

    pass_gate(draft, tmp_path / "store", held_out=HELD_OUT, allowed=[CheckName.METRICS], reporter=quiet)
    report = read_report(draft)
    assert report is not None and report.against == "2"

    monkeypatch.setenv("GATE_MARGIN", "0.7")
    pass_gate(draft, tmp_path / "store", held_out=HELD_OUT, allowed=(), reporter=quiet)
