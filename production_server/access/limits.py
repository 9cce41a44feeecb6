"""Limits of clients and addresses: what is let in is counted in memory, and settled with all processes each second.

So a limit is overrun by what the processes let in within that second, and by the last thing, whose size is not asked.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping

from production_server.access.addresses import counted_as
from production_server.access.allowances import UNLIMITED, Allowance, Book, Most
from production_server.access.meters import Meter
from production_server.access.rate_windows import Counter, Counts, RateWindows
from production_server.access.records import Client
from production_server.errors import Unavailable
from production_server.loop import Loop

log = logging.getLogger(__name__)

SETTLE_EVERY_S = 1.0
MOST_ADDRESSES = 10_000
"""That are told apart in one process, within two minutes, in 30 MB at most. All others count as one."""
MOST_TOLD = 1000
"""Of clients and addresses in one transaction: those of a flood would keep all others from SQLite for seconds."""
ALL_OTHERS = "others"
_Own = tuple[Allowance, Meter, Mapping[int, int]]
"""What this process alone knows that was used, by minute."""


class Limits:
    """What all clients and addresses may still use. Safe to share between threads; nothing but `close` blocks."""

    def __init__(
        self,
        windows: RateWindows,
        most: Most,
        *,
        on_refusal: Callable[[str], None] = lambda _limit: None,
        clock: Callable[[], float] = time.monotonic,
        most_addresses: int = MOST_ADDRESSES,
    ) -> None:
        """`on_refusal` is told of each limit that keeps somebody out."""
        self._most = most
        self._windows = windows
        self._book = Book(clock, on_refusal)
        self._clients: dict[str, Allowance] = {}
        self._addresses: dict[str, Allowance] = {}
        self._most_addresses = most_addresses
        self._swept_in = 0
        self._loop = Loop("limits", self._step, pause_s=SETTLE_EVERY_S)

    def start(self) -> None:
        """Settle with the other processes, from now on."""
        self._loop.start()

    def close(self) -> None:
        """Settle for the last time; what cannot be told is lost."""
        self._loop.stop()
        try:
            self.settle()
        except Unavailable as exc:
            log.warning("what clients used last is not counted: %s", exc)

    def allowance_of(self, client: Client, address: str) -> Allowance:
        """What a client may use, who asks from this address; where nobody needs a key, what the address may."""
        counted = counted_as(address)
        if counted is None:
            return UNLIMITED
        if not client.key_id:
            return self._of_address(counted)
        known = self._clients.get(client.name)
        return known or self._clients.setdefault(client.name, self._new("client", client.name))

    def check_refusals(self, address: str) -> None:
        """Raise where so many keys from an address have opened nothing that nobody looks for another one.

        Raises:
            TooManyRequests: that is so.
        """
        counted = counted_as(address)
        if counted is not None:
            self._of_address(counted).check_refusals()

    def note_refusal(self, address: str) -> None:
        """Count that a key from an address has opened nothing.

        Raises:
            TooManyRequests: so have too many.
        """
        counted = counted_as(address)
        if counted is not None:
            self._of_address(counted).note_refusal()

    def settle(self) -> None:
        """Tell other processes what this one has counted, or some of it, and learn what they have. Blocks.

        Raises:
            Unavailable: the database does not answer; it is told of another time.
        """
        own = self._take_own()
        if not own:
            return
        try:
            settled = self._windows.settle(_together(own))
        except BaseException:
            with self._book.lock:
                for allowance, meter, minutes in own:
                    allowance.put_back(meter, minutes)
            raise
        self._book.is_told(settled.at)
        with self._book.lock:
            for _, meter, _ in own:
                meter.learn(settled.used.get((meter.subject, meter.kind), {}))

    def _take_own(self) -> list[_Own]:
        with self._book.lock:
            untold = self._book.untold
            untold, self._book.untold = untold[:MOST_TOLD], untold[MOST_TOLD:]
            return [(each, meter, own) for each in untold for meter, own in each.take_own()]

    def _step(self) -> bool:
        self._sweep()
        self.settle()
        return False

    def _sweep(self) -> None:
        """Forget, once a minute, what counts no more, and who has used nothing lately."""
        minute = self._book.now()[0]
        if minute == self._swept_in:
            return
        self._swept_in = minute
        for known in (self._clients, self._addresses):
            for name, allowance in list(known.items()):
                with self._book.lock:
                    if allowance.is_forgotten(minute - 1):
                        del known[name]

    def _of_address(self, counted: str) -> Allowance:
        known = self._addresses.get(counted)
        if known is not None:
            return known
        if len(self._addresses) >= self._most_addresses:
            counted = ALL_OTHERS
        return self._addresses.setdefault(counted, self._new("address", counted))

    def _new(self, kind: str, name: str) -> Allowance:
        return Allowance(self._book, f"{kind} {name}", self._most)


def _together(own: Iterable[_Own]) -> Counts:
    """What was counted of each subject. One that was forgotten and came again while it was counted has two meters."""
    counts: dict[Counter, dict[int, int]] = {}
    for _, meter, minutes in own:
        used = counts.setdefault((meter.subject, meter.kind), {})
        for minute, count in minutes.items():
            used[minute] = used.get(minute, 0) + count
    return counts
