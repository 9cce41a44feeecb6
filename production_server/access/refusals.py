"""Refusals on their way to the audit: each address has a few lines a minute, and the rest is counted."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from production_server.access.audit import Act, Noted
from production_server.access.records import Actor

MINUTE_S = 60.0
LINES_OF_ADDRESS = 10
"""Of one address, a minute: enough to see what somebody tries."""
LINES = 60
"""Of all addresses together: an attacker may have any number of them, and a disk has an end."""
COUNTED = 20
"""So many addresses have a count of their own for what is more; those of all others are one."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was refused, and when by the clock of this process."""

    noted: Noted
    at: float


class Refusals:
    """What one process has refused and nobody has written yet. Safe to share between threads; nothing here blocks."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._begun_at = clock()
        self._lines: Counter[str] = Counter()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._waiting: list[Refusal] = []

    def note(self, noted: Noted) -> None:
        """Keep a refusal, or count it."""
        with self._lock:
            self._end_minute()
            address = noted.by.address
            if self._lines[address] < LINES_OF_ADDRESS and self._lines.total() < LINES:
                self._lines[address] += 1
                self._waiting.append(Refusal(noted, self._clock()))
            else:
                self._count(address, str(noted.act))

    def take(self, *, all_of_it: bool = False) -> list[Refusal]:
        """What is to be written now; `all_of_it`: counts of this minute, too, for there will be no other."""
        with self._lock:
            self._end_minute(early=all_of_it)
            taken, self._waiting = self._waiting, []
        return taken

    def _count(self, address: str, act: str) -> None:
        is_apart = (address, act) in self._counts or len(self._counts) < COUNTED
        self._counts[address if is_apart else "", act] += 1

    def _end_minute(self, *, early: bool = False) -> None:
        at = self._clock()
        if early or at - self._begun_at >= MINUTE_S:
            for (address, act), count in self._counts.items():
                self._waiting.append(Refusal(Noted(by=Actor("", address=address), act=act, count=count), at))
            self._counts, self._lines, self._begun_at = Counter(), Counter(), at


def refusal_of(by: Actor, operation: str, code: str) -> Noted:
    """A request that was answered with 401 or 403."""
    return Noted(by=by, act=Act.REQUEST_REFUSED, object=operation, after={"code": code})


def refused_login(by: Actor, code: str) -> Noted:
    """A login with what opens nothing."""
    return Noted(by=by, act=Act.SESSION_REFUSED, after={"code": code})
