from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from production_server.errors import NotFound
from production_server.models.channels import Standing
from production_server.models.registry import LOOK_AGAIN_S, Registry
from production_server.models.store import ModelVersion, Store
from testing.processes import wait_until
from testing.small_models import write_image_model, write_table_model

NEVER_S = 1e9


def number_of(registry: Registry, which: str | None = None) -> str:
    return registry.resolve("table", which).manifest.version


def test_the_newest_version_is_the_stable_one_by_number_not_by_text(tmp_path: Path) -> None:
    for version in ("2", "10", "9"):
        write_table_model(tmp_path, version=version)
    registry = Registry([tmp_path])

    assert [each.manifest.version for each in registry.versions("table")] == ["2", "9", "10"]
    assert (number_of(registry), number_of(registry, "stable"), number_of(registry, "9")) == (
        "10",
        "10",
        "9",
    )
    assert registry.channels("table") == {"stable": "10"}
    assert [each.key for each in registry.stable_versions()] == [("table", "10")]


def test_unknown_models_versions_and_channels_are_not_found_and_the_known_ones_named(
    small_registry: Registry,
) -> None:
    with pytest.raises(NotFound, match="known models: picture, shades, table") as model:
        small_registry.resolve("../../etc")
    with pytest.raises(NotFound, match="has no version '7'; it has 1") as version:
        small_registry.resolve("table", "7")
    with pytest.raises(NotFound, match="has no version or channel 'canary'; it has 1, stable") as channel:
        small_registry.resolve("table", "canary")

    assert [each.value.code for each in (model, version, channel)] == [
        "model_not_found",
        "version_not_found",
        "version_not_found",
    ]


def test_a_new_version_is_stable_within_the_time_and_without_a_restart(tmp_path: Path) -> None:
    write_table_model(tmp_path)
    registry = Registry([tmp_path])
    assert number_of(registry) == "1"

    write_table_model(tmp_path, version="2")

    wait_until(
        lambda: number_of(registry) == "2", what="the new version is stable", timeout_s=10 + LOOK_AGAIN_S
    )


def test_a_version_that_was_taken_away_is_not_found_within_the_time(tmp_path: Path) -> None:
    write_table_model(tmp_path)
    shutil.copytree(write_table_model(tmp_path, version="2"), tmp_path / "aside")
    registry = Registry([tmp_path])
    taken = registry.resolve("table", "2")

    shutil.rmtree(taken.folder)

    wait_until(lambda: not registry.has(taken), what="the version is gone", timeout_s=10 + LOOK_AGAIN_S)
    with pytest.raises(NotFound):
        registry.resolve("table", "2")
    assert number_of(registry) == "1"


def test_what_is_asked_for_by_its_number_or_name_is_found_as_soon_as_it_is_there(tmp_path: Path) -> None:
    write_table_model(tmp_path)
    registry = Registry([tmp_path], look_again_s=NEVER_S)
    assert number_of(registry) == "1"

    write_table_model(tmp_path, version="2")
    write_image_model(tmp_path)

    assert number_of(registry, "2") == "2"
    assert registry.resolve("picture").key == ("picture", "1")


def test_the_disk_is_not_read_for_a_version_that_is_known(tmp_path: Path) -> None:
    write_table_model(tmp_path / "store")
    registry = Registry([tmp_path / "store"], look_again_s=NEVER_S)
    found = registry.resolve("table", "1")

    (tmp_path / "store").rename(tmp_path / "elsewhere")

    assert registry.resolve("table", "1") is found and registry.resolve("table") is found


def test_where_a_thread_looks_nobody_else_looks_for_what_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table_model(tmp_path)
    lookers: set[str] = set()
    versions = Store.versions

    def noted(store: Store) -> list[ModelVersion]:
        lookers.add(threading.current_thread().name)
        return versions(store)

    monkeypatch.setattr(Store, "versions", noted)
    registry = Registry([tmp_path], look_again_s=0.001)
    before = registry.at_hand("table", "1")
    registry.start()
    try:
        wait_until(lambda: registry.at_hand("table", "1") is not None, what="it has looked")
        for _ in range(1000):
            assert number_of(registry, "1") == number_of(registry) == "1"
        write_table_model(tmp_path, version="2")
        wait_until(lambda: number_of(registry) == "2", what="it has found the new one")
    finally:
        registry.close()

    assert before is None and lookers == {"stores of models"}


