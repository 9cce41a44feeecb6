"""Workers of which there is only the heartbeat, for tests of what waits for them."""

from __future__ import annotations

from collections.abc import Mapping

from production_server.jobs.database import Database
from production_server.jobs.rollouts import open_rollouts, store_replay
from production_server.jobs.workers import beat
from production_server.learning.replay import Replay

NOTHING_STORED = Replay(against="1", items=0, disagreements=0, others=(), seconds=0.0).model_dump(mode="json")


def has_loaded(
    database: Database, name: str, *versions: str, failing: Mapping[str, str] | None = None
) -> None:
    """A worker has loaded these, as model/version, and not those, and there was nothing stored to answer."""
    beat(database, name, warm=versions, items_done=0, failing=dict(failing or {}))
    with database.write() as connection:
        for each in open_rollouts(connection):
            if f"{each.model}/{each.version}" in versions:
                store_replay(connection, each.id, NOTHING_STORED)
