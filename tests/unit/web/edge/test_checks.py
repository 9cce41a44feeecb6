"""Only so many requests at once look at what their bodies hold."""

from __future__ import annotations

import contextlib

import pytest

from production_server.errors import Unavailable
from production_server.web.edge import checks
from production_server.web.edge.checks import BoundedChecks


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "ENTRY_S", 0.01)
    monkeypatch.setattr(checks, "PATIENCE_S", 0.01)


def test_whoever_finds_no_place_is_told_to_come_again() -> None:
    bounded = BoundedChecks(1)

    with bounded.place(), pytest.raises(Unavailable) as caught, bounded.place():
        pass

    assert caught.value.code == "overloaded"
    with bounded.place():
        pass


def test_a_place_is_free_again_after_an_error_and_after_a_refusal() -> None:
    bounded = BoundedChecks(1)

    for _ in range(3):
        with contextlib.suppress(ValueError), bounded.place():
            with contextlib.suppress(Unavailable), bounded.place():
                pass
            raise ValueError

    with bounded.place():
        pass
