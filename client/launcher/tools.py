"""What the launcher works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from client.launcher.clock import Clock
    from client.launcher.cloud import Cloud
    from client.launcher.report import TimedReport
    from client.launcher.surroundings import Surroundings


@dataclass(frozen=True)
class Tools:
    """The cloud, the world around the instance, the time, and who is told what goes on."""

    cloud: Cloud
    surroundings: Surroundings
    clock: Clock
    report: TimedReport
