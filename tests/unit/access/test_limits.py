"""Limits of clients and addresses, in one process and in several on one database, by a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import insert, literal, select

from production_server.access.allowances import Allowance, Most
from production_server.access.limits import ALL_OTHERS, MOST_TOLD, Limits
from production_server.access.meters import MINUTE_S, MOST_MINUTES
from production_server.access.rate_windows import RateWindows
from production_server.access.records import ANONYMOUS, Client
from production_server.access.scopes import EVERYTHING
from production_server.errors import TooManyRequests, Unavailable
from production_server.jobs.database import Database
from production_server.jobs.tables import rate_window

ANNA, BEN = Client("anna", EVERYTHING, "cel_1"), Client("ben", EVERYTHING, "cel_2")
HERE, THERE = "192.0.2.7", "192.0.2.8"
MINUTE = 30_000_000
MOST = Most(requests=10, items=100, bytes=1000, calls=2, refusals=3)


@dataclass
class Clock:
    """The database's clock and that of a process, which began at 0: both stand still unless they are moved."""

    at: float = MINUTE * MINUTE_S + 30.0
    refused: list[str] = field(default_factory=list)

    def limits(self, database: Database, most: Most = MOST, **more: Any) -> Limits:
        windows = RateWindows(database, clock=lambda: literal(self.at))
        made = Limits(windows, most, on_refusal=self.refused.append, clock=lambda: self.at, **more)
        made._book.is_told(self.at)
        return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


