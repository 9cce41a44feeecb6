"""Refusals on their way to the audit: each address has a few lines a minute, and the rest is counted."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

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
        self._counts: dict[tuple[str, str], Refusal] = {}
        self._waiting: list[Refusal] = []

    def note(self, noted: Noted) -> None:
        """Keep a refusal, or count it."""
        with self._lock:
            self._end_minute()
            refusal, address = Refusal(noted, self._clock()), noted.by.address
            if self._lines[address] < LINES_OF_ADDRESS and self._lines.total() < LINES:
                self._lines[address] += 1
                self._waiting.append(refusal)
            else:
                self._count(refusal)

    def take(self, *, all_of_it: bool = False) -> list[Refusal]:
        """What is to be written now; `all_of_it`: counts of this minute, too, for there will be no other."""
        with self._lock:
            self._end_minute(early=all_of_it)
            taken, self._waiting = self._waiting, []
        return taken

    def _count(self, refusal: Refusal) -> None:
        noted = refusal.noted
        kind = noted.by.address, str(noted.act)
        if kind not in self._counts and len(self._counts) >= COUNTED:
            kind = "", kind[1]
        before = self._counts.get(kind)
        count = 1 if before is None else before.noted.count + 1
        summary = Noted(by=Actor("", address=kind[0]), act=noted.act, count=count)
        self._counts[kind] = replace(refusal, noted=summary)

    def _end_minute(self, *, early: bool = False) -> None:
        if early or self._clock() - self._begun_at >= MINUTE_S:
            self._waiting += self._counts.values()
            self._counts, self._lines, self._begun_at = {}, Counter(), self._clock()


def refusal_of(by: Actor, operation: str, code: str) -> Noted:
    """A request that was answered with 401 or 403."""
    return Noted(by=by, act=Act.REQUEST_REFUSED, object=operation, after={"code": code})


def refused_login(by: Actor, code: str) -> Noted:
    """A login with what opens nothing."""
    return Noted(by=by, act=Act.SESSION_REFUSED, after={"code": code})
