"""Refusals on their way to the audit: however many come, few lines are made of them, and none is forgotten."""

from __future__ import annotations

import pytest

from production_server.access.audit import Noted
from production_server.access.records import Actor
from production_server.access.refusals import COUNTED, LINES, LINES_OF_ADDRESS, MINUTE_S, Refusals, refusal_of


class Clock:
    """A clock that stands still until it is set on."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def refusals(clock: Clock) -> Refusals:
    return Refusals(clock=clock)


def refused(address: str, request_id: str = "") -> Noted:
    return refusal_of(Actor("anna", "cel_anna0000", address, request_id), "jobs.submit", "forbidden")


def taken(refusals: Refusals) -> list[Noted]:
    return [refusal.noted for refusal in refusals.take()]


def test_the_first_ones_of_an_address_are_told_as_they_are_and_taken_once(refusals: Refusals) -> None:
    refusals.note(refused("192.0.2.1", "r1"))
    refusals.note(refused("192.0.2.1", "r2"))

    assert taken(refusals) == [refused("192.0.2.1", "r1"), refused("192.0.2.1", "r2")]
    assert taken(refusals) == []


def test_a_flood_of_one_address_is_counted_and_told_in_one_line(refusals: Refusals, clock: Clock) -> None:
    for number in range(100_000):
        refusals.note(refused("192.0.2.1", str(number)))
    assert len(taken(refusals)) == LINES_OF_ADDRESS

    clock.at += MINUTE_S
    (summary,) = taken(refusals)

    assert (summary.by, summary.act) == (Actor("", address="192.0.2.1"), "request.refused")
    assert summary.count == 100_000 - LINES_OF_ADDRESS


def test_others_are_told_of_beside_a_flood(refusals: Refusals) -> None:
    for number in range(1000):
        refusals.note(refused("192.0.2.1", str(number)))
    refusals.note(refused("198.51.100.7", "r"))

    assert refused("198.51.100.7", "r") in taken(refusals)


def test_a_flood_of_many_addresses_takes_no_more_room_than_some(refusals: Refusals, clock: Clock) -> None:
    sent = 50_000
    for number in range(sent):
        refusals.note(refused(f"2001:db8::{number:x}"))
    lines = taken(refusals)
    clock.at += MINUTE_S
    counts = taken(refusals)

    assert len(lines) == LINES
    assert len(counts) == COUNTED + 1
    assert sum(line.count for line in lines + counts) == sent
    assert max(counts, key=lambda line: line.count).by.address == ""


def test_each_minute_begins_anew(refusals: Refusals, clock: Clock) -> None:
    for _ in range(LINES_OF_ADDRESS + 1):
        refusals.note(refused("192.0.2.1"))
    clock.at += MINUTE_S
    refusals.note(refused("192.0.2.1", "new"))

    lines = taken(refusals)

    assert lines[-1] == refused("192.0.2.1", "new")
    assert [line.count for line in lines] == [1] * LINES_OF_ADDRESS + [1, 1]


def test_at_the_end_counts_are_told_before_their_minute_is_over(refusals: Refusals) -> None:
    for _ in range(LINES_OF_ADDRESS + 5):
        refusals.note(refused("192.0.2.1"))

    assert refusals.take(all_of_it=True)[-1].noted.count == 5
