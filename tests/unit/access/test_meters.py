"""The arithmetic of one limit: 10 in a minute, unless a test says otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from production_server.access.meters import MINUTE_S, MOST_MINUTES, Meter, Moment

BEGINS: Moment = (100, 1.0)
HALF_WAY: Moment = (100, 0.5)


def later(at: Moment, seconds: float) -> Moment:
    minutes = at[0] + 1 - at[1] + seconds / MINUTE_S
    return int(minutes), int(minutes) + 1 - minutes


def meter(most: int = 10, **used: int) -> Meter:
    """A meter; `m99=5`: 5 were used in minute 99."""
    made = Meter("client anna", "items", most)
    for minute, count in used.items():
        made.add(count, int(minute[1:]))
    return made


def test_what_was_used_in_this_minute_counts_whole_and_what_was_in_the_one_before_less_and_less() -> None:
    used = meter(m99=8, m100=1)

    assert used.left(BEGINS) == 1
    assert used.left(HALF_WAY) == 5
    assert used.left((101, 1.0)) == 9


def test_one_more_is_let_in_whatever_its_size_as_long_as_there_is_room_for_one() -> None:
    used = meter(m100=9)
    assert not used.is_full(HALF_WAY)

    used.add(1, 100)
    assert used.is_full(HALF_WAY)


def test_without_a_limit_there_is_always_room() -> None:
    assert not meter(0).is_full(BEGINS)


def test_nobody_gets_twice_the_limit_where_a_minute_ends() -> None:
    """Each tenth of a second somebody takes what there is; in no 60 s that is much more than the limit."""
    used = meter(100)
    taken: list[float] = []
    for tenth in range(3000):
        at = later(BEGINS, tenth / 10)
        while not used.is_full(at):
            used.add(1, at[0])
            taken.append(tenth / 10)

    most = max(sum(1 for each in taken if begin <= each < begin + 60) for begin in range(240))

    assert 100 <= most <= 125


def test_what_is_more_than_a_minutes_is_paid_off_in_the_minutes_behind_it() -> None:
    used = meter(m100=35)

    assert [used.is_full((minute, 0.01)) for minute in range(100, 105)] == [True, True, True, False, False]
    assert used.wait_s(BEGINS) == pytest.approx(3 * MINUTE_S + 0.6 * MINUTE_S)


def test_nobody_waits_much_longer_than_an_hour() -> None:
    used = meter(1, m100=10**6)

    assert used.wait_s(BEGINS) <= (MOST_MINUTES + 2) * MINUTE_S


def test_what_is_taken_back_was_not_used() -> None:
    for count in (3, 35):
        used = meter(m100=count)
        used.take_back(count, 100)
        assert [used.left((minute, 1.0)) for minute in range(100, 105)] == [10] * 5


@given(
    most=st.integers(1, 50),
    before=st.integers(0, 120),
    now=st.integers(0, 120),
    fading=st.floats(0.001, 1.0),
)
def test_after_the_wait_there_is_room_and_not_long_before(
    most: int, before: int, now: int, fading: float
) -> None:
    used, at = meter(most, m99=before, m100=now), (100, fading)

    wait_s = used.wait_s(at)

    assert not used.is_full(later(at, wait_s + 0.05))
    assert used.is_full(at) or wait_s == 0
    if wait_s > 0.1:
        assert used.is_full(later(at, wait_s - 0.05))


def test_what_others_have_used_counts_as_what_is_ones_own() -> None:
    used = meter(m100=2)
    assert used.take_own() == {100: 2}
    used.add(1, 100)

    used.learn({99: 4, 100: 5})

    assert used.left(BEGINS) == 10 - 4 - 5 - 1
    assert used.take_own() == {100: 1}


def test_what_nobody_was_told_of_is_told_another_time() -> None:
    used = meter(m99=1, m100=2)
    own = used.take_own()
    used.add(1, 100)

    used.put_back(own)

    assert used.take_own() == {99: 1, 100: 3}
    assert used.left((100, 0.0)) == 7


def test_minutes_that_count_no_more_are_forgotten_whether_they_were_told_of_or_not() -> None:
    used = meter(m98=1, m100=2)
    own = used.take_own()

    assert not used.forget(99)
    used.put_back(own)

    assert used.take_own() == {100: 2}
    assert used.forget(101)
