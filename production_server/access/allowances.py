"""What one client, or address, may still use, and how it is counted in this process. Knows no database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from production_server.access.meters import MINUTE_S, Meter, Moment
from production_server.errors import TooManyRequests

REQUESTS, ITEMS, BYTES, CALLS, REFUSALS = "requests", "items", "bytes", "calls", "refusals"
MOMENT_S = 0.05
"""How old a time may be: asking for it anew would be a fourth of what all of this costs a call."""
_TOLD = {
    REQUESTS: "requests in a minute",
    ITEMS: "items in a minute",
    BYTES: "bytes in a minute",
    CALLS: "calls at once",
    REFUSALS: "requests in a minute without a key that opens",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Most:
    """What each client may have: in a minute, of calls at once; refusals in a minute from each address. 0: anything."""

    requests: int = 0
    items: int = 0
    bytes: int = 0
    calls: int = 0
    refusals: int = 0


class Book:
    """Who has used something in this process, and by which clock. Safe to share between threads."""

    def __init__(self, clock: Callable[[], float], on_refusal: Callable[[str], None]) -> None:
        """`on_refusal` is told of each limit that keeps somebody out."""
        self.lock = threading.Lock()
        """Whoever counts, or looks at what was counted, has it; never for long."""
        self.untold: list[Allowance] = []
        """What other processes do not know all of yet."""
        self._clock = clock
        self._ahead_s = time.time() - clock()
        """By how much the clock of all processes is ahead of this one's; guessed until it is told."""
        self._moment: Moment = (0, 0.0)
        self._stale_at = clock()
        self._on_refusal = on_refusal

    def now(self) -> Moment:
        """What the clock of all processes says, or said a moment ago."""
        at = self._clock()
        if at >= self._stale_at:
            minutes = (at + self._ahead_s) / MINUTE_S
            minute = int(minutes)
            self._moment = minute, minute + 1 - minutes
            self._stale_at = at + MOMENT_S
        return self._moment

    def is_told(self, at: float) -> None:
        """It says this now, in seconds."""
        self._stale_at = self._clock()
        self._ahead_s = at - self._stale_at

    def refuse(self, limit: str, most: int, wait_s: float) -> NoReturn:
        """Keep somebody out.

        Raises:
            TooManyRequests: always.
        """
        self._on_refusal(limit)
        after_s = int(wait_s + MOMENT_S) + 1
        detail = f"more than {most} {_TOLD[limit]}: try again in {after_s} s"
        raise TooManyRequests(detail, limit=limit, most=most, retry_after_s=after_s)


