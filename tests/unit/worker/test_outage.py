from __future__ import annotations

import threading

import pytest

from production_server.errors import Unavailable
from production_server.worker import outage
from production_server.worker.outage import until_answered


class Away:
    """A database that does not answer so many times."""

    def __init__(self, times: int) -> None:
        self.left = times

    def ask(self) -> str:
        if self.left:
            self.left -= 1
            raise Unavailable("away")
        return "stored"


def test_a_worker_asks_until_it_is_answered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outage, "AGAIN_S", 0.0)

    told = until_answered(Away(3).ask, threading.Event())

    assert told == "stored"
    assert [record.getMessage() for record in caplog.records] == ["away; trying on"]


def test_a_worker_that_stops_does_not_wait_for_the_database() -> None:
    stopping = threading.Event()
    stopping.set()

    with pytest.raises(Unavailable):
        until_answered(Away(10**6).ask, stopping)
