"""Promoting to `stable` passes the gate, once, unless it only goes back; what is overridden is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from production_server.errors import Conflict, GateClosed
from production_server.jobs.database import Database
from production_server.learning.promotion import PromotionGate
from production_server.learning.report import CheckName, Report
from production_server.models.store import ModelVersion
from production_server.serving.promoting import Promoted, Promoting, Wanted
from production_server.serving.serving import Serving
from testing.small_models import write_table_model
from tests.unit.serving.test_serving import ANNA, BERT, lines, serving_of


@pytest.fixture
def serving(database: Database, tmp_path: Path) -> Serving:
    """Three versions of `table`, of which the first one has another label; nobody has promoted any."""
    for version, label in (("1", "maybe"), ("2", "yes"), ("3", "yes")):
        write_table_model(tmp_path / "store", version=version, labels=["no", label])
    return serving_of(database, tmp_path / "store")


def promote(serving: Serving, version: str, channel: str = "stable", **told: Any) -> Promoted:
    return serving.promote(Wanted(model="table", version=version, channel=channel, **told), by=ANNA)


BREAKING = (CheckName.SIGNATURE,)


def test_what_clients_would_stumble_over_does_not_become_stable_in_silence(serving: Serving) -> None:
    with pytest.raises(GateClosed, match="something else than version 3 has: labels") as refused:
        promote(serving, "1")

    assert [fault.field for fault in refused.value.faults] == ["signature"]
    assert serving.registry.channels("table") == {"stable": "3"}
    assert serving.overview.history("table", limit=1) == []


def test_what_is_overridden_is_told_in_the_history_and_in_the_audit(serving: Serving) -> None:
    done = promote(serving, "1", allowed=BREAKING, reason="clients know")

    (event,) = serving.overview.history("table", limit=2)
    assert (event.overridden, event.client, event.reason) == (["signature"], "anna", "clients know")
    assert lines(serving.database)[-1][-1] == {
        "version": "1", "reason": "clients know", "despite": "signature",
    }  # fmt: skip
    assert done.rollout is not None and (done.rollout.version, done.rollout.state) == ("1", "live")
    assert done.report is not None and done.report.overridden == BREAKING


def test_saying_that_something_may_fail_that_does_not_is_told_nowhere(serving: Serving) -> None:
    promote(serving, "2", allowed=tuple(CheckName))

    (event,) = serving.overview.history("table", limit=2)
    assert event.overridden == []
    assert lines(serving.database)[-1][-1] == {"version": "2"}


def test_going_back_to_what_was_stable_passes_no_gate(serving: Serving) -> None:
    promote(serving, "1", allowed=BREAKING)

    back = promote(serving, "3")
    again = promote(serving, "1")

    assert (back.report, again.report) == (None, None)
    assert serving.registry.channels("table") == {"stable": "1"}


def test_other_channels_are_for_trying_and_pass_no_gate(serving: Serving) -> None:
    assert promote(serving, "1", "qa").report is None
    with pytest.raises(GateClosed):
        promote(serving, "qa")


def test_what_is_stable_already_may_be_promoted(serving: Serving) -> None:
    assert promote(serving, "3").report is None


def test_a_dry_run_says_what_would_be_and_changes_nothing(serving: Serving) -> None:
    fine = promote(serving, "2", dry_run=True)
    new = promote(serving, "1", "qa", dry_run=True)
    with pytest.raises(GateClosed):
        promote(serving, "1", dry_run=True)
    with pytest.raises(Conflict):
        promote(serving, "2", dry_run=True, expected="1")

    assert fine.report is not None and fine.report.has_passed
    assert fine.rollout is None
    assert new == Promoted(None, None)
    assert serving.overview.history("table", limit=1) == []
    assert serving.registry.channels("table") == {"stable": "3"}


def test_what_stands_in_the_way_is_known_before_anybody_promotes(serving: Serving) -> None:
    serving.retire("table", "2", by=ANNA)

    held = serving.promoting.held("table")

    assert {number: [check.name for check in report.failed] for number, report in held.items()} == {
        "1": [CheckName.SIGNATURE]
    }
    promote(serving, "1", allowed=BREAKING)
    assert serving.promoting.held("table") == {}


def test_where_what_is_stable_is_not_here_another_one_may_be(serving: Serving, tmp_path: Path) -> None:
    promote(serving, "3")
    (tmp_path / "store" / "table" / "3").rename(tmp_path / "gone")

    done = promote(serving, "1")

    assert done.report is not None and done.report.against is None
    assert serving.registry.channels("table") == {"stable": "1"}


@dataclass(frozen=True, kw_only=True)
class Mover(PromotionGate):
    """Somebody else promotes while a version is held against what serves."""

    meanwhile: list[Callable[[], object]]
    seen: list[str] = field(default_factory=list)

    def hold(self, candidate: ModelVersion, stable: ModelVersion | None) -> Report:
        self.seen.append("none" if stable is None else stable.key[1])
        if self.meanwhile:
            self.meanwhile.pop()()
        return super().hold(candidate, stable)


def test_what_others_make_stable_meanwhile_is_what_it_is_held_against(serving: Serving) -> None:
    gate = Mover(margin=0.02, meanwhile=[lambda: promote(serving, "1", allowed=BREAKING)])
    racing = Promoting(serving.database, serving.registry, serving.known, gate)

    with pytest.raises(GateClosed, match="something else than version 1 has: labels"):
        racing.promote(Wanted(model="table", version="2"), by=BERT)

    assert gate.seen == ["3", "1"]
    assert serving.registry.channels("table") == {"stable": "1"}


def test_where_others_never_stop_promoting_it_is_given_up(serving: Serving) -> None:
    def move() -> None:
        now = serving.registry.channels("table")["stable"]
        promote(serving, "1" if now == "3" else "3", allowed=BREAKING)

    gate = Mover(margin=0.02, meanwhile=[move] * 100)
    racing = Promoting(serving.database, serving.registry, serving.known, gate)

    with pytest.raises(Conflict) as refused:
        racing.promote(Wanted(model="table", version="2", allowed=BREAKING), by=BERT)

    assert refused.value.code == "channel_moved"
    assert 1 < len(gate.seen) < 100
