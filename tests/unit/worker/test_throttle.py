from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

import pytest

from production_server.worker import throttle as module
from production_server.worker.throttle import NICENESS, Throttle


def most_at_once(throttle: Throttle, *, batch_s: float = 0.02) -> int:
    """How many of three threads that work on two batches each are ever at work together."""
    at_work: list[int] = []
    seen: list[int] = []

    def work() -> None:
        for _ in range(2):
            with throttle.turn():
                at_work.append(1)
                time.sleep(batch_s)
                seen.append(len(at_work))
                at_work.pop()

    run_in_threads(work, work, work)
    return max(seen)


def run_in_threads(*targets: Callable[[], None]) -> None:
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_chunks_run_side_by_side_while_nobody_calls() -> None:
    assert most_at_once(Throttle()) > 1


def test_chunks_take_turns_while_somebody_calls() -> None:
    throttle = Throttle()
    throttle.call_came()

    assert most_at_once(throttle) == 1


def test_chunks_run_side_by_side_again_when_calls_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECENT_S", 0.01)
    throttle = Throttle()
    throttle.call_came()
    time.sleep(0.02)

    assert most_at_once(throttle) > 1


def test_a_batch_that_takes_very_long_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    throttle = Throttle()
    throttle.call_came()

    assert most_at_once(throttle, batch_s=0.1) > 1


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own elsewhere")
def test_a_thread_that_works_on_chunks_has_a_low_priority_and_no_other() -> None:
    throttle = Throttle()
    priorities: list[int] = []

    def work() -> None:
        with throttle.turn():
            priorities.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    run_in_threads(work)
    after = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    assert (priorities, after) == ([NICENESS], before)
