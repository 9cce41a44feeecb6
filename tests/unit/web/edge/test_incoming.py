from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from production_server.errors import InvalidInput, Unavailable
from production_server.web.edge import incoming as module
from production_server.web.edge.incoming import Arrival, Incoming
from testing.event_loop import run_apart

KB = 1000


class Clock(asyncio.SelectorEventLoop):
    """An event loop in which nobody waits: its time goes to the next moment at which something is to be done."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]  # asyncio's own
            self.now = max(self.now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


@pytest.fixture
def clock() -> Iterator[Clock]:
    loop = Clock()
    yield loop
    loop.close()


def sends(*parts: tuple[float, int], end: bool = True) -> Callable[[], Any]:
    """A client that waits so many seconds before each of its parts; without an end it says no more after them."""
    left = list(parts)

    async def receive() -> Any:
        if not left:
            await asyncio.Event().wait()
        seconds, size = left.pop(0)
        await asyncio.sleep(seconds)
        return {"type": "http.request", "body": b"x" * size, "more_body": bool(left) or not end}

    return receive


async def receive_all(incoming: Incoming, receive: Callable[[], Any]) -> int:
    """The size of a body."""
    with incoming.arrival(receive) as arrival:
        while not arrival.is_whole:
            await arrival.next_part()
        return arrival.size


def test_a_byte_a_second_is_not_waited_for(clock: Clock) -> None:
    began_at = clock.now

    with pytest.raises(InvalidInput, match="the body came too slowly") as refused:
        run_apart(receive_all(Incoming(most_bytes=KB), sends(*[(1, 1)] * 1000)), clock)

    assert refused.value.code == "request_timeout"
    assert clock.now - began_at == pytest.approx(module.GRACE_S, abs=1)


def test_nothing_at_all_is_not_waited_for(clock: Clock) -> None:
    with pytest.raises(InvalidInput):
        run_apart(receive_all(Incoming(most_bytes=KB), sends(end=False)), clock)


def test_what_comes_fast_and_then_drips_is_not_waited_for_either(clock: Clock) -> None:
    began_at = clock.now

    with pytest.raises(InvalidInput):
        run_apart(receive_all(Incoming(most_bytes=10**9), sends((0, 59 * KB * KB), *[(1, 1)] * 1000)), clock)

    assert clock.now - began_at < module.CREDIT_S + 1


@pytest.mark.parametrize(
    ("parts", "seconds"),
    [
        ([(1, 250 * KB)] * 240, 240),  # 60 MB over 2 Mbit/s
        ([(1, 1200)] * 600, 600),
        ([(9, 40 * KB)] * 20, 180),
        ([(1, 100 * KB), (25, 100 * KB)] * 5, 130),
    ],
)
def test_an_honest_slow_line_is_waited_for(
    clock: Clock, parts: list[tuple[float, int]], seconds: float
) -> None:
    began_at = clock.now

    size = run_apart(receive_all(Incoming(most_bytes=10**9), sends(*parts)), clock)

    assert size == sum(each for _, each in parts)
    assert clock.now - began_at == pytest.approx(seconds)


def test_where_too_much_has_come_the_slowest_is_given_up_and_all_others_come_whole(clock: Clock) -> None:
    incoming = Incoming(most_bytes=100 * KB)
    slow = sends((0, 60 * KB), *[(1, 1100)] * 100)
    honest = sends((9, 30 * KB), *[(0.1, 5 * KB)] * 4)
    drips = sends((1, 10), *[(1, 1100)] * 100)

    async def receive() -> list[Any]:
        clients = [receive_all(incoming, each) for each in (slow, honest, drips)]
        return await asyncio.gather(*clients, return_exceptions=True)

    given_up, size, dripped = run_apart(receive(), clock)

    assert isinstance(given_up, Unavailable)
    assert size == 50 * KB
    assert isinstance(dripped, Unavailable)


def test_whoever_comes_while_everything_is_taken_by_drips_is_not_the_slowest(clock: Clock) -> None:
    incoming = Incoming(most_bytes=10 * KB * KB)
    drips = [sends((0, 4_990 * KB), *[(1, 1100)] * 60) for _ in range(2)]

    async def late() -> int:
        await asyncio.sleep(3)
        return await receive_all(incoming, sends((0.1, 64 * KB), *[(0.25, 64 * KB)] * 20))

    async def receive() -> list[Any]:
        clients = [late(), *(receive_all(incoming, each) for each in drips)]
        return await asyncio.gather(*clients, return_exceptions=True)

    size, *given_up = run_apart(receive(), clock)

    assert size == 21 * 64 * KB
    assert any(isinstance(each, Unavailable) for each in given_up)


def test_what_is_announced_costs_nothing(clock: Clock) -> None:
    incoming = Incoming(most_bytes=100 * KB)
    waiting = [sends((0.5, 1), (9, 1)) for _ in range(50)]

    async def receive() -> list[Any]:
        clients = [receive_all(incoming, each) for each in (*waiting, sends((1, 60 * KB), (0, 30 * KB)))]
        return await asyncio.gather(*clients)

    assert run_apart(receive(), clock) == [2] * 50 + [90 * KB]


def test_what_is_whole_is_not_given_up_and_what_is_done_with_is_not_counted() -> None:
    incoming = Incoming(most_bytes=100 * KB)

    async def receive() -> list[int]:
        sizes = []
        with incoming.arrival(sends((0, 40 * KB), (0, 40 * KB))) as kept:
            await all_of(kept)
            with pytest.raises(Unavailable):
                await receive_all(incoming, sends((0, 30 * KB), (0, 1)))
            sizes.append(await receive_all(incoming, sends((0, 10 * KB), (0, 1))))
        sizes.append(await receive_all(incoming, sends((0, 90 * KB), (0, 1))))
        return sizes

    assert run_apart(receive()) == [10 * KB + 1, 90 * KB + 1]


async def all_of(arrival: Arrival) -> None:
    while not arrival.is_whole:
        await arrival.next_part()