def test_a_version_with_another_manifest_under_its_number_is_another_version(tmp_path: Path) -> None:
    folder = write_table_model(tmp_path)
    registry = Registry([tmp_path], look_again_s=0)
    before = registry.resolve("table")

    shutil.rmtree(folder)
    write_table_model(tmp_path, title="Another")
    os.utime(folder / "manifest.json", (0, 0))

    assert not registry.has(before)
    assert registry.resolve("table").manifest.title == "Another"


def test_threads_that_ask_while_versions_come_and_go_always_get_an_answer(tmp_path: Path) -> None:
    write_table_model(tmp_path)
    newer = write_table_model(tmp_path / "aside", version="2")
    registry, ended = Registry([tmp_path], look_again_s=0), threading.Event()
    answers: list[set[str]] = []

    def ask() -> None:
        seen: set[str] = set()
        while not ended.is_set():
            seen.add(number_of(registry))
        answers.append(seen)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        newer.rename(tmp_path / "table" / "2")
        (tmp_path / "table" / "2").rename(newer)
    ended.set()
    for thread in threads:
        thread.join()

    # A thread that comes late may see one of them only, or nothing.
    assert len(answers) == 3 and set().union(*answers) <= {"1", "2"} and any("1" in seen for seen in answers)


def test_a_channel_that_somebody_has_set_counts_whatever_is_newer(tmp_path: Path) -> None:
    for version in ("1", "2"):
        write_table_model(tmp_path, version=version)
    standings = {"table": Standing({"stable": "1", "qa": "2"})}
    registry = Registry([tmp_path], known=lambda: standings)

    assert (number_of(registry), number_of(registry, "qa")) == ("1", "2")
    assert [each.key[1] for each in registry.stable_versions()] == ["1"]
    assert [each.key[1] for each in registry.wanted_versions()] == ["1", "2"]
    assert registry.channels("table") == {"stable": "1", "qa": "2"}


def test_the_newest_version_is_stable_only_when_every_worker_has_loaded_it(tmp_path: Path) -> None:
    for version in ("1", "2"):
        write_table_model(tmp_path, version=version)
    standings = {"table": Standing(loaded=frozenset({"1"}))}
    registry = Registry([tmp_path], known=lambda: standings)

    before = number_of(registry), [each.key[1] for each in registry.wanted_versions()]
    standings["table"] = Standing(loaded=frozenset({"1", "2"}))
    after = number_of(registry), [each.key[1] for each in registry.wanted_versions()]

    assert (before, after) == (("1", ["1", "2"]), ("2", ["2"]))


def test_what_a_channel_is_to_name_is_loaded_before_it_does(tmp_path: Path) -> None:
    for version in ("1", "2", "3"):
        write_table_model(tmp_path, version=version)
    standings = {"table": Standing({"stable": "1"}, coming=frozenset({"2"}))}
    registry = Registry([tmp_path], known=lambda: standings)

    assert (number_of(registry), [each.key[1] for each in registry.wanted_versions()]) == ("1", ["1", "2"])


def test_a_version_that_a_channel_names_is_found_as_soon_as_it_is_there(tmp_path: Path) -> None:
    write_table_model(tmp_path)
    standings: dict[str, Standing] = {}
    registry = Registry([tmp_path], known=lambda: standings, look_again_s=NEVER_S)
    assert number_of(registry) == "1"

    write_table_model(tmp_path, version="2")
    standings["table"] = Standing({"stable": "2"})

    assert number_of(registry) == "2"


def test_a_retired_version_is_not_stable_for_being_the_newest(tmp_path: Path) -> None:
    for version in ("1", "2"):
        write_table_model(tmp_path, version=version)
    everything = {"table": Standing(retired=frozenset({"1", "2"}))}

    one = Registry([tmp_path], known=lambda: {"table": Standing(retired=frozenset({"2"}))})
    none = Registry([tmp_path], known=lambda: everything)

    assert one.channels("table") == {"stable": "1"}
    assert (none.channels("table"), none.stable_versions()) == ({}, [])
    with pytest.raises(NotFound, match="has no version or channel 'stable'"):
        none.resolve("table")
    assert none.shown("table").key[1] == "2"
