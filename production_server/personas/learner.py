"""The loop of personas: faces are found, what people said is learnt, and faces are judged by it; each as it comes.

Any number of processes may take steps: each step is a transaction under one lock, so whatever is killed leaves nothing
half, and nothing that is held.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

from production_server.errors import NotFound
from production_server.jobs.database import Database
from production_server.models.registry import Registry
from production_server.models.tasks.faces import Faces
from production_server.personas.finding import find_faces
from production_server.personas.learning import judge_some, relearn
from production_server.personas.records import Embedder
from production_server.personas.state import State, look

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
WAIT_S = 2.0
"""So long after the first change more are waited for …"""
MOST_WAITING = 10
"""… or until there are so many."""


@dataclass(frozen=True, slots=True)
class Learner:
    """Takes the steps of one process."""

    database: Database
    embedders: Callable[[], Collection[Embedder]]
    """Whose answers have faces."""

    def step(self) -> bool:
        """Do some of what there is to do; returns whether there may be more at once.

        Raises:
            Unavailable: the database does not answer.
        """
        has_found = find_faces(self.database, self.embedders()) > 0
        with self.database.read() as connection:
            is_due = _is_due(look(connection))
        if is_due:
            relearn(self.database)
        change = judge_some(self.database)
        if change is not None and change.is_done and change.changed:
            log.info("persona classifier %d: %s", change.number, change)
        return has_found or is_due or change is not None


def embedders_of(registry: Registry) -> list[Embedder]:
    """All versions that find faces."""
    found: list[Embedder] = []
    for model in registry.model_names():
        try:
            versions = registry.versions(model)
        except NotFound:  # It was taken away meanwhile.
            continue
        found += [Embedder(*each.key) for each in versions if isinstance(each.task, Faces)]
    return found


def _is_due(state: State) -> bool:
    if state.waited_s is None:
        return False
    # A time in the future is from before the clock was set back.
    return state.waiting >= MOST_WAITING or not 0 <= state.waited_s < WAIT_S
