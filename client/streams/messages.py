"""Messages that go and come, and what moves them, whichever library that is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message that goes: a request with its id."""

    id: str
    name: str
    """What the user calls what is in it: a file, or a row of one."""
    value: bytes
    headers: Mapping[str, str]

    def at(self, url: str) -> Outgoing:
        """The same request, whose value lies in a bucket."""
        headers = {**self.headers, "content-type": "application/json"}
        return replace(self, value=json.dumps({"url": url}).encode(), headers=headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A message that came; `sent_at` in seconds since the Unix epoch, as its topic keeps it."""

    value: bytes
    headers: Mapping[str, str]
    """By names in lower case."""
    place: str
    """topic/partition/offset, or subscription/id."""
    sent_at: float
    receipt: Any = None
    """What its reader confirms it by."""


Tell: TypeAlias = Callable[[Outgoing, str, str], None]
"""Called with each message that was sent: where it is now, or why it is nowhere."""

NOT_IN_TIME = "it was not sent in time"
"""Why a message is nowhere that was in hand when the connection was closed; it may have come all the same."""


class Writer(Protocol):
    """Sends messages; one thread calls it. It tells of each of them once, from within one of these."""

    @property
    def most_bytes(self) -> int:
        """The largest message that is taken."""

    def send(self, message: Outgoing) -> None:
        """Take a message, and send it soon; waits while much is in hand.

        Raises:
            Refused: the topic takes nothing: it is not there, or not for these credentials.
        """

    def wait(self, seconds: float) -> None:
        """Wait, and tell of what was sent meanwhile. Raises as `send`."""

    def finish(self, seconds: float) -> int:
        """Wait until nothing is in hand any more, at most so long; returns how many are. Raises as `send`."""

    def close(self) -> None:
        """Let go of the connection, and of what is in hand, which is told."""


class Reader(Protocol):
    """Receives messages; one thread calls it. Once it has begun, it goes on through outages of its broker."""

    @property
    def fault(self) -> str:
        """Why nothing comes now; empty: nothing is wrong."""

    def take(self, *, most: int, wait_s: float) -> Sequence[Incoming]:
        """What has come, waited for up to so long; at most `most`.

        Raises:
            Refused: there is no such place, or it is not for these credentials.
        """

    def confirm(self, taken: Sequence[Incoming]) -> None:
        """Have none of these come again to this group or subscription."""

    def close(self) -> None:
        """Leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic that there is."""

    name: str
    partitions: int | None = None
    """None: it has none, as those of Pub/Sub."""
    replication: int | None = None
    subscriptions: tuple[str, ...] = ()


class Topics(Protocol):
    """The topics of a broker.

    Everything raises:
        Refused: the broker says no, and why. Unavailable: nobody answers.
    """

    def list(self) -> Sequence[Topic]:
        """All that are the users'."""

    def create(self, name: str, *, partitions: int | None, replication: int | None) -> bool:
        """Have a topic; returns whether it was made now. Nothing is changed of one that there is."""

    def delete(self, name: str) -> bool:
        """Delete a topic with all that is in it; returns whether there was one."""

    def close(self) -> None:
        """Let go of the connection."""
