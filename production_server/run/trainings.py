"""Training models again, in a process of its own or beside the embedded server: composition."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import literal, select

from production_server.errors import Fault, SettingsError
from production_server.intake.imports import ImportIntake
from production_server.loop import Loop
from production_server.models.remote_store import remote_store_of
from production_server.parts import SharedParts
from production_server.retraining.own_training import check_can_train
from production_server.retraining.policies import Policy, policies_in
from production_server.retraining.publishing import Publishing
from production_server.retraining.runner import LOOK_EVERY_S, Runner
from production_server.run.opened_serving import promotion_gate
from production_server.run.own_process import run_alone
from production_server.serving.serving import Serving
from production_server.settings import Settings

log = logging.getLogger(__name__)

HEARTBEAT_S = 3.0


@dataclass(slots=True)
class Trainings:
    """What trains in this process, from `start` to `close`."""

    shared: SharedParts
    policies: Mapping[str, Policy]
    _runner: Runner = field(init=False)
    _loops: tuple[Loop, ...] = ()

    def __post_init__(self) -> None:
        shared, settings = self.shared, self.shared.settings
        check_can_train(self.policies, settings)
        serving = Serving(
            shared.database,
            shared.registry,
            shared.standings,
            settings.model_stores[-1],
            promotion_gate(settings),
            remote_store_of(settings),
        )
        self._runner = Runner(
            database=shared.database,
            registry=shared.registry,
            intake=shared.intake,
            publishing=Publishing(shared.database, ImportIntake(settings, shared.database), serving.promote),
            storage=shared.storage,
            settings=settings,
            policies=self.policies,
        )

    def start(self) -> None:
        """Begin to look for what is due."""
        runner = self._runner
        renew_s = self.shared.settings.lease_s / 3
        self._loops = (
            Loop("training", runner.step, pause_s=LOOK_EVERY_S, stopping=runner.stopping),
            Loop("lease of a training", runner.renew_lease, pause_s=renew_s),
            Loop("heartbeat of a trainer", self._beat, pause_s=HEARTBEAT_S),
        )
        for loop in self._loops:
            loop.start()
        log.info("trains again: %s", ", ".join(self.policies))

    def close(self) -> None:
        """End what is in hand, with which another process goes on, or this one at its next start."""
        self._runner.close()
        for loop in self._loops:
            loop.stop()

    def _beat(self) -> bool:
        """Tell a health check that this process lives, and that the database answers it."""
        with self.shared.database.read() as connection:
            connection.execute(select(literal(1)))
        if self.shared.settings.heartbeat_file is not None:
            self.shared.settings.heartbeat_file.touch()
        return False


def run_trainer(settings: Settings) -> None:
    """Train until SIGTERM or SIGINT.

    Raises:
        SettingsError: there are no policies, or they cannot be used. Others as `run_alone`.
    """
    policies = policies_in(settings.learning_file)
    if not policies:
        raise SettingsError((Fault("LEARNING_FILE", "a file of policies", "nothing"),))
    run_alone(settings, lambda shared: Trainings(shared, policies))
