"""What all kinds of streams have in common: messages that come and go, and the two protocols that move them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that came; `sent_at` in seconds since the Unix epoch, as the stream keeps it."""

    value: bytes
    key: bytes | None
    headers: Mapping[str, str]
    """By names in lower case; of several of one name the last one."""
    place: str
    """Where it stands, as people are told it: topic/partition/offset, or subscription/id."""
    sent_at: float
    receipt: Any
    """What its source confirms it by."""

    def digest(self, stream: str) -> bytes:
        """By what it is known when it comes again: SHA-256 over its stream, its place, when it was sent, and its value.

        The time and the value tell a topic that was made anew, whose offsets begin at 0 again.
        """
        digest = hashlib.sha256(f"{stream}\0{self.place}\0{self.sent_at!r}\0".encode())
        digest.update(self.value)
        return digest.digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message that goes."""

    value: bytes
    key: bytes | None
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """What a source knows of itself."""

    lag: Mapping[str, int | None]
    """By partition that this process reads: how many messages wait there; None: not known."""
    fault: str = ""
    """Why nothing comes; empty: nothing is wrong."""


class Source(Protocol):
    """Where messages come from. All is called by one thread; `close` ends it."""

    def take(self, *, most: int, wait_s: float) -> list[Message]:
        """What has come, waited for up to so long; at most `most`. Must be called again and again, paused or not."""

    def confirm(self, taken: Sequence[Message]) -> None:
        """Have none of these come again, if that can be had; they are stored."""

    def set_paused(self, *, paused: bool) -> None:
        """Have nothing come until it is set otherwise."""

    def state(self) -> SourceState:
        """How it stands; asks nobody for long."""

    def close(self) -> None:
        """Leave, so that others get what this process would have got."""


class Sink(Protocol):
    """Where messages go. All is called by one thread."""

    def send(self, topic: str, messages: Sequence[Outgoing]) -> list[bool]:
        """Send messages in order; returns of each whether it was taken: one that is not never will be, being too large.

        Raises:
            Unavailable: they could not be sent now; some may have been.
        """

    def close(self) -> None:
        """Let go of the connection."""
