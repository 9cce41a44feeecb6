"""Sends requests at a rate, and counts what became of them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING

from client.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from client.streams.messages import Outgoing, Writer
    from client.streams.requests import Payload

LAST_S = 60.0
"""Longer than a broker may take for a message: what is in hand by then is told."""
INTERRUPTED_S = 10.0
MOST_REASONS = 20


@dataclass
class Sent:
    """What became of the messages: how many are there, how many are not, and why."""

    total: int | None = None
    """So many there will be; None: nobody knows."""
    delivered: int = 0
    failed: int = 0
    size_bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)

    def count(self, message: Outgoing, reason: str) -> None:
        """Count a message that is there; with a reason, one that is not."""
        if reason:
            self.fail(reason)
        else:
            self.delivered += 1
            self.size_bytes += len(message.value)

    def fail(self, reason: str) -> None:
        """Count a message that is not there."""
        self.failed += 1
        if reason in self.reasons or len(self.reasons) < MOST_REASONS:
            self.reasons[reason] += 1

    def line(self) -> str:
        """How it stands, in words."""
        seconds = max(1e-3, time.monotonic() - self.started)
        of = "" if self.total is None else f" of {self.total:,}"
        failed = f", {self.failed:,} not" if self.failed else ""
        rate = f"{self.size_bytes / 1e6:,.1f} MB, {self.delivered / seconds:,.0f}/s"
        return f"{self.delivered:,}{of} sent{failed}, {rate}"


def repeated(payloads: Iterable[Payload], *, is_loop: bool, count: int | None) -> Iterator[Payload]:
    """All of them, again and again if that is wanted, and at most so many."""
    rounds = chain.from_iterable(repeat(payloads)) if is_loop else iter(payloads)
    return rounds if count is None else islice(rounds, count)


def send_all(
    writer: Writer,
    payloads: Iterable[Payload],
    prepare: Callable[[Payload], Outgoing],
    *,
    rate: float | None,
    fail: Callable[[Payload, str], None],
) -> None:
    """Send them, so many each second; a delay of more than a second is not made up for.

    `prepare` makes a message of a payload; `fail` is told of one that it could make none of, and why.

    However it ends, what is in hand is sent, as far as that goes.

    Raises:
        Refused: the topic takes nothing. InputError: a file cannot be read any more.
    """
    patience_s = INTERRUPTED_S
    try:
        next_at = time.monotonic()
        for payload in payloads:
            if rate is not None:
                writer.wait(max(0.0, next_at - time.monotonic()))
                next_at = max(next_at, time.monotonic() - 1.0) + 1 / rate
            try:
                message = prepare(payload)
            except ClientError as error:
                fail(payload, str(error))
            else:
                writer.send(message)
        patience_s = LAST_S
    finally:
        writer.finish(patience_s)
