"""What the launcher works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from client.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from client.launcher.cloud import Cloud
    from client.launcher.doing.clock import Clock
    from client.launcher.doing.report import TimedReport
    from client.launcher.machine.surroundings import Surroundings

RETRY_S = 2.0

T = TypeVar("T")


@dataclass(frozen=True)
class Tools:
    """The cloud, the world around the instance, the time, and who is told what goes on."""

    cloud: Cloud
    surroundings: Surroundings
    clock: Clock
    report: TimedReport

    def patiently(self, call: Callable[[], T]) -> T:
        """Call what may be repeated, until the cloud answers.

        Raises:
            TimeIsUp: It did not until the deadline.
            Unavailable: It does not answer, for a reason that does not pass.
        """
        while True:
            try:
                return call()
            except Unavailable as failure:
                if not failure.is_passing:
                    raise
                self.report.stage(f"trying again: {failure}")
            self.clock.pause(RETRY_S)
