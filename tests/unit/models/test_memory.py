from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from production_server.errors import Unavailable
from production_server.models.memory import MemoryBudget

PATIENCE_S = 10


def test_small_ones_share_and_a_big_one_is_alone_even_beyond_the_budget() -> None:
    budget = MemoryBudget(100)
    held, peak, lock = [0], [0], threading.Lock()

    def work(size: int) -> None:
        with budget.take(size, patience_s=PATIENCE_S):
            with lock:
                held[0] += size
                peak[0] = max(peak[0], held[0])
            with lock:
                held[0] -= size

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, [30, 40, 100, 10] * 200))

    assert peak[0] <= 100
    with budget.take(1_000, patience_s=PATIENCE_S):
        pass


def test_who_asked_first_is_not_passed_by_who_wants_less() -> None:
    budget = MemoryBudget(100)
    order: list[str] = []
    big_waits = threading.Event()

    def big() -> None:
        big_waits.set()
        with budget.take(100, patience_s=PATIENCE_S):
            order.append("big")

    def small() -> None:
        with budget.take(10, patience_s=PATIENCE_S):
            order.append("small")

    with ThreadPoolExecutor(2) as threads:
        with budget.take(50, patience_s=PATIENCE_S):
            first = threads.submit(big)
            assert big_waits.wait(PATIENCE_S)
            while not budget._turn.locked():
                pass
            second = threads.submit(small)
        first.result(PATIENCE_S)
        second.result(PATIENCE_S)

    assert order == ["big", "small"]


def test_what_was_taken_is_given_back_after_a_failure() -> None:
    budget = MemoryBudget(100)

    def fail() -> None:
        with budget.take(100, patience_s=PATIENCE_S):
            raise ValueError

    with ThreadPoolExecutor(1) as threads:
        assert isinstance(threads.submit(fail).exception(PATIENCE_S), ValueError)
        threads.submit(lambda: budget.take(100, patience_s=PATIENCE_S).__enter__()).result(PATIENCE_S)


def test_a_wait_has_an_end_and_keeps_nobody_from_the_rest() -> None:
    budget = MemoryBudget(100)

    with budget.take(99, patience_s=0), ThreadPoolExecutor(1) as threads:
        with pytest.raises(Unavailable) as caught, budget.take(2, patience_s=0.05):
            pass
        threads.submit(lambda: budget.take(1, patience_s=0).__enter__()).result(PATIENCE_S)

    assert caught.value.code == "overloaded"


def test_whoever_waits_behind_one_that_waits_does_not_wait_for_ever() -> None:
    budget = MemoryBudget(100)
    is_waiting = threading.Event()

    def wait() -> None:
        is_waiting.set()
        with budget.take(100, patience_s=PATIENCE_S):
            pass

    with ThreadPoolExecutor(1) as threads, budget.take(50, patience_s=0):
        waiting = threads.submit(wait)
        assert is_waiting.wait(PATIENCE_S)
        while not budget._turn.locked():
            pass
        with pytest.raises(Unavailable), budget.take(1, patience_s=0.05):
            pass
        assert not waiting.done()
