"""What a worker has for each bucket that it fetches from: threads of its own, and what it knows of how it answers.

A bucket that is slow keeps its own threads busy, and nobody else's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from production_server.errors import StorageUnavailable

log = logging.getLogger(__name__)

SILENT_AFTER = 8
"""A bucket that answers about none of so many objects does not answer: the rest need not be asked for."""
GONE_AFTER_S = 10.0
"""… nor does one that has answered, and then not about so many in a row, for so long."""


class Lane:
    """One bucket's threads, shared by whoever has a chunk of it in hand."""

    def __init__(self, bucket: str, *, fetches: int) -> None:
        self.hands = 0
        self.answers = 0
        """How often anything of it came, or a reason why not."""
        self.answered_at = 0.0
        """When that was last, by the monotonic clock; 0: never."""
        self.pool = ThreadPoolExecutor(fetches, thread_name_prefix=f"fetch {bucket}")

    def close(self) -> None:
        """End its threads, as soon as what they ask for has come."""
        self.pool.shutdown(wait=False, cancel_futures=True)


@dataclass(slots=True)
class Attempt:
    """One go at the objects of a chunk; what its fetches know of each other."""

    lane: Lane
    begins_at: float = 0.0
    """How far on among them it begins: elsewhere each time, so that none is always behind others that do not come."""
    is_probe: bool = False
    """Nothing else is asked for before the first answer."""
    is_last: bool = False
    """What does not come now fails."""
    on_answer: Callable[[], None] = lambda: None
    """Called with the first answer."""
    progress_at: float = field(default_factory=time.monotonic)
    _answers_before: int = 0
    _has_answered: bool = False
    _answered_at: float = 0.0
    _vain_in_a_row: int = 0
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._answers_before = self.lane.answers

    @property
    def has_answered(self) -> bool:
        """Whether anything has come of this chunk."""
        return self._has_answered

    @property
    def is_in_doubt(self) -> bool:
        """Whether the last object that was asked for has not come: then the next one is asked for once."""
        return self._vain_in_a_row > 0 or (self.is_probe and not self._has_answered)

    @property
    def is_bucket_silent(self) -> bool:
        """Whether its bucket has answered nobody since this began."""
        return self.lane.answers == self._answers_before

    def came(self) -> None:
        """The bucket has answered about an object."""
        with self._changing:
            is_first = not self._has_answered
            self._has_answered = True
            self._vain_in_a_row = 0
            self.lane.answers += 1
            self.progress_at = self._answered_at = self.lane.answered_at = time.monotonic()
        if is_first:
            self.on_answer()

    def missed(self, exc: StorageUnavailable, *, is_slow: bool = False) -> StorageUnavailable:
        """Give up an object that has not come.

        `is_slow`: its bucket was waited for in vain. If it never answered, each other object would take as long.

        Raises:
            StorageUnavailable: the others will not come either.
        """
        with self._changing:
            if self._vain_in_a_row == 0:
                log.warning("%s; trying on", exc.with_place)
            self._vain_in_a_row += 1
            self.progress_at = time.monotonic()
            if self._has_gone() or (is_slow and self.lane.answers == 0):
                raise exc
        return exc

    def _has_gone(self) -> bool:
        is_silent = self._vain_in_a_row >= SILENT_AFTER
        if not self._has_answered:
            return self.is_probe or is_silent
        # At last each is asked for, if any comes: what was behind others must not fail with them.
        return is_silent and not self.is_last and time.monotonic() - self._answered_at > GONE_AFTER_S
