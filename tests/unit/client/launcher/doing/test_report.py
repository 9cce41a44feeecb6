"""What a user sees while the launcher works."""

from __future__ import annotations

import pytest

from client.launcher.doing.report import Stage, TimedReport, live_report, minutes
from client.launcher.machine.advice import advice_for


def test_a_stage_is_told_once_however_often_it_is_reported() -> None:
    seconds = iter([0.0, 2.04, 3.0])
    shown: list[Stage] = []
    report = TimedReport(
        lambda: next(seconds), show=shown.append, note=lambda _text: None, warn=lambda _text: None
    )

    for stage in ("booting", "booting", "ready", "ready"):
        report.stage(stage)

    assert shown == [Stage("booting", 0.0), Stage("ready", 2.0)]


def test_without_a_terminal_each_stage_is_a_line_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    with live_report(lambda: 65.0, is_quiet=False) as report:
        report.note("image debian-12: the only one")
        report.stage("booting")

    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "note: image debian-12: the only one\n[1:05] booting\n")


def test_a_quiet_report_says_nothing_and_keeps_the_stages(capsys: pytest.CaptureFixture[str]) -> None:
    with live_report(lambda: 1.0, is_quiet=True) as report:
        report.note("a note")
        report.stage("booting")

    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")
    assert report.stages == [Stage("booting", 1.0)]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.9, "0:59"), (60, "1:00"), (3661, "61:01")])
def test_a_duration_is_minutes_and_seconds(seconds: float, text: str) -> None:
    assert minutes(seconds) == text


@pytest.mark.parametrize(
    ("failure", "word"),
    [
        ("No valid host was found. There are not enough hosts available.", "--flavor"),
        ("Exceeded maximum number of retries", "--network"),
        ("code: could not fetch", "--upload"),
        ("time is up", "--allow-from"),
        ("nobody has seen this before", "--keep"),
    ],
)
def test_a_failure_comes_with_something_to_try(failure: str, word: str) -> None:
    assert any(word in advice for advice in advice_for(failure))
