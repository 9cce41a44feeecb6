"""What a process counts of a stream, from its start on."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from production_server.jobs.stream_members import ANSWERED_WITHIN_S


@dataclass(slots=True)
class Counts:
    """Each number is changed by one thread: `told` and what follows by the teller's, the others by the receiver's."""

    messages: int = 0
    items: int = 0
    refused: int = 0
    known: int = 0
    """Items of messages that were taken before."""
    told: int = 0
    """Results and refusals."""
    answered: list[int] = field(default_factory=lambda: [0] * (len(ANSWERED_WITHIN_S) + 1))
    """How many results were told within each of `ANSWERED_WITHIN_S` from their messages on, and how many later."""
    answered_s: float = 0.0
    """The sum of these times."""

    def note_answered(self, seconds: float) -> None:
        """A result was told so long after its message was sent; the clocks are those of two machines."""
        self.answered[bisect_left(ANSWERED_WITHIN_S, seconds)] += 1
        self.answered_s += max(0.0, seconds)

    def as_told(self) -> Mapping[str, Any]:
        """For the list of processes."""
        return {
            "messages": self.messages,
            "items": self.items,
            "known": self.known,
            "refused": self.refused,
            "told": self.told,
            "answered": list(self.answered),
            "answered_s": self.answered_s,
        }
