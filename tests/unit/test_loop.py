from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from production_server.errors import Unavailable
from production_server.loop import Loop, restart_dead
from testing.processes import wait_until

WAIT_S = 30


class Steps:
    """A step that does what each of `outcomes` says, in turn, and says when it has done them all."""

    def __init__(self, *outcomes: bool | BaseException) -> None:
        self._outcomes = iter(outcomes)
        self.are_done = threading.Event()

    def __call__(self) -> bool:
        outcome = next(self._outcomes, None)
        if outcome is None:
            self.are_done.set()
            return False
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


@pytest.fixture
def run() -> Iterator[Callable[..., None]]:
    """Run a loop until all its steps are done."""

    def start(*outcomes: bool | BaseException, pause_s: float = 0.0) -> None:
        steps = Steps(*outcomes)
        loop = Loop("sweeping", steps, pause_s=pause_s)
        loop.start()
        assert steps.are_done.wait(WAIT_S)
        loop.stop()

    yield start
    assert "sweeping" not in [thread.name for thread in threading.enumerate()]


def test_an_outage_is_told_once_when_it_begins_and_once_when_it_ends(
    run: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    outage = Unavailable("the broker does not answer")

    run(False, outage, outage, outage, False, False)

    assert [record.message for record in caplog.records] == [
        "sweeping: the broker does not answer; trying on",
        "sweeping: database and broker answer again",
    ]


def test_a_mistake_in_a_step_does_not_end_the_loop(
    run: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    run(ZeroDivisionError(), True)

    assert [record.message for record in caplog.records] == ["sweeping failed; it goes on"]


def test_a_step_that_says_that_there_is_more_is_taken_again_at_once(run: Callable[..., None]) -> None:
    run(True, True, True, pause_s=3600)


def test_a_loop_stops_in_the_middle_of_its_pause() -> None:
    steps = Steps()
    loop = Loop("sweeping", steps, pause_s=3600)
    loop.start()
    assert steps.are_done.wait(WAIT_S)

    loop.stop()

    assert "sweeping" not in [thread.name for thread in threading.enumerate()]


def test_a_loop_that_was_never_started_can_be_stopped() -> None:
    Loop("sweeping", Steps(), pause_s=3600).stop()


def test_a_long_step_is_told_that_it_should_end() -> None:
    stopping, has_begun = threading.Event(), threading.Event()

    def step() -> bool:
        has_begun.set()
        return stopping.wait(WAIT_S)

    loop = Loop("sweeping", step, pause_s=0, stopping=stopping)
    loop.start()
    assert has_begun.wait(WAIT_S)

    loop.stop()

    assert stopping.is_set()


@pytest.mark.parametrize("fault", [SystemExit(1), KeyboardInterrupt(), MemoryError()])
def test_whatever_is_raised_the_loop_goes_on(
    run: Callable[..., None], caplog: pytest.LogCaptureFixture, fault: BaseException
) -> None:
    run(fault, True)

    assert [record.message for record in caplog.records] == ["sweeping failed; it goes on"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_loop_whose_thread_has_died_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    is_doomed, goes_on = threading.Event(), threading.Event()

    class Dying(threading.Event):
        """Stands for a thread that dies where no step is taken."""

        def wait(self, timeout: float | None = None) -> bool:
            if not is_doomed.is_set():
                is_doomed.set()
                sys.exit()
            return super().wait(timeout)

    def step() -> bool:
        goes_on.set()
        return False

    loop = Loop("sweeping", step, pause_s=3600, stopping=Dying())
    loop.start()
    wait_until(lambda: loop.is_dead, what="it is dead")

    assert restart_dead() == ["sweeping"]
    assert goes_on.wait(WAIT_S)
    assert restart_dead() == []
    loop.stop()
    assert "sweeping had ended; starting it again" in caplog.text


def test_a_loop_that_was_stopped_stays_so() -> None:
    loop = Loop("sweeping", Steps(), pause_s=0)
    loop.start()
    loop.stop()

    assert restart_dead() == []
    assert not loop.is_dead
