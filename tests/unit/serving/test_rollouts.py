"""Rollouts, on both databases: a channel moves when every worker has loaded what it is to name, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from production_server.access.audit import Wanted as WantedLines
from production_server.access.audit import every_line
from production_server.access.records import Actor
from production_server.errors import (
    BrokenVersion,
    Conflict,
    GateClosed,
    InvalidInput,
    NotFound,
    VersionRetired,
)
from production_server.jobs.database import Database, now
from production_server.jobs.rollouts import Rollout
from production_server.jobs.tables import rollout
from production_server.jobs.workers import beat, leave
from production_server.learning.promotion import PromotionGate
from production_server.learning.report import CheckName
from production_server.models.registry import Registry
from production_server.serving.known_standings import KnownStandings
from production_server.serving.promoting import Wanted
from production_server.serving.rollouts import LONGEST_LOAD_S, checked
from production_server.serving.serving import Serving
from testing.fake_workers import has_loaded
from testing.small_models import write_table_model

ANNA = Actor("anna", "cel_anna0000", "192.0.2.7", "r7")
BERT = Actor("bert", "cel_bert0000", "192.0.2.8", "r8")


@pytest.fixture
def serving(database: Database, tmp_path: Path) -> Serving:
    """Three versions of `table`, of which the first is stable, in a service that has no workers yet."""
    for version in ("1", "2", "3"):
        write_table_model(tmp_path, version=version)
    known = KnownStandings(database)
    known.look_again()
    serving = Serving(
        database,
        Registry([tmp_path], known=known.now, look_again_s=0),
        known,
        tmp_path,
        PromotionGate(margin=0.05),
    )
    promote(serving, "1")
    return serving


def promote(
    serving: Serving, version: str, channel: str = "stable", *, by: Actor = ANNA, **told: Any
) -> Rollout:
    begun = serving.promote(Wanted(model="table", version=version, channel=channel, **told), by=by).rollout
    assert begun is not None
    return begun


def worker(serving: Serving, name: str, *versions: str, failing: dict[str, str] | None = None) -> None:
    """A heartbeat: it has loaded these, and could not load those."""
    has_loaded(
        serving.database,
        name,
        *(f"table/{version}" for version in versions),
        failing={f"table/{version}": why for version, why in (failing or {}).items()},
    )


def moved_on(serving: Serving, begun: Rollout) -> Rollout:
    serving.rollouts.move_on()
    return serving.overview.rollout("table", begun.id)


def named(serving: Serving) -> dict[str, str]:
    serving.known.look_again()
    return serving.registry.channels("table")


def history(serving: Serving) -> list[tuple[Any, ...]]:
    """The first change first, without the one of the fixture."""
    events = serving.overview.history("table", limit=100)
    return [(each.act, each.before, each.after, each.client, each.reason) for each in events[-2::-1]]


def test_a_channel_moves_when_the_last_worker_has_loaded_the_version(serving: Serving) -> None:
    worker(serving, "w1", "1")
    worker(serving, "w2", "1")

    begun = promote(serving, "2", reason="it is better")
    worker(serving, "w1", "1", "2")
    half = moved_on(serving, begun)
    before, waits_for = named(serving), serving.rollouts.waits_for(half)
    worker(serving, "w2", "1", "2")
    done = moved_on(serving, begun)

    assert (begun.state, half.state, done.state) == ("loading", "loading", "live")
    assert (before, waits_for, named(serving)) == ({"stable": "1"}, ["w2"], {"stable": "2"})
    assert history(serving) == [("set", "1", "2", "anna", "it is better")]
    line = next(every_line(serving.database, WantedLines()))
    assert (line.by, line.act, line.after) == (
        ANNA,
        "channel.set",
        {"version": "2", "reason": "it is better"},
    )


def test_workers_know_what_is_coming_before_anybody_gets_it(serving: Serving) -> None:
    worker(serving, "w1", "1")

    promote(serving, "2")

    assert [each.key[1] for each in serving.registry.wanted_versions()] == ["1", "2"]
    assert serving.registry.resolve("table").key[1] == "1"


def test_a_worker_that_dies_or_leaves_is_not_waited_for(serving: Serving) -> None:
    worker(serving, "w1")
    worker(serving, "w2")
    begun = promote(serving, "2")
    worker(serving, "w1", "2")

    leave(serving.database, "w2")

    assert moved_on(serving, begun).state == "live"


def test_a_version_that_a_worker_cannot_load_is_refused_and_what_served_serves_on(serving: Serving) -> None:
    worker(serving, "w1", "1", "2")
    worker(serving, "w2", "1")
    begun = promote(serving, "2")

    worker(serving, "w2", "1", failing={"2": "it needs TensorFlow"})
    found = moved_on(serving, begun)

    with pytest.raises(Conflict, match="w2 cannot load it: it needs TensorFlow") as refused:
        checked(found)
    assert refused.value.code == "version_does_not_load"
    assert (found.state, named(serving)) == ("refused", {"stable": "1"})
    assert history(serving) == [("refused", "1", "2", "anna", "w2 cannot load it: it needs TensorFlow")]
    assert [each.key[1] for each in serving.registry.wanted_versions()] == ["1"]


def test_what_a_worker_could_not_load_before_is_refused_at_once(serving: Serving) -> None:
    worker(serving, "w1", "1", failing={"2": "it needs TensorFlow"})

    with pytest.raises(Conflict, match="w1 cannot load it"):
        promote(serving, "2", "qa")

    assert serving.overview.rollouts("table", limit=10)[0].version == "1"
    assert history(serving) == []


def test_nobody_is_waited_for_without_end(serving: Serving) -> None:
    worker(serving, "w1", "1")
    begun = promote(serving, "2")
    with serving.database.write() as connection:
        connection.execute(update(rollout).values(began_at=now() - LONGEST_LOAD_S - 1))

    found = moved_on(serving, begun)

    assert (found.state, found.told) == ("refused", "w1 had not loaded it after 300 s")


def test_nobody_waits_without_end_for_what_no_worker_tries(serving: Serving) -> None:
    worker(serving, "w1", "1")
    begun = promote(serving, "2")
    beat(serving.database, "w1", warm=["table/1", "table/2"], items_done=0, failing={})
    before = moved_on(serving, begun)
    with serving.database.write() as connection:
        connection.execute(update(rollout).values(began_at=now() - LONGEST_LOAD_S - 1))

    found = moved_on(serving, begun)

    assert (before.state, found.state) == ("loading", "refused")
    assert found.told == "no worker had tried it on items of before after 300 s"


def test_what_workers_load_meanwhile_overtakes_nobody(serving: Serving, tmp_path: Path) -> None:
    """Of a model about which nobody has said anything the newest that they have loaded is stable."""
    write_table_model(tmp_path, name="other", version="1")
    write_table_model(tmp_path, name="other", version="2")
    has_loaded(serving.database, "w1", "other/1")
    serving.known.look_again()
    begun = serving.promote(Wanted(model="other", version="1"), by=ANNA).rollout
    assert begun is not None
    assert (begun.before, begun.state) == ("1", "loading")

    has_loaded(serving.database, "w1", "other/1", "other/2")
    serving.rollouts.move_on()

    serving.known.look_again()
    assert serving.overview.rollout("other", begun.id).state == "live"
    assert serving.registry.channels("other") == {"stable": "1"}
    assert [(each.before, each.after) for each in serving.overview.history("other", limit=9)] == [("2", "1")]


def test_of_two_promotions_of_a_channel_the_later_one_counts(serving: Serving) -> None:
    worker(serving, "w1", "1")
    first = promote(serving, "2")
    second = promote(serving, "3", by=BERT)
    beside = promote(serving, "2", "qa")

    worker(serving, "w1", "1", "2", "3")
    found = [moved_on(serving, each).state for each in (first, second, beside)]

    assert found == ["overtaken", "live", "live"]
    assert named(serving) == {"stable": "3", "qa": "2"}
    with pytest.raises(Conflict, match="version 3 was promoted after it") as overtaken:
        checked(serving.overview.rollout("table", first.id))
    assert overtaken.value.code == "channel_moved"


def test_a_version_that_is_retired_while_workers_load_it_does_not_serve(serving: Serving) -> None:
    worker(serving, "w1", "1")
    begun = promote(serving, "2")
    serving.retire("table", "2", by=BERT)

    worker(serving, "w1", "1", "2")

    assert moved_on(serving, begun).told == "version 2 was retired meanwhile"
    assert named(serving) == {"stable": "1"}


def test_who_waits_is_told_for_whom_and_may_be_kept_from_waiting(serving: Serving) -> None:
    worker(serving, "w1", "1")
    begun = promote(serving, "2")
    said: list[list[str]] = []

    def load(_: float) -> bool:
        worker(serving, "w1", "1", "2")
        return True

    given_up = serving.rollouts.wait(begun.id, seconds=60, pause=lambda _: False)
    at_once = serving.rollouts.wait(begun.id, seconds=0)
    found = serving.rollouts.wait(begun.id, seconds=60, pause=load, say=said.append)

    assert (given_up.state, at_once.state, found.state, said) == ("loading", "loading", "live", [["w1"]])


def test_a_rollout_is_told_of_its_own_model_alone(serving: Serving) -> None:
    begun = promote(serving, "2")

    with pytest.raises(NotFound) as missing:
        serving.overview.rollout("another", begun.id)

    assert missing.value.code == "rollout_not_found"


def test_going_back_is_exact_and_asks_no_worker(serving: Serving) -> None:
    promote(serving, "2")
    promote(serving, "3")
    worker(serving, "w2", "3")

    found = [serving.roll_back("table", reason="nonsense", by=BERT) for _ in range(2)]

    assert (found, named(serving)) == (["2", "1"], {"stable": "1"})
    assert history(serving)[-1] == ("rolled_back", "2", "1", "bert", "nonsense")
    assert next(every_line(serving.database, WantedLines())).act == "channel.rolled_back"


def test_going_back_goes_to_what_served_and_not_to_what_was_gone_back_from(serving: Serving) -> None:
    promote(serving, "2")
    serving.roll_back("table", by=ANNA)
    promote(serving, "3")

    assert serving.overview.earlier("table") == {"stable": "1"}
    assert serving.roll_back("table", by=ANNA) == "1"


def test_where_nothing_served_before_there_is_no_way_back(serving: Serving) -> None:
    promote(serving, "2", "qa")

    with pytest.raises(Conflict, match="qa of 'table' named no other version before 2") as refused:
        serving.roll_back("table", "qa", by=ANNA)
    with pytest.raises(NotFound):
        serving.roll_back("table", "nowhere", by=ANNA)

    assert refused.value.code == "nothing_before"


def test_before_the_first_promotion_the_newest_version_served(serving: Serving) -> None:
    assert serving.roll_back("table", by=ANNA) == "3"


def test_nobody_goes_back_to_a_retired_version_or_from_another_one_than_he_saw(serving: Serving) -> None:
    promote(serving, "2")
    with pytest.raises(Conflict) as moved:
        serving.roll_back("table", expected="3", by=ANNA)
    serving.retire("table", "1", by=ANNA)

    with pytest.raises(VersionRetired):
        serving.roll_back("table", expected="2", by=ANNA)

    assert (moved.value.code, named(serving)) == ("channel_moved", {"stable": "2"})


def test_going_back_ends_what_is_on_its_way(serving: Serving) -> None:
    promote(serving, "2")
    worker(serving, "w1", "1", "2")
    begun = promote(serving, "3")

    serving.roll_back("table", by=BERT)
    worker(serving, "w1", "1", "2", "3")

    assert moved_on(serving, begun).told == "stable went back to version 1"
    assert named(serving) == {"stable": "1"}


def test_a_model_that_was_taken_away_keeps_no_other_from_moving_on(serving: Serving, tmp_path: Path) -> None:
    write_table_model(tmp_path, name="gone")
    write_table_model(tmp_path, name="gone", version="2")
    worker(serving, "w1", "1")
    serving.promote(Wanted(model="gone", version="1"), by=ANNA)
    begun = promote(serving, "2")
    (tmp_path / "gone").rename(tmp_path / ".gone")

    has_loaded(serving.database, "w1", "table/2", "gone/1")

    assert moved_on(serving, begun).state == "live"


def test_a_canary_has_a_share_that_can_be_changed_and_is_told(serving: Serving) -> None:
    promote(serving, "2", "canary", percent=5)
    promote(serving, "2", "canary", percent=5)
    promote(serving, "2", "canary", percent=20)

    events = serving.overview.history("table", channel="canary", limit=10)
    assert [each.percent for each in events] == [20, 5]
    assert serving.overview.channel("table", "canary").percent == 20
    line = next(every_line(serving.database, WantedLines()))
    assert line.after == {"version": "2", "percent": 20}


@pytest.mark.parametrize(("channel", "percent"), [("stable", 5), ("qa", 5), ("canary", 0), ("canary", 96)])
def test_only_a_canary_has_a_share_and_it_is_one(serving: Serving, channel: str, percent: float) -> None:
    with pytest.raises(InvalidInput) as refused:
        promote(serving, "2", channel, percent=percent)

    assert refused.value.faults[0].field == "percent"


def test_a_canary_that_becomes_stable_is_none_any_more(serving: Serving) -> None:
    promote(serving, "2", "canary", percent=5)

    promote(serving, "canary")
    serving.roll_back("table", by=BERT)

    assert named(serving) == {"stable": "1"}
    assert [each[0] for each in history(serving)] == ["set", "set", "removed", "rolled_back"]


def test_the_share_goes_to_the_canary_and_the_same_text_to_the_same_version(serving: Serving) -> None:
    promote(serving, "2", "canary", percent=30)
    registry = serving.registry

    drawn = [registry.draw("table").key[1] for _ in range(2000)]
    sticky = {text: registry.draw("table", sticky=text).key[1] for text in map(str, range(2000))}

    # Four standard deviations of a share of 30 % among 2,000 are 82.
    assert 518 < drawn.count("2") < 682
    assert 518 < list(sticky.values()).count("2") < 682
    assert {text: registry.draw("table", sticky=text).key[1] for text in sticky} == sticky
    assert {registry.draw("table", "stable").key[1] for _ in range(100)} == {"1"}
    assert {registry.resolve("table").key[1] for _ in range(100)} == {"1"}


def test_without_a_share_only_who_asks_for_the_canary_gets_it(serving: Serving) -> None:
    promote(serving, "2", "canary")

    assert {serving.registry.draw("table").key[1] for _ in range(100)} == {"1"}
    assert serving.registry.draw("table", "canary").key[1] == "2"


def test_a_canary_that_is_not_here_gets_nothing(serving: Serving, tmp_path: Path) -> None:
    promote(serving, "2", "canary", percent=95)

    (tmp_path / "table" / "2").rename(tmp_path / ".away")

    assert {serving.registry.draw("table").key[1] for _ in range(100)} == {"1"}


def test_a_canary_passes_the_gate_and_may_not_take_or_answer_anything_else(
    serving: Serving, tmp_path: Path
) -> None:
    write_table_model(tmp_path, version="4", labels=["no", "maybe"])

    with pytest.raises(GateClosed, match="something else than version 1 has: labels"):
        promote(serving, "4", "canary", percent=5, allowed=(CheckName.SIGNATURE,))
    promote(serving, "4", "canary")

    assert {serving.registry.draw("table").key[1] for _ in range(100)} == {"1"}


def test_a_canary_is_another_one_than_what_is_stable(serving: Serving) -> None:
    with pytest.raises(InvalidInput) as refused:
        promote(serving, "1", "canary", percent=5)

    assert refused.value.faults[0].field == "version"


def test_any_change_of_stable_ends_the_canary(serving: Serving) -> None:
    promote(serving, "2", "canary", percent=5)
    promote(serving, "3")
    promoted = named(serving)
    promote(serving, "2", "canary", percent=5)
    serving.roll_back("table", by=BERT)

    assert (promoted, named(serving)) == ({"stable": "3"}, {"stable": "1"})
    assert serving.overview.history("table", limit=1)[0].reason == "stable went back to version 1"


def test_nobody_goes_back_to_a_version_whose_files_are_damaged(serving: Serving, tmp_path: Path) -> None:
    promote(serving, "2")
    with (tmp_path / "table" / "1" / "model.onnx").open("ab") as file:
        file.write(b"x")

    with pytest.raises(BrokenVersion):
        serving.roll_back("table", by=ANNA)

    assert named(serving) == {"stable": "2"}
