"""Saying which versions serve, on both databases: what is said counts, is told, and contradicts nothing."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from production_server.access.audit import Wanted as WantedLines
from production_server.access.audit import every_line
from production_server.access.records import Actor
from production_server.errors import (
    BrokenVersion,
    CeleriacError,
    Conflict,
    InvalidInput,
    NotFound,
    StoreNotWritable,
    Unavailable,
    VersionRetired,
)
from production_server.jobs.cancel import cancel
from production_server.jobs.database import Database, now
from production_server.jobs.records import NewItem, NewJob
from production_server.jobs.submit import submit
from production_server.jobs.tables import channel, channel_event, retired_version
from production_server.jobs.workers import beat
from production_server.learning.promotion import PromotionGate
from production_server.models.drafts import draft_version
from production_server.models.registry import Registry
from production_server.serving import serving as use_cases
from production_server.serving.known_standings import KnownStandings
from production_server.serving.promoting import Wanted
from production_server.serving.serving import Serving
from testing.model_buckets import new_bucket, publish, remote_store_at
from testing.s3 import S3
from testing.small_models import write_table_model

ANNA = Actor("anna", "cel_anna0000", "192.0.2.7", "r7")
BERT = Actor("bert", "cel_bert0000", "192.0.2.8", "r8")


def serving_of(database: Database, *stores: Path) -> Serving:
    known = KnownStandings(database)
    known.look_again()
    registry = Registry(stores, known=known.now, look_again_s=0)
    return Serving(database, registry, known, stores[-1], PromotionGate(margin=0.02))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three versions of `table`."""
    for version in ("1", "2", "3"):
        write_table_model(tmp_path / "store", version=version)
    return tmp_path / "store"


@pytest.fixture
def serving(database: Database, store: Path) -> Serving:
    return serving_of(database, store)


def promote(
    serving: Serving, version: str, channel: str = "stable", *, by: Actor = ANNA, **told: Any
) -> None:
    serving.promote(Wanted(model="table", version=version, channel=channel, **told), by=by)


def named(serving: Serving) -> dict[str, str]:
    return serving.registry.channels("table")


def told(serving: Serving) -> list[tuple[Any, ...]]:
    """The history, the first change first."""
    events = serving.overview.history("table", limit=100)
    return [(each.act, each.channel, each.before, each.after, each.client) for each in events[::-1]]


def lines(database: Database) -> list[tuple[Any, ...]]:
    return [
        (line.by.client, line.act, line.object, line.before, line.after)
        for line in every_line(database, WantedLines())
    ][::-1]


def settle(serving: Serving) -> None:
    """Let the time pass after which every process refuses work for what was retired."""
    with serving.database.write() as connection:
        connection.execute(update(retired_version).values(retired_at=now() - use_cases.SETTLED_S - 1))


def job(serving: Serving, version: str) -> Any:
    new = NewJob(model="table", version=version, items=[NewItem(b"[1,1]")], source="test", client="anna")
    return submit(serving.database, new)[0].id


def test_until_somebody_says_so_the_newest_version_is_stable_and_after_that_no_new_one_is(
    serving: Serving, store: Path
) -> None:
    before = named(serving)

    promote(serving, "3", reason="it is better")
    write_table_model(store, version="4")

    assert (before, named(serving)) == ({"stable": "3"}, {"stable": "3"})
    assert serving.registry.resolve("table").key == ("table", "3")
    assert serving.registry.resolve("table", "4").key == ("table", "4")


def test_a_change_is_in_the_history_and_in_the_audit_with_who_and_why(serving: Serving) -> None:
    promote(serving, "2", reason="a look at it")
    promote(serving, "1", "qa", by=BERT)

    assert told(serving) == [
        ("set", "stable", "3", "2", "anna"),
        ("set", "qa", None, "1", "bert"),
    ]
    assert serving.overview.history("table", limit=1, channel="stable")[0].reason == "a look at it"
    assert lines(serving.database) == [
        ("anna", "channel.set", "table/stable", {"version": "3"}, {"version": "2", "reason": "a look at it"}),
        ("bert", "channel.set", "table/qa", None, {"version": "1"}),
    ]
    (stable, qa) = serving.overview.channels("table")
    assert (stable.channel, stable.version, stable.set_by) == ("stable", "2", "anna")
    assert (qa.channel, qa.version, qa.set_by) == ("qa", "1", "bert")


def test_a_channel_may_be_promoted_to_another_one(serving: Serving) -> None:
    promote(serving, "1", "qa")

    promote(serving, "qa")

    assert named(serving) == {"stable": "1", "qa": "1"}


