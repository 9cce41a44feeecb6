"""Inputs in buckets on their way to a worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from production_server.errors import CeleriacError, StorageUnavailable
from production_server.settings import Settings, read_settings
from production_server.storage.objects import Reference
from production_server.storage.storage import Storage
from production_server.worker import inputs as module
from production_server.worker import lanes
from production_server.worker.inputs import Inputs, Stopping
from production_server.worker.lanes import SILENT_AFTER, Attempt, Lane


class Troubled(Storage):
    """A storage that does not answer the first `failures` times; it notes how many are fetched at once."""

    failures = 0
    most = 0

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.storage_allow)
        self._lock = threading.Lock()
        self._now = 0
        self.asked = threading.Event()

    def fetch(self, reference: Reference, *, max_bytes: int) -> bytes:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.failures -= 1
            fails = self.failures >= 0
        try:
            self.asked.set()
            if fails:
                raise StorageUnavailable("the store does not answer")
            return super().fetch(reference, max_bytes=max_bytes)
        finally:
            with self._lock:
                self._now -= 1


class Holding(Storage):
    """A storage that does not give out the objects called `held`."""

    def fetch(self, reference: Reference, *, max_bytes: int) -> bytes:
        if reference.url.endswith("/held"):
            raise StorageUnavailable("no answer")
        return super().fetch(reference, max_bytes=max_bytes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(20):
        (tmp_path / f"{number}").write_bytes(b"x" * (number + 1))
    return tmp_path


def inputs_of(folder: Path, **settings: str) -> Inputs:
    read = read_settings(
        {"STORAGE_ALLOW": f"file://{folder}", "BATCH_ITEMS": "8", "FETCHES": "4", "MAX_OBJECT_BYTES": "15"}
        | settings
    )
    return Inputs(Troubled(read), read, threading.Event())


@pytest.fixture
def inputs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    monkeypatch.setattr(module, "PAUSES_S", (0.0, 0.0))
    return inputs_of(folder)


@pytest.fixture
def lane() -> Iterator[Lane]:
    made = Lane("file://", fetches=4)
    yield made
    made.close()


def references(folder: Path, *names: object) -> list[Reference]:
    return [Reference(f"file://{folder}/{name}") for name in names]


def test_stored_inputs_come_in_order_in_batches(inputs: Inputs) -> None:
    batches = list(inputs.stored([b"%d" % number for number in range(10)]))

    assert [len(batch) for batch in batches] == [8, 2]
    assert [data for batch in batches for data in batch] == [b"%d" % number for number in range(10)]


def test_fetched_inputs_come_in_order_in_batches(inputs: Inputs, folder: Path, lane: Lane) -> None:
    batches = list(inputs.fetched(references(folder, *range(10)), Attempt(lane)))

    assert [len(batch) for batch in batches] == [8, 2]
    assert [data for batch in batches for data in batch] == [b"x" * (n + 1) for n in range(10)]


def test_an_object_that_cannot_be_had_is_an_error_beside_its_neighbours(
    inputs: Inputs, folder: Path, lane: Lane
) -> None:
    (batch,) = inputs.fetched(references(folder, "0", "missing", "19", "1"), Attempt(lane))

    codes = [data.code if isinstance(data, CeleriacError) else data for data in batch]
    assert codes == [b"x", "object_missing", "object_too_large", b"xx"]


def test_no_more_are_fetched_at_once_than_is_set(inputs: Inputs, folder: Path, lane: Lane) -> None:
    list(inputs.fetched(references(folder, *(n % 15 for n in range(200))), Attempt(lane)))

    assert isinstance(inputs.storage, Troubled)
    assert 1 <= inputs.storage.most <= 4


def test_large_objects_are_not_all_fetched_ahead(folder: Path, lane: Lane) -> None:
    inputs = inputs_of(folder, FETCHES="8", MAX_OBJECT_BYTES=str(module.AHEAD_BYTES))
    half = module.AHEAD_BYTES // 2 + 1
    asked = [Reference(f"file://{folder}/{n % 20}", size_bytes=half) for n in range(8)]

    (batch,) = inputs.fetched(asked, Attempt(lane))

    assert isinstance(inputs.storage, Troubled)
    assert (len(batch), inputs.storage.most) == (8, 1)


def test_what_has_come_does_not_wait_long_for_its_neighbours(
    inputs: Inputs, folder: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_AGE_S", -1.0)

    batches = list(inputs.fetched(references(folder, 0, 1, 2), Attempt(lane)))

    assert batches == [[b"x"], [b"xx"], [b"xxx"]]


def test_a_store_that_does_not_answer_once_or_twice_is_asked_again(
    inputs: Inputs, folder: Path, lane: Lane
) -> None:
    assert isinstance(inputs.storage, Troubled)
    inputs.storage.failures = 2

    (batch,) = inputs.fetched(references(folder, 0), Attempt(lane))

    assert batch == [b"x"]


def test_a_bucket_that_does_not_answer_is_not_asked_for_each_object(
    inputs: Inputs, folder: Path, lane: Lane
) -> None:
    assert isinstance(inputs.storage, Troubled)
    inputs.storage.failures = 1000
    attempt = Attempt(lane)

    with pytest.raises(StorageUnavailable):
        list(inputs.fetched(references(folder, *[0] * 100), attempt))

    assert inputs.storage.failures > 900
    assert attempt.is_bucket_silent


def test_a_bucket_that_has_never_answered_and_hangs_is_not_waited_for_object_by_object(
    inputs: Inputs, folder: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(inputs.storage, Troubled)
    monkeypatch.setattr(module, "QUICK_S", -1.0)
    inputs.storage.failures = 1000

    with pytest.raises(StorageUnavailable):
        list(inputs.fetched(references(folder, 0, 1, 2), Attempt(lane)))

    # Each of the threads that fetch has asked once at most.
    assert 1000 - inputs.storage.failures <= inputs.settings.fetches


def test_a_probe_asks_for_one_object_and_then_for_all(inputs: Inputs, folder: Path, lane: Lane) -> None:
    assert isinstance(inputs.storage, Troubled)
    inputs.storage.failures = 1
    with pytest.raises(StorageUnavailable):
        list(inputs.fetched(references(folder, *range(10)), Attempt(lane, is_probe=True)))
    asked_in_vain = 1 - inputs.storage.failures
    answered: list[int] = []

    probe = Attempt(lane, is_probe=True, on_answer=lambda: answered.append(1))
    batches = list(inputs.fetched(references(folder, *range(10)), probe))

    assert asked_in_vain == 1
    assert (sum(map(len, batches)), answered) == (10, [1])


def test_what_nobody_had_to_be_asked_about_is_no_answer_of_the_bucket(
    inputs: Inputs, folder: Path, lane: Lane
) -> None:
    attempt = Attempt(lane, is_probe=True, on_answer=lambda: pytest.fail("nobody has answered"))
    known = [Reference("file:///etc/passwd"), Reference("file://x", fault="its name is not UTF-8")]
    known.append(Reference(f"file://{folder}/0", size_bytes=10**9))

    (batch,) = inputs.fetched(known, attempt)

    codes = [data.code for data in batch if isinstance(data, CeleriacError)]
    assert codes == ["location_not_allowed", "object_name_unusable", "object_too_large"]
    assert attempt.is_bucket_silent


def test_an_object_that_never_comes_is_an_error_in_its_place_while_others_come(
    inputs: Inputs, folder: Path, lane: Lane
) -> None:
    inputs.storage = Holding(inputs.settings.storage_allow)
    # Neighbours, and more of them than would count as a store that is away, were nothing between them.
    names = ["held"] * (SILENT_AFTER - 1) + ["0"] * 8 + ["held"] * 40 + ["1"] * 8

    batches = list(inputs.fetched(references(folder, *names), Attempt(lane)))

    came = [type(data) if isinstance(data, CeleriacError) else data for batch in batches for data in batch]
    expected = {"held": StorageUnavailable, "0": b"x", "1": b"xx"}
    assert came == [expected[name] for name in names]


def test_a_stop_does_not_wait_for_a_store(
    inputs: Inputs, folder: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSES_S", (100.0,))
    assert isinstance(inputs.storage, Troubled)
    inputs.storage.failures = 1000
    asked = inputs.storage.asked

    def stop_when_asked() -> None:
        asked.wait()
        inputs.stopping.set()

    threading.Thread(target=stop_when_asked).start()

    with pytest.raises(Stopping):
        list(inputs.fetched(references(folder, 0), Attempt(lane)))


def test_a_bucket_that_falls_silent_after_some_answers_is_not_asked_for_the_rest(
    inputs: Inputs, folder: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "GONE_AFTER_S", 0.0)
    inputs.storage = Holding(inputs.settings.storage_allow)
    came: list[object] = []

    def fetch() -> None:
        for batch in inputs.fetched(references(folder, *["0"] * 8, *["held"] * 200), Attempt(lane)):
            came.extend(batch)

    with pytest.raises(StorageUnavailable):
        fetch()

    assert came[:8] == [b"x"] * 8
    assert len(came) < 100
