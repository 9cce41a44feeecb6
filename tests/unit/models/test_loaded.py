from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from production_server.errors import BrokenVersion
from production_server.models.loaded import LoadedVersions
from production_server.models.registry import Registry
from production_server.models.runners.onnx import OnnxRunner
from production_server.models.store import ModelVersion
from production_server.models.tensors import only
from testing.small_models import write_table_model

ROW = {"features": np.array([[9, 1]], np.float32)}


@pytest.fixture
def version(small_registry: Registry) -> ModelVersion:
    return small_registry.resolve("table")


@pytest.fixture
def loaded() -> LoadedVersions:
    return LoadedVersions(threads=1)


def answer(loaded: LoadedVersions, version: ModelVersion) -> list[float]:
    with loaded.use(version) as runner:
        return [round(float(share), 2) for share in only(runner.run(ROW))[0]]


def session_of(loaded: LoadedVersions, version: ModelVersion) -> weakref.ref[object]:
    """What holds a loaded version's memory, without keeping it."""
    with loaded.use(version) as runner:
        assert isinstance(runner, OnnxRunner)
        return weakref.ref(runner._session)


def test_a_version_that_is_released_gives_its_memory_back(
    loaded: LoadedVersions, version: ModelVersion
) -> None:
    session = session_of(loaded, version)
    assert session() is not None

    loaded.release(version)
    gc.collect()

    assert session() is None
    assert loaded.versions == []


def test_a_batch_in_hand_ends_with_the_version_that_it_began_with(
    loaded: LoadedVersions, version: ModelVersion
) -> None:
    session = session_of(loaded, version)

    with loaded.use(version) as runner:
        loaded.release(version)
        assert loaded.versions == []
        assert round(float(only(runner.run(ROW))[0][1]), 2) == 0.45
        assert session() is not None
    del runner
    gc.collect()

    assert session() is None


def test_a_version_that_was_released_is_loaded_again_when_it_is_used(
    loaded: LoadedVersions, version: ModelVersion
) -> None:
    loaded.load(version)
    loaded.release(version)
    loaded.release(version)

    assert answer(loaded, version) == [0.55, 0.45]
    assert loaded.versions == [version]


def test_another_version_under_the_same_number_takes_the_place_of_the_first(
    tmp_path: Path, loaded: LoadedVersions
) -> None:
    before = Registry([write_table_model(tmp_path / "a").parents[1]]).resolve("table")
    after = Registry([write_table_model(tmp_path / "b", title="Another").parents[1]]).resolve("table")
    session = session_of(loaded, before)

    loaded.load(after)
    gc.collect()

    assert loaded.versions == [after]
    assert session() is None

    loaded.release(before)

    assert loaded.versions == [after]


def test_a_version_that_does_not_load_leaves_the_one_that_serves(
    tmp_path: Path, loaded: LoadedVersions
) -> None:
    before = Registry([write_table_model(tmp_path / "a").parents[1]]).resolve("table")
    broken = write_table_model(tmp_path / "b", title="Another")
    (broken / "model.onnx").write_bytes(b"")
    loaded.load(before)

    with pytest.raises(BrokenVersion):
        loaded.load(Registry([tmp_path / "b"]).resolve("table"))

    assert loaded.versions == [before]
    assert answer(loaded, before) == [0.55, 0.45]


def test_threads_that_want_the_same_version_load_it_once(
    loaded: LoadedVersions, version: ModelVersion, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: answer(loaded, version), range(64)))

    assert answers == [[0.55, 0.45]] * 64
    assert [record.message.split(" in ")[0] for record in caplog.records] == ["loaded table/1"]


def test_batches_go_on_while_their_version_is_released_again_and_again(
    loaded: LoadedVersions, version: ModelVersion
) -> None:
    ended = threading.Event()

    def work() -> set[tuple[float, ...]]:
        seen: set[tuple[float, ...]] = set()
        while not ended.is_set() or not seen:
            seen.add(tuple(answer(loaded, version)))
        return seen

    with ThreadPoolExecutor(3) as pool:
        working = [pool.submit(work) for _ in range(3)]
        for _ in range(50):
            loaded.load(version)
            loaded.release(version)
        ended.set()
        answers = [each.result() for each in working]

    assert answers == [{(0.55, 0.45)}] * 3
