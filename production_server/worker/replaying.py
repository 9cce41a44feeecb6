"""Has a version that is loaded answer what is stored, before a channel names it; one worker does, for all."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from production_server.errors import CeleriacError, NotFound
from production_server.inference import Engine
from production_server.jobs.channels import read_standing
from production_server.jobs.database import Database
from production_server.jobs.past_answers import past_answers
from production_server.jobs.rollouts import Rollout, claim_replay, open_rollouts, store_replay
from production_server.learning.replay import LONGEST_S, MOST_ITEMS, Replay, replay
from production_server.models.channels import STABLE, Standing
from production_server.models.registry import Registry
from production_server.models.store import ModelVersion
from production_server.models.tasks.task import Prediction
from production_server.serving.changes import channels_of
from production_server.settings import Settings

log = logging.getLogger(__name__)

LEASE_S = 3 * LONGEST_S
"""Somebody who has it in hand for longer has died, or hangs."""


@dataclass(frozen=True, slots=True)
class Replaying:
    """Looks at rollouts whose version this worker has loaded."""

    engine: Engine
    settings: Settings
    database: Database
    registry: Registry

    def look(self) -> None:
        """Have each version answer that nobody has asked yet.

        Raises:
            Unavailable: the database does not answer.
        """
        with self.database.read() as connection:
            waiting = [each for each in open_rollouts(connection) if each.replay is None]
        loaded = self.engine.loaded
        for found in waiting:
            if (found.model, found.version) in loaded and self._claims(found):
                told = self._replay(found)
                with self.database.write() as connection:
                    store_replay(connection, found.id, told.model_dump(mode="json"))

    def _claims(self, found: Rollout) -> bool:
        with self.database.write() as connection:
            return claim_replay(connection, found.id, lease_s=LEASE_S)

    def _replay(self, found: Rollout) -> Replay:
        with self.database.read() as connection:
            against = self._against(found, read_standing(connection, found.model))
            past = past_answers(connection, found.model, against, most=MOST_ITEMS)
        nothing = Replay(against=against, items=0, disagreements=0, others=(), seconds=0.0)
        if against == found.version:
            return nothing
        try:
            version = self.registry.version(found.model, found.version)
            return replay(version, against, past, lambda inputs: self._predict(version, inputs))
        except CeleriacError as exc:
            log.warning("%s/%s answers nothing that is stored: %s", found.model, found.version, exc)
        except Exception:
            # A comparison that fails keeps nobody from promoting.
            log.exception("%s/%s was not compared with %s", found.model, found.version, against)
        return nothing

    def _predict(self, version: ModelVersion, inputs: Sequence[bytes]) -> list[Prediction | CeleriacError]:
        limit = self.settings.max_image_pixels
        batch = self.engine.predict_batch(*version.key, inputs, max_pixels=limit)
        return [outcome.result for outcome in batch.outcomes]

    def _against(self, found: Rollout, standing: Standing) -> str:
        """The version that clients get now."""
        try:
            return channels_of(self.registry, found.model, standing).get(STABLE, found.version)
        except NotFound:
            return found.version
