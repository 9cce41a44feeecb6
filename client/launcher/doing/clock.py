"""Time as the launcher needs it: how long it has been at work, and when it gives up."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class TimeIsUp(Exception):  # named for what happened, as all of them
    """Raised by a pause that would begin after the deadline; never seen by a user."""


@dataclass
class Clock:
    """Starts when it is made; `timeout_s` later it is over. Tests bring their own time."""

    timeout_s: float
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self.now()

    @property
    def elapsed_s(self) -> float:
        return self.now() - self._started

    def pause(self, seconds: float) -> None:
        """Wait a little before something is looked at again.

        Raises:
            TimeIsUp: The deadline is past.
        """
        left_s = self.timeout_s - self.elapsed_s
        if left_s <= 0:
            raise TimeIsUp
        self.sleep(min(seconds, left_s))

    def restarted(self, timeout_s: float) -> Clock:
        """Another deadline, from now on."""
        return Clock(timeout_s, self.now, self.sleep)