def test_saying_what_is_so_already_changes_nothing(serving: Serving) -> None:
    for _ in range(2):
        promote(serving, "3")

    assert told(serving) == [("set", "stable", "3", "3", "anna")]


@pytest.mark.parametrize("expected", ["2", ""])
def test_what_somebody_else_has_changed_meanwhile_is_not_overwritten(serving: Serving, expected: str) -> None:
    promote(serving, "1", by=BERT)

    with pytest.raises(Conflict, match="stable of 'table' names version 1 now") as refused:
        promote(serving, "3", expected=expected)

    assert refused.value.code == "channel_moved"
    assert named(serving) == {"stable": "1"}
    promote(serving, "3", expected="1")
    promote(serving, "2", "qa", expected="")
    assert named(serving) == {"stable": "3", "qa": "2"}


def test_what_is_stable_because_it_is_the_newest_may_be_expected(serving: Serving) -> None:
    promote(serving, "1", expected="3")

    assert named(serving) == {"stable": "1"}


def test_of_two_at_once_the_last_one_counts_and_both_are_told(serving: Serving) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(promote, serving, str(1 + number % 3)) for number in range(24)]
    for each in done:
        each.result()

    history = told(serving)
    assert [before for _, _, before, _, _ in history[1:]] == [after for _, _, _, after, _ in history[:-1]]
    assert named(serving)["stable"] == history[-1][3]


def test_of_two_at_once_that_expect_the_same_one_wins(serving: Serving) -> None:
    def attempt(version: str) -> str:
        try:
            promote(serving, version, expected="3")
        except Conflict as exc:
            return exc.code
        return "done"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(attempt, ["1", "2"])) == ["channel_moved", "done"]


def test_a_retired_version_takes_no_new_work_and_is_there_for_what_was_accepted(serving: Serving) -> None:
    serving.retire("table", "1", reason="it is old", by=ANNA)

    with pytest.raises(VersionRetired):
        serving.registry.resolve("table", "1")
    assert serving.registry.version("table", "1").key == ("table", "1")
    with pytest.raises(VersionRetired):
        promote(serving, "1")
    assert told(serving) == [("retired", None, "1", None, "anna")]
    assert lines(serving.database)[-1] == (
        "anna", "version.retired", "table/1", {"version": "1"}, {"reason": "it is old"},
    )  # fmt: skip
    serving.restore("table", "1", by=BERT)
    assert serving.registry.resolve("table", "1").key == ("table", "1")
    assert told(serving)[-1] == ("restored", None, None, "1", "bert")


def test_retiring_twice_is_told_once(serving: Serving) -> None:
    for _ in range(2):
        serving.retire("table", "1", by=ANNA)
    for _ in range(2):
        serving.restore("table", "1", by=ANNA)

    assert [each[0] for each in told(serving)] == ["retired", "restored"]


def test_a_version_on_a_channel_is_not_retired_and_the_channels_are_named(serving: Serving) -> None:
    with pytest.raises(Conflict, match="version 3 of 'table' is on stable: put another one there first"):
        serving.retire("table", "3", by=ANNA)
    promote(serving, "1", "qa")
    promote(serving, "1")

    with pytest.raises(Conflict, match="is on stable, qa") as refused:
        serving.retire("table", "1", by=ANNA)

    assert refused.value.code == "version_on_channel"
    serving.retire("table", "3", by=ANNA)
    assert serving.registry.retired("table") == {"3"}


def test_promoting_and_retiring_the_same_version_at_once_leaves_no_retired_version_on_a_channel(
    serving: Serving,
) -> None:
    for _ in range(5):
        promote(serving, "3")
        with ThreadPoolExecutor(2) as pool:
            both = [
                pool.submit(promote, serving, "1"),
                pool.submit(serving.retire, "table", "1", by=ANNA),
            ]
        failed = [each.exception() for each in both if each.exception()]

        assert len(failed) == 1 and isinstance(failed[0], CeleriacError), failed
        standing = serving.known.now()["table"]
        assert not set(standing.channels.values()) & standing.retired
        promote(serving, "3")
        serving.restore("table", "1", by=ANNA)


def test_a_channel_is_taken_away_but_for_stable(serving: Serving) -> None:
    promote(serving, "1", "qa")

    serving.remove_channel("table", "qa", by=BERT)

    assert named(serving) == {"stable": "3"}
    assert told(serving)[-1] == ("removed", "qa", "1", None, "bert")
    with pytest.raises(NotFound) as nothing:
        serving.remove_channel("table", "qa", by=BERT)
    with pytest.raises(InvalidInput):
        serving.remove_channel("table", "stable", by=BERT)
    assert nothing.value.code == "channel_not_found"