class Allowance:
    """What one subject may still use. Safe to share between threads, but for its calls, which are one thread's."""

    __slots__ = (
        "_book", "_bytes", "_calls", "_is_untold", "_items", "_most_calls", "_refusals", "_requests", "is_limited",
    )  # fmt: skip

    def __init__(self, book: Book, subject: str, most: Most) -> None:
        """`subject`: what all processes call it."""
        self.is_limited = most != Most()
        self._book = book
        self._requests = Meter(subject, REQUESTS, most.requests)
        self._items = Meter(subject, ITEMS, most.items)
        self._bytes = Meter(subject, BYTES, most.bytes)
        self._refusals = Meter(subject, REFUSALS, most.refusals)
        self._is_untold = False
        self._most_calls = most.calls
        self._calls = 0

    def has_room(self, *, brings_body: bool) -> bool:
        """Whether a request would be let in now; counts nothing."""
        with self._book.lock:
            return self._full(self._book.now(), brings_body=brings_body) is None

    def enter(self, *, brings_body: bool) -> None:
        """Count a request.

        Raises:
            TooManyRequests: there is no room for it, or for its body.
        """
        if not self.is_limited:
            return
        with self._book.lock:
            at = self._book.now()
            full = self._full(at, brings_body=brings_body)
            if full is None:
                self._add(self._requests, 1, at)
        if full is not None:
            self._refuse(full)

    def add_bytes(self, count: int) -> None:
        """Count what was read of a request's body."""
        if count and self.is_limited:
            with self._book.lock:
                self._add(self._bytes, count, self._book.now())

    def take_items(self, count: int) -> int:
        """Count items; returns what `give_items_back` wants to know.

        Raises:
            TooManyRequests: there is no room for any.
        """
        if not self.is_limited:
            return 0
        return self._take(self._items, count)

    def give_items_back(self, count: int, taken: int) -> None:
        """They were not stored after all."""
        if self._items.most:
            with self._book.lock:
                self._note()
                self._items.take_back(count, taken)

    def begin_call(self) -> None:
        """Count a call until `end_call`.

        Raises:
            TooManyRequests: there are too many already.
        """
        if 0 < self._most_calls <= self._calls:
            # Nobody knows when one of the others is over; most take milliseconds.
            self._book.refuse(CALLS, self._most_calls, 0.0)
        self._calls += 1

    def end_call(self, body_bytes: int) -> None:
        """It is over, and so much of its body was read."""
        self._calls -= 1
        self.add_bytes(body_bytes)

    def check_refusals(self) -> None:
        """Look whether another key that an address brings may be looked for.

        Raises:
            TooManyRequests: too many have opened nothing.
        """
        with self._book.lock:
            is_full = self._refusals.is_full(self._book.now())
        if is_full:
            self._refuse(self._refusals)

    def note_refusal(self) -> None:
        """Count that a key has opened nothing.

        Raises:
            TooManyRequests: so have too many.
        """
        self._take(self._refusals, 1)

    def low(self) -> list[tuple[Meter, int, int]]:
        """The limits of which less than half is left: what that is, and for how many seconds there is no more of it."""
        meters = self._requests, self._items, self._bytes
        requests, items, read = meters
        if (
            requests.seen_left * 2 >= requests.most
            and items.seen_left * 2 >= items.most
            and read.seen_left * 2 >= read.most
        ):
            return []  # Each answer asks, and nearly always what was seen last is enough to say no.
        with self._book.lock:
            at = self._book.now()
            left = [(meter, max(0, int(meter.left(at)))) for meter in meters]
            return [
                (meter, some, MINUTE_S if some else int(meter.wait_s(at) + MOMENT_S) + 1)
                for meter, some in left
                if some * 2 < meter.most
            ]

    def take_own(self) -> list[tuple[Meter, dict[int, int]]]:
        """What other processes do not know yet; it counts as told from now on. For whoever holds the lock."""
        self._is_untold = False
        return [(meter, own) for meter in self._meters() if (own := meter.take_own())]

    def put_back(self, meter: Meter, own: Mapping[int, int]) -> None:
        """They were not told of it after all. For whoever holds the lock."""
        self._note()
        meter.put_back(own)

    def is_forgotten(self, before: int) -> bool:
        """Forget minutes that count no more; whether nothing is known of it then. For whoever holds the lock."""
        known = [meter for meter in self._meters() if not meter.forget(before)]
        return not (known or self._calls)

    def _meters(self) -> tuple[Meter, ...]:
        return self._requests, self._items, self._bytes, self._refusals

    def _full(self, at: Moment, *, brings_body: bool) -> Meter | None:
        """What keeps a request out."""
        if self._requests.is_full(at):
            return self._requests
        return self._bytes if brings_body and self._bytes.is_full(at) else None

    def _take(self, meter: Meter, count: int) -> int:
        with self._book.lock:
            at = self._book.now()
            is_full = meter.is_full(at)
            if not is_full:
                self._add(meter, count, at)
        if is_full:
            self._refuse(meter)
        return at[0]

    def _add(self, meter: Meter, count: int, at: Moment) -> None:
        if meter.most:
            if not self._is_untold:
                self._note()
            meter.add(count, at[0])

    def _note(self) -> None:
        if not self._is_untold:
            self._is_untold = True
            self._book.untold.append(self)

    def _refuse(self, full: Meter) -> NoReturn:
        with self._book.lock:
            wait_s = full.wait_s(self._book.now())
        self._book.refuse(full.kind, full.most, wait_s)


UNLIMITED = Allowance(Book(time.monotonic, lambda _limit: None), "", Most())
"""That of whoever asks on this machine itself: nothing is counted."""