def is_refused(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except TooManyRequests:
        return True
    return False


def enter(allowance: Allowance, times: int = 1, *, brings_body: bool = False) -> int:
    """How many of so many requests are let in."""
    return sum(not is_refused(lambda: allowance.enter(brings_body=brings_body)) for _ in range(times))


def stored(database: Database) -> set[tuple[int, str, str, int]]:
    with database.read() as connection:
        return {tuple(row) for row in connection.execute(select(rate_window))}


def test_a_client_has_so_many_requests_a_minute_from_wherever_it_asks(
    sqlite_database: Database, clock: Clock
) -> None:
    limits = clock.limits(sqlite_database)

    assert enter(limits.allowance_of(ANNA, HERE), 6) == 6
    assert enter(limits.allowance_of(ANNA, THERE), 6) == 4
    assert enter(limits.allowance_of(BEN, HERE), 6) == 6
    assert clock.refused == ["requests", "requests"]


def test_where_nobody_needs_a_key_each_address_has_its_own(sqlite_database: Database, clock: Clock) -> None:
    limits = clock.limits(sqlite_database)

    assert enter(limits.allowance_of(ANONYMOUS, HERE), 12) == 10
    assert enter(limits.allowance_of(ANONYMOUS, THERE), 1) == 1
    assert enter(limits.allowance_of(ANONYMOUS, "2001:db8::1"), 6) == 6
    assert enter(limits.allowance_of(ANONYMOUS, "2001:db8::2"), 6) == 4


def test_on_this_machine_itself_nothing_is_limited_and_nothing_written(
    sqlite_database: Database, clock: Clock
) -> None:
    limits = clock.limits(sqlite_database)
    allowance = limits.allowance_of(ANNA, "127.0.0.1")

    assert enter(allowance, 50, brings_body=True) == 50
    for _ in range(10):
        allowance.begin_call()
        allowance.take_items(1000)
        limits.note_refusal("::1")
    allowance.end_call(10**6)
    limits.settle()

    assert (allowance.low(), stored(sqlite_database)) == ([], set())


def test_without_any_limit_nothing_is_counted(sqlite_database: Database, clock: Clock) -> None:
    limits = clock.limits(sqlite_database, Most())
    allowance = limits.allowance_of(ANNA, HERE)

    assert enter(allowance, 50, brings_body=True) == 50
    allowance.give_items_back(7, allowance.take_items(7))
    limits.note_refusal(HERE)
    limits.settle()

    assert stored(sqlite_database) == set()


def test_after_the_seconds_that_it_is_told_a_client_is_let_in(
    sqlite_database: Database, clock: Clock
) -> None:
    allowance = clock.limits(sqlite_database).allowance_of(ANNA, HERE)
    enter(allowance, 10)

    with pytest.raises(TooManyRequests) as caught:
        allowance.enter(brings_body=False)

    assert (caught.value.limit, caught.value.most) == ("requests", 10)
    assert str(caught.value) == (
        f"more than 10 requests in a minute: try again in {caught.value.retry_after_s} s"
    )
    assert 30 < caught.value.retry_after_s <= 37
    clock.at += caught.value.retry_after_s - 2
    assert enter(allowance) == 0
    clock.at += 2
    assert enter(allowance) == 1


def test_what_is_refused_is_not_counted(sqlite_database: Database, clock: Clock) -> None:
    limits = clock.limits(sqlite_database)

    enter(limits.allowance_of(ANNA, HERE), 500)
    limits.settle()

    assert stored(sqlite_database) == {(MINUTE, "client anna", "requests", 10)}


def test_a_body_needs_room_and_what_brings_none_does_not(sqlite_database: Database, clock: Clock) -> None:
    allowance = clock.limits(sqlite_database).allowance_of(ANNA, HERE)
    assert enter(allowance, brings_body=True) == 1
    allowance.add_bytes(5000)

    assert not allowance.has_room(brings_body=True)
    assert enter(allowance, brings_body=True) == 0
    assert allowance.has_room(brings_body=False)
    assert enter(allowance) == 1
    assert clock.refused == ["bytes"]


def test_a_job_of_any_size_is_taken_where_there_is_room_and_its_client_waits_longer_then(
    sqlite_database: Database, clock: Clock
) -> None:
    allowance = clock.limits(sqlite_database).allowance_of(ANNA, HERE)
    allowance.take_items(99)
    allowance.take_items(1000)

    with pytest.raises(TooManyRequests) as caught:
        allowance.take_items(1)

    assert 9 * MINUTE_S < caught.value.retry_after_s < 11 * MINUTE_S
    clock.at += 9 * MINUTE_S
    assert is_refused(lambda: allowance.take_items(1))
    clock.at += caught.value.retry_after_s - 9 * MINUTE_S
    assert not is_refused(lambda: allowance.take_items(1000))


def test_items_that_were_not_stored_are_not_counted(sqlite_database: Database, clock: Clock) -> None:
    limits = clock.limits(sqlite_database)
    allowance = limits.allowance_of(ANNA, HERE)

    taken = allowance.take_items(1000)
    limits.settle()
    clock.at += MINUTE_S
    allowance.give_items_back(1000, taken)
    limits.settle()

    assert {used for *_, used in stored(sqlite_database)} == {0}
    assert not is_refused(lambda: allowance.take_items(1))


def test_a_client_has_so_many_calls_at_once(sqlite_database: Database, clock: Clock) -> None:
    allowance = clock.limits(sqlite_database).allowance_of(ANNA, HERE)
    allowance.begin_call()
    allowance.begin_call()

    with pytest.raises(TooManyRequests, match="more than 2 calls at once: try again in 1 s"):
        allowance.begin_call()
    allowance.end_call(0)
    allowance.begin_call()


def test_a_request_without_a_body_is_no_row_of_bytes(sqlite_database: Database, clock: Clock) -> None:
    limits = clock.limits(sqlite_database)
    limits.allowance_of(ANNA, HERE).add_bytes(0)
    limits.settle()

    assert stored(sqlite_database) == set()


def test_keys_that_open_nothing_are_counted_by_address(sqlite_database: Database, clock: Clock) -> None:
    limits = clock.limits(sqlite_database)

    refused = [is_refused(lambda: limits.note_refusal(HERE)) for _ in range(5)]

    assert refused == [False, False, False, True, True]
    assert is_refused(lambda: limits.check_refusals(HERE))
    assert not is_refused(lambda: limits.check_refusals(THERE))
    assert enter(limits.allowance_of(ANNA, HERE)) == 1


def test_what_is_left_is_told_once_it_is_less_than_half(sqlite_database: Database, clock: Clock) -> None:
    allowance = clock.limits(sqlite_database).allowance_of(ANNA, HERE)
    enter(allowance, 5)
    assert allowance.low() == []
    enter(allowance, 2)

    ((meter, left, seconds),) = allowance.low()
    assert (meter.kind, left, seconds) == ("requests", 3, MINUTE_S)

    enter(allowance, 4)
    ((meter, left, seconds),) = allowance.low()
    assert left == 0
    clock.at += seconds
    assert enter(allowance) == 1


def test_processes_on_one_database_share_what_they_have_counted(database: Database, clock: Clock) -> None:
    first, second = clock.limits(database), clock.limits(database)
    for _ in range(3):
        enter(first.allowance_of(ANNA, HERE), 2)
        enter(second.allowance_of(ANNA, HERE), 1)
        first.settle()
        second.settle()

    assert enter(second.allowance_of(ANNA, HERE), 5) == 1
    second.settle()
    assert enter(first.allowance_of(ANNA, HERE), 5) == 2, "it learns when it tells the next time"
    first.settle()
    assert enter(first.allowance_of(ANNA, HERE), 5) == 0
    assert stored(database) == {(MINUTE, "client anna", "requests", 12)}


def test_a_process_that_starts_again_learns_what_was_used_and_booked_before(
    database: Database, clock: Clock
) -> None:
    killed = clock.limits(database)
    killed.allowance_of(ANNA, HERE).take_items(450)
    killed.settle()
    clock.at += MINUTE_S

    fresh = clock.limits(database)
    assert not is_refused(lambda: fresh.allowance_of(ANNA, HERE).take_items(1))
    fresh.settle()

    for _ in range(3):
        assert is_refused(lambda: fresh.allowance_of(ANNA, HERE).take_items(1))
        clock.at += MINUTE_S


def test_processes_that_settle_at_once_lose_nothing(database: Database, clock: Clock) -> None:
    processes = [clock.limits(database, Most(requests=10**6, items=10**6)) for _ in range(3)]
    clients = [Client(f"client-{number}", EVERYTHING, "cel_1") for number in range(40)]

    def serve(limits: Limits) -> None:
        for turn in range(10):
            # Each in another order: what is stored has one.
            for client in clients[turn:] + clients[:turn]:
                limits.allowance_of(client, HERE).enter(brings_body=False)
                limits.allowance_of(client, HERE).take_items(7)
            limits.settle()

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(serve, processes))

    assert stored(database) == {
        (MINUTE, f"client client-{number}", kind, used)
        for number in range(40)
        for kind, used in (("requests", 30), ("items", 210))
    }