@pytest.mark.parametrize("name", ["", "3", "42-1", "Stable", "a b", "-a", "a/b", "x" * 33, "é"])
def test_what_no_channel_can_be_called_is_refused(serving: Serving, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        promote(serving, "1", name)

    assert refused.value.faults[0].field == "channel"
    assert told(serving) == []


@pytest.mark.parametrize("reason", ["a\nb", "\0", "x" * 501])
def test_a_reason_is_one_line(serving: Serving, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        promote(serving, "1", reason=reason)

    assert refused.value.faults[0].field == "reason"


def test_a_version_whose_files_are_damaged_is_not_promoted(serving: Serving, store: Path) -> None:
    (store / "table" / "1" / "model.onnx").write_bytes(b"")

    with pytest.raises(BrokenVersion):
        promote(serving, "1")

    assert named(serving) == {"stable": "3"}


def test_a_deleted_version_is_gone_and_its_number_is_not_given_again(serving: Serving, store: Path) -> None:
    promote(serving, "1")
    serving.retire("table", "3", by=ANNA)
    settle(serving)

    serving.delete("table", "3", reason="to make room", by=BERT)

    with pytest.raises(NotFound):
        serving.registry.version("table", "3")
    assert told(serving)[-1] == ("deleted", None, "3", None, "bert")
    with draft_version(store, "table") as draft:
        assert draft.version == "4"
    assert [path for path in store.rglob("*") if "3" in path.parts] == []
    with pytest.raises(NotFound):
        serving.delete("table", "3", by=BERT)


def test_what_serves_or_is_in_use_is_not_deleted(serving: Serving) -> None:
    def refused() -> str:
        with pytest.raises(Conflict) as caught:
            serving.delete("table", "1", by=ANNA)
        return caught.value.code

    open_job = job(serving, "1")
    codes = [refused()]
    serving.retire("table", "1", by=ANNA)
    codes.append(refused())
    cancel(serving.database, open_job, whose=None)
    codes.append(refused())
    settle(serving)
    serving.delete("table", "1", by=ANNA)

    assert codes == ["version_not_retired", "version_in_use", "version_in_use"]


def test_what_comes_with_the_release_is_not_deleted(database: Database, store: Path, tmp_path: Path) -> None:
    serving = serving_of(database, store, tmp_path / "own")
    serving.retire("table", "1", by=ANNA)
    settle(serving)

    with pytest.raises(Conflict) as refused:
        serving.delete("table", "1", by=ANNA)

    assert refused.value.code == "version_built_in"
    assert (store / "table" / "1").is_dir()


def test_a_deletion_that_cannot_be_written_down_leaves_the_version_as_it_was(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.retire("table", "1", by=ANNA)
    settle(serving)

    def fail(*_: object) -> None:
        raise Unavailable("the database has gone away")

    monkeypatch.setattr(use_cases, "tell", fail)
    with pytest.raises(Unavailable):
        serving.delete("table", "1", by=ANNA)

    version = serving.registry.version("table", "1")
    assert version.verified_file("model.onnx").is_file()


def test_a_deletion_that_died_in_the_middle_is_done_by_the_next_one(serving: Serving, store: Path) -> None:
    serving.retire("table", "1", by=ANNA)
    settle(serving)
    (store / "table" / "1").rename(store / "table" / ".removed-1")

    serving.delete("table", "1", by=ANNA)

    assert told(serving)[-1] == ("deleted", None, "1", None, "anna")
    assert list((store / "table" / ".removed-1").iterdir()) == []


def test_a_store_that_cannot_be_written_says_so_and_nothing_is_told(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.retire("table", "1", by=ANNA)
    settle(serving)

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StoreNotWritable, match="Read-only file system"):
        serving.delete("table", "1", by=ANNA)

    assert told(serving)[-1][0] == "retired"


def test_the_history_outlives_the_versions(serving: Serving, store: Path) -> None:
    promote(serving, "2")
    shutil.rmtree(store / "table")

    assert told(serving) == [("set", "stable", "3", "2", "anna")]
    with pytest.raises(NotFound):
        serving.overview.history("nothing", limit=1)


def test_a_long_history_comes_page_by_page(serving: Serving) -> None:
    for version in ("1", "2", "3"):
        promote(serving, version)

    first = serving.overview.history("table", limit=2)
    second = serving.overview.history("table", limit=2, before=first[-1].id)

    assert [each.after for each in (*first, *second)] == ["3", "2", "1"]


def test_a_channel_whose_version_is_not_here_is_no_other_version(serving: Serving, store: Path) -> None:
    promote(serving, "3")
    shutil.rmtree(store / "table" / "3")

    with pytest.raises(BrokenVersion, match="stable of model 'table' names version 3, which is not here"):
        serving.registry.resolve("table")
    assert serving.registry.shown("table").key == ("table", "2")
    assert serving.registry.stable_versions() == []


def test_versions_say_how_they_stand_the_newest_first(serving: Serving) -> None:
    promote(serving, "2")
    serving.retire("table", "1", by=ANNA)
    beat(serving.database, "w1", warm=["table/2"], items_done=0, failing={"table/3": "no"})

    found = serving.overview.versions("table")

    assert [(each.version.key[1], each.channels, each.is_retired) for each in found] == [
        ("3", (), False),
        ("2", ("stable",), False),
        ("1", (), True),
    ]
    assert [(each.loaded_by, each.failing) for each in found[:2]] == [((), {"w1": "no"}), (("w1",), {})]
    assert (
        found[0].size_bytes == sum(file.size_bytes for file in found[0].version.manifest.files.values()) > 0
    )


def test_another_process_knows_a_change_after_its_next_look(serving: Serving) -> None:
    other = KnownStandings(serving.database)
    other.look_again()

    promote(serving, "1")
    serving.retire("table", "3", by=ANNA)
    other.look_again()

    assert other.now() == serving.known.now() != {}


def test_while_the_database_is_away_what_was_known_stays_in_force(serving: Serving, tmp_path: Path) -> None:
    promote(serving, "1")
    away = Database(f"sqlite:////{tmp_path}/nowhere/db")
    known = replace_database(serving.known, away)

    with pytest.raises(Unavailable):
        known.look_again()

    assert known.now()["table"].channels == {"stable": "1"}


def test_before_the_database_has_answered_nobody_says_what_is_stable(store: Path, tmp_path: Path) -> None:
    known = KnownStandings(Database(f"sqlite:////{tmp_path}/nowhere/db"))
    registry = Registry([store], known=known.now)

    known.look_if_unknown()

    for which in (None, "1", "qa"):
        with pytest.raises(Unavailable, match="not known yet"):
            registry.resolve("table", which)
    assert registry.version("table", "1").key == ("table", "1")


def replace_database(known: KnownStandings, database: Database) -> KnownStandings:
    known._database = database
    return known


def test_what_is_stored_is_what_was_said(serving: Serving) -> None:
    promote(serving, "2", reason="for a look")
    serving.retire("table", "1", by=ANNA)

    with serving.database.read() as connection:
        (row,) = connection.execute(select(channel)).all()
        events = connection.execute(select(channel_event).order_by(channel_event.c.id)).all()
    assert (row.model, row.channel, row.version, row.set_by) == ("table", "stable", "2", "anna")
    assert [(each.act, each.reason, each.report) for each in events] == [
        ("set", "for a look", None),
        ("retired", "", None),
    ]


@pytest.fixture
def shared(database: Database, s3: S3, tmp_path: Path) -> Serving:
    """As `serving`, where `table` has two versions in a bucket."""
    remote, copy = remote_store_at(new_bucket(s3)), tmp_path / "copy"
    for _ in range(2):
        publish(remote, copy, tmp_path)
    return replace(serving_of(database, copy), remote=remote)


def test_a_version_is_deleted_from_the_bucket_as_well(shared: Serving) -> None:
    assert shared.remote is not None
    shared.retire("table", "1", by=ANNA)
    settle(shared)

    shared.delete("table", "1", by=ANNA)

    assert set(shared.remote.versions()) == {("table", "2")}
    with pytest.raises(NotFound):
        shared.registry.version("table", "1")


def test_a_deletion_that_cannot_be_written_down_leaves_the_version_in_the_bucket(
    shared: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shared.remote is not None
    shared.retire("table", "1", by=ANNA)
    settle(shared)

    def fail(*_: object) -> None:
        raise Unavailable("the database has gone away")

    monkeypatch.setattr(use_cases, "tell", fail)
    with pytest.raises(Unavailable):
        shared.delete("table", "1", by=ANNA)

    assert set(shared.remote.versions()) == {("table", "1"), ("table", "2")}
    assert shared.registry.version("table", "1").verified_file("model.onnx").is_file()


def test_while_the_bucket_is_away_nothing_is_deleted(shared: Serving, s3: S3) -> None:
    shared.retire("table", "1", by=ANNA)
    settle(shared)

    with s3.away(), pytest.raises(StoreNotWritable):
        shared.delete("table", "1", by=ANNA)

    assert shared.registry.version("table", "1").verified_file("model.onnx").is_file()
    assert told(shared)[-1][0] == "retired"
