"""What a worker loads beside its work, so that no batch waits for it: what channels name, and what they are to name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from production_server.inference import Engine
from production_server.serving.canaries import Canaries
from production_server.serving.known_standings import KnownStandings
from production_server.serving.rollouts import Rollouts
from production_server.worker.observing import Observing
from production_server.worker.replaying import Replaying

LOOK_EVERY_S = 0.5


@dataclass(slots=True)
class Loading:
    """Loads versions, tells that it has, and moves the channels on that wait for it."""

    engine: Engine
    known: KnownStandings
    rollouts: Rollouts
    tell: Callable[[], None]
    """Tells what this worker has loaded."""
    replaying: Replaying
    observing: Observing
    canaries: Canaries
    _told: object = None

    def look(self) -> bool:
        """Load what is to be loaded and is not; there is never more to do at once.

        Raises:
            Unavailable: the database does not answer.
        """
        self.engine.load_wanted()
        state = self.engine.loaded, self.engine.failing
        if state != self._told:
            self.tell()
            self._told = state
        if any(standing.coming for standing in self.known.now().values()):
            self.replaying.look()
            self.rollouts.move_on()
        self.observing.tell()
        self.canaries.look()
        return False
