"""Receives answers, each once, and counts them: how many, how fast, and how long they took."""

from __future__ import annotations

import time
from collections import deque
from statistics import quantiles
from typing import TYPE_CHECKING

from client.errors import Unavailable
from client.streams.answers import read_answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from client.streams.answers import Answer
    from client.streams.messages import Reader

AT_ONCE = 500
WAIT_S = 0.2
WINDOW_S = 5.0
LATENCIES = 10_000
KNOWN = 100_000
"""So many results are known again, should they come twice."""


class Received:
    """What has come so far."""

    def __init__(self) -> None:
        self.count = self.failed = self.refused = self.others = self.repeated = 0
        self._known: dict[str, None] = {}
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self._times: deque[tuple[float, int]] = deque()
        self._first = self._last = 0.0

    @property
    def are_all_well(self) -> bool:
        return not (self.failed or self.refused)

    def new(self, answers: Sequence[Answer]) -> list[Answer]:
        """Count answers; returns those that did not come before."""
        fresh = [each for each in answers if self._is_new(each)]
        for each in fresh:
            self._count(each)
        if fresh:
            self._last = time.monotonic()
            self._first = self._first or self._last
            self._times.append((self._last, len(fresh)))
        return fresh

    def line(self) -> str:
        """How it stands, in words; the rate is that of the latest seconds."""
        now = time.monotonic()
        while self._times and self._times[0][0] < now - WINDOW_S:
            self._times.popleft()
        latest = sum(count for _, count in self._times)
        return self._words(latest / min(WINDOW_S, max(1.0, now - self._first)))

    def summary(self) -> str:
        """How it was, in words; the rate is that from the first to the last."""
        seconds = self._last - self._first
        return self._words(self.count / seconds if seconds else 0.0)

    def _words(self, rate: float) -> str:
        counts = {
            "failed": self.failed, "refused": self.refused, "no results": self.others, "came twice": self.repeated,
        }  # fmt: skip
        parts = [
            f"{self.count:,} received",
            *(f"{count:,} {what}" for what, count in counts.items() if count),
        ]
        if rate:
            parts.append(f"{rate:,.0f}/s")
        if len(self._latencies) > 1:
            cuts = quantiles(self._latencies, n=100, method="inclusive")
            parts.append(
                f"from sent to told {cuts[49] * 1000:,.0f} ms (p50), {cuts[98] * 1000:,.0f} ms (p99)"
            )
        return ", ".join(parts)

    def _is_new(self, answer: Answer) -> bool:
        if answer.identity in self._known:
            self.repeated += 1
            return False
        self._known[answer.identity] = None
        if len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]
        return True

    def _count(self, answer: Answer) -> None:
        self.count += 1
        if answer.result is None:
            self.others += 1
        elif answer.result.state == "refused":
            self.refused += 1
        elif answer.result.state != "succeeded":
            self.failed += 1
        if answer.latency_s is not None:
            self._latencies.append(answer.latency_s)


def receive(
    reader: Reader, received: Received, *, count: int | None, timeout_s: float | None
) -> Iterator[list[Answer]]:
    """Yield answers as they come, until there are so many, or that time is over; what was yielded is confirmed.

    Nothing is yielded where nothing came for a moment, so that whoever follows may show how it stands.

    Raises:
        Unavailable: fewer than `count` came in time. Refused: there is no such place, or not for these credentials.
    """
    started = time.monotonic()
    while count is None or received.count < count:
        left_s = WAIT_S if timeout_s is None else min(WAIT_S, started + timeout_s - time.monotonic())
        if left_s <= 0:
            if count is not None:
                raise Unavailable(f"{received.count:,} of {count:,} came within {timeout_s:g} s")
            return
        most = AT_ONCE if count is None else min(AT_ONCE, count - received.count)
        taken = reader.take(most=most, wait_s=left_s)
        yield received.new([read_answer(each) for each in taken])
        reader.confirm(taken)