def test_all_kinds_and_subjects_are_told_at_once(database: Database, clock: Clock) -> None:
    limits = clock.limits(database)
    for client in (ANNA, BEN):
        allowance = limits.allowance_of(client, HERE)
        allowance.enter(brings_body=True)
        allowance.add_bytes(7)
        allowance.take_items(3)
    limits.note_refusal("2001:db8::1")
    limits.settle()

    each = {(MINUTE, kind, used) for kind, used in (("requests", 1), ("bytes", 7), ("items", 3))}
    assert stored(database) == {
        (minute, f"client {name}", kind, used) for name in ("anna", "ben") for minute, kind, used in each
    } | {(MINUTE, "address 2001:db8::/64", "refusals", 1)}


class Away:
    """A database that may be away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_away = False

    def write(self) -> Any:
        if self.is_away:
            raise Unavailable("away")
        return self._database.write()


def test_while_the_database_is_away_a_process_goes_on_by_its_own_counts_and_tells_of_them_later(
    sqlite_database: Database, clock: Clock
) -> None:
    database = Away(sqlite_database)
    limits = clock.limits(database)  # type: ignore[arg-type]  # it has what is used
    allowance = limits.allowance_of(ANNA, HERE)
    database.is_away = True
    assert enter(allowance, 6) == 6
    with pytest.raises(Unavailable):
        limits.settle()
    assert enter(allowance, 6) == 4

    limits.close()
    database.is_away = False
    limits.close()

    assert stored(sqlite_database) == {(MINUTE, "client anna", "requests", 10)}
    assert enter(allowance) == 0


def test_what_is_not_used_is_not_written_and_old_minutes_are_cleared_away(
    database: Database, clock: Clock
) -> None:
    limits = clock.limits(database)
    enter(limits.allowance_of(ANNA, HERE))
    limits.settle()
    with database.write() as connection:
        # From before the clock was set back.
        rows = [{"minute": MINUTE + MOST_MINUTES + 9, "subject": "client anna", "kind": "items", "used": 9}]
        connection.execute(insert(rate_window), rows)
    clock.at += 2 * MINUTE_S
    limits.settle()
    assert len(stored(database)) == 2

    enter(limits.allowance_of(BEN, HERE))
    limits.settle()

    assert stored(database) == {(MINUTE + 2, "client ben", "requests", 1)}


def test_the_databases_clock_says_which_minute_it_is(database: Database, clock: Clock) -> None:
    limits = clock.limits(database)
    limits._book.is_told(clock.at + 3600)
    enter(limits.allowance_of(ANNA, HERE))
    limits.settle()
    enter(limits.allowance_of(BEN, HERE))
    limits.settle()

    assert (MINUTE, "client ben", "requests", 1) in stored(database)


def test_who_has_used_nothing_lately_is_forgotten(sqlite_database: Database, clock: Clock) -> None:
    limits = clock.limits(sqlite_database)
    limits.allowance_of(ANNA, HERE).begin_call()
    enter(limits.allowance_of(BEN, HERE))
    limits.note_refusal(HERE)
    limits._step()
    clock.at += 2 * MINUTE_S

    limits._step()

    assert (list(limits._clients), list(limits._addresses)) == (["anna"], [])


def test_more_addresses_than_are_told_apart_count_as_one(sqlite_database: Database, clock: Clock) -> None:
    limits = clock.limits(sqlite_database, most_addresses=5)

    let_in = [enter(limits.allowance_of(ANONYMOUS, f"192.0.2.{number}")) for number in range(100)]

    assert sum(let_in) == 5 + 10
    assert len(limits._addresses) == 6
    assert enter(limits.allowance_of(ANONYMOUS, "192.0.2.1"), 20) == 9
    assert enter(limits.allowance_of(ANNA, "192.0.2.99"), 20) == 10
    assert ALL_OTHERS in limits._addresses


def test_of_a_flood_of_addresses_some_are_written_at_once_and_the_others_later(
    sqlite_database: Database, clock: Clock
) -> None:
    limits = clock.limits(sqlite_database)
    for number in range(MOST_TOLD + 7):
        limits.note_refusal(f"10.0.{number // 256}.{number % 256}")

    limits.settle()
    assert len(stored(sqlite_database)) == MOST_TOLD
    limits.note_refusal("10.0.0.1")
    limits.settle()

    assert len(stored(sqlite_database)) == MOST_TOLD + 7
    assert (MINUTE, "address 10.0.0.1", "refusals", 2) in stored(sqlite_database)


def test_threads_lose_no_count(sqlite_database: Database, clock: Clock) -> None:
    limits = clock.limits(sqlite_database, Most(requests=10**6))

    def ask(_number: int) -> None:
        for _ in range(500):
            limits.allowance_of(ANNA, HERE).enter(brings_body=False)
        limits.settle()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))

    assert stored(sqlite_database) == {(MINUTE, "client anna", "requests", 4000)}
