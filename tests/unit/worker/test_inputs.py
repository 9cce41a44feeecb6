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
from production_server.worker.inputs import Inputs, Stopping


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
def inputs(folder: Path) -> Iterator[Inputs]:
    made = inputs_of(folder)
    yield made
    made.close()


def test_stored_and_fetched_inputs_come_in_order_in_batches(inputs: Inputs, folder: Path) -> None:
    asked = [Reference(f"file://{folder}/{n}") if n % 2 else b"stored" for n in range(10)]

    batches = list(inputs.batches(asked))

    assert [len(batch) for batch in batches] == [8, 2]
    assert [data for batch in batches for data in batch] == [
        b"x" * (n + 1) if n % 2 else b"stored" for n in range(10)
    ]


def test_an_object_that_cannot_be_had_is_an_error_beside_its_neighbours(inputs: Inputs, folder: Path) -> None:
    names = ["0", "missing", "19", "1"]

    (batch,) = inputs.batches([Reference(f"file://{folder}/{name}") for name in names])

    codes = [data.code if isinstance(data, CeleriacError) else data for data in batch]
    assert codes == [b"x", "object_missing", "object_too_large", b"xx"]


def test_no_more_are_fetched_at_once_than_is_set(inputs: Inputs, folder: Path) -> None:
    list(inputs.batches([Reference(f"file://{folder}/{n % 15}") for n in range(200)]))

    assert isinstance(inputs.storage, Troubled)
    assert 1 <= inputs.storage.most <= 4


def test_large_objects_are_not_all_fetched_ahead(folder: Path) -> None:
    inputs = inputs_of(folder, FETCHES="8", MAX_OBJECT_BYTES=str(module.AHEAD_BYTES))
    half = module.AHEAD_BYTES // 2 + 1

    (batch,) = inputs.batches([Reference(f"file://{folder}/{n % 20}", size_bytes=half) for n in range(8)])
    inputs.close()

    assert isinstance(inputs.storage, Troubled)
    assert (len(batch), inputs.storage.most) == (8, 1)


def test_a_store_that_does_not_answer_for_a_while_is_waited_for(
    inputs: Inputs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)
    assert isinstance(inputs.storage, Troubled)
    inputs.storage.failures = 5

    (batch,) = inputs.batches([Reference(f"file://{folder}/0")])

    assert batch == [b"x"]


def test_a_store_that_never_answers_is_an_error_of_all_of_them(folder: Path) -> None:
    inputs = inputs_of(folder, STORAGE_PATIENCE_S="0")
    assert isinstance(inputs.storage, Troubled)
    inputs.storage.failures = 1000

    with pytest.raises(StorageUnavailable):
        list(inputs.batches([Reference(f"file://{folder}/0")] * 100))
    inputs.close()

    assert inputs.storage.failures > 900  # It was not asked for each of them.


def test_an_object_that_never_comes_is_an_error_in_its_place_while_others_come(folder: Path) -> None:
    inputs = inputs_of(folder, STORAGE_PATIENCE_S="0")
    inputs.storage = Holding(inputs.settings.storage_allow)
    # Neighbours, and more of them than would count as a store that is away, were nothing between them.
    names = ["held"] * (module.VAIN_TRIES - 1) + ["0"] * 8 + ["held"] * (module.VAIN_TRIES - 1) + ["1"] * 8

    batches = list(inputs.batches([Reference(f"file://{folder}/{name}") for name in names]))
    inputs.close()

    came = [type(data) if isinstance(data, CeleriacError) else data for batch in batches for data in batch]
    expected = {"held": StorageUnavailable, "0": b"x", "1": b"xx"}
    assert came == [expected[name] for name in names]


def test_a_stop_does_not_wait_for_a_store(inputs: Inputs, folder: Path) -> None:
    assert isinstance(inputs.storage, Troubled)
    inputs.storage.failures = 1000
    asked = inputs.storage.asked

    def stop_when_asked() -> None:
        asked.wait()
        inputs.stopping.set()

    threading.Thread(target=stop_when_asked).start()

    with pytest.raises(Stopping):
        list(inputs.batches([Reference(f"file://{folder}/0")]))
