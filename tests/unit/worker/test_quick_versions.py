"""What is known of how long batches take, and what follows from it."""

from __future__ import annotations

import pytest

from production_server.broker.calls import Request
from production_server.worker.quick_versions import NOTICED_S, QUICK_S, SHARE, SLOW_S, WEIGHT, QuickVersions

ONE, OTHER = Request("table", "1", {}, {}), Request("table", "2", {}, {})
QUICK_ONE_S = QUICK_S / 4


class Told:
    """Quick versions, told of batches by a clock that stands still."""

    def __init__(self) -> None:
        self.now = 0.0
        self._quick = QuickVersions(lambda: self.now)

    def took(
        self,
        processor_s: float,
        *,
        request: Request = ONE,
        size_bytes: int = 100,
        clock_s: float | None = None,
        times: int = 1,
        is_here: bool = False,
    ) -> None:
        for _ in range(times):
            self._quick.took(
                request,
                size_bytes,
                processor_s=processor_s,
                clock_s=processor_s if clock_s is None else clock_s,
                is_here=is_here,
            )

    def has(self, *, request: Request = ONE, size_bytes: int = 100) -> bool:
        return self._quick.has(request, size_bytes)


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_version_is_quick_after_some_batches_that_were(told: Told) -> None:
    told.took(QUICK_ONE_S)
    after_one = told.has()

    told.took(QUICK_ONE_S, times=WEIGHT)

    assert not after_one and told.has()
    assert not told.has(request=OTHER)


def test_what_is_much_larger_than_what_was_quick_may_not_be(told: Told) -> None:
    told.took(QUICK_ONE_S, times=WEIGHT)
    told.took(1.0, size_bytes=1000, times=WEIGHT)

    assert told.has() and not told.has(size_bytes=1000) and not told.has(size_bytes=10_000)


def test_a_version_that_always_takes_a_little_too_long_is_not_quick(told: Told) -> None:
    told.took(QUICK_S * 1.1, times=100 * WEIGHT)

    assert not told.has()


def test_one_that_takes_longer_than_it_did_is_not_quick_any_more(told: Told) -> None:
    told.took(QUICK_ONE_S, times=WEIGHT)

    told.took(QUICK_S * 5, is_here=True, times=2)

    assert not told.has()


def test_one_that_waits_where_it_was_received_is_not_quick_any_more(told: Told) -> None:
    told.took(QUICK_ONE_S, times=WEIGHT)

    told.took(QUICK_ONE_S, clock_s=2 * NOTICED_S, is_here=True)
    after_one = told.has()
    told.took(QUICK_ONE_S, times=WEIGHT * 4)

    assert not after_one and told.has()


def test_on_a_busy_machine_other_threads_are_measured_by_their_processor_time(told: Told) -> None:
    told.took(QUICK_ONE_S, clock_s=1.0, times=WEIGHT)

    assert told.has()


@pytest.mark.parametrize("processor_s", [0.0, 0.5])
def test_the_thread_that_was_kept_is_left_alone_for_so_many_times_as_long(
    told: Told, processor_s: float
) -> None:
    told.took(QUICK_ONE_S, times=WEIGHT)
    told.took(QUICK_ONE_S, request=OTHER, times=WEIGHT)
    kept_s = SLOW_S + 0.5

    told.took(processor_s, clock_s=kept_s, is_here=True)
    told.now = SHARE * kept_s - 0.1
    before = told.has(request=OTHER)
    told.now = SHARE * kept_s
    after = told.has(request=OTHER), told.has()

    assert not before and after == (True, False)


def test_what_is_known_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    monkeypatch.setattr("production_server.worker.quick_versions.MOST_KNOWN", 3)

    for number in range(10):
        told.took(0.0, request=Request("table", str(number), {}, {}))

    assert len(told._quick._typical_s) == 1
