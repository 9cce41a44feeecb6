"""Versions that channels are to name as soon as every worker has loaded them, as rows.

Each function is a step of somebody's transaction, who holds the lock of `channels` where he changes something.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, insert, select, update

from production_server.errors import NotFound
from production_server.jobs.clock import is_ahead, is_older
from production_server.jobs.database import now
from production_server.jobs.job_row import uuid7
from production_server.jobs.tables import rollout

RolloutState = Literal["loading", "live", "refused", "overtaken"]
"""`overtaken`: the channel was changed otherwise meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRollout:
    """What a channel is to name; `actor` is JSON, and comes back as it is."""

    model: str
    channel: str
    version: str
    before: str | None
    """What it names until then; None: nothing."""
    despite: str | None = None
    """The checks of the gate that had failed and that somebody overrode, with spaces between; None: there were none."""
    percent: float | None = None
    """Of a canary: what it is to get of the work that asks for no version."""
    reason: str
    actor: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout(NewRollout):
    """How that stands. Times in seconds since the Unix epoch, UTC."""

    id: UUID
    state: RolloutState
    told: str
    """Why the channel does not name it; empty as long as it may yet."""
    began_at: float
    ended_at: float | None
    replay: Mapping[str, Any] | None
    """What it answers to stored inputs, as JSON; None: nobody has looked."""

    @property
    def client(self) -> str:
        """Who wants it."""
        return str(self.actor["client"])


def add_rollout(connection: Connection, new: NewRollout) -> Rollout:
    """Have workers load a version, for a channel that is to name it; another one that is open is overtaken."""
    overtake(connection, new.model, new.channel, f"version {new.version} was promoted after it")
    told = {name: getattr(new, name) for name in NewRollout.__dataclass_fields__}
    rollout_id = uuid7()
    connection.execute(
        insert(rollout).values(
            id=rollout_id, state="loading", began_at=now(), **told | {"actor": dict(new.actor)}
        )
    )
    return get_rollout(connection, rollout_id)


def overtake(connection: Connection, model: str, channel: str, told: str) -> None:
    """End what is open for that channel: it is changed otherwise."""
    for each in open_rollouts(connection):
        if (each.model, each.channel) == (model, channel):
            end_rollout(connection, each.id, "overtaken", told)


def open_rollouts(connection: Connection) -> list[Rollout]:
    """Those of all models that are not over, the oldest first."""
    return _found(connection, select(rollout).where(rollout.c.state == "loading").order_by(rollout.c.id))


def list_rollouts(connection: Connection, model: str, *, limit: int) -> list[Rollout]:
    """Those of a model, the latest first."""
    query = select(rollout).where(rollout.c.model == model).order_by(rollout.c.id.desc()).limit(limit)
    return _found(connection, query)


def get_rollout(connection: Connection, rollout_id: UUID, *, model: str | None = None) -> Rollout:
    """One of them; of `model`, if that is given.

    Raises:
        NotFound: there is no such rollout (code `rollout_not_found`).
    """
    for found in _found(connection, select(rollout).where(rollout.c.id == rollout_id)):
        if model in (None, found.model):
            return found
    raise NotFound(f"there is no rollout {rollout_id}", code="rollout_not_found")


def has_begun_before(connection: Connection, rollout_id: UUID, age_s: float) -> bool:
    """Whether one of them began so long ago."""
    is_it = (rollout.c.id == rollout_id) & is_older(rollout.c.began_at, age_s)
    return connection.execute(select(rollout.c.id).where(is_it)).first() is not None


def claim_replay(connection: Connection, rollout_id: UUID, *, lease_s: float) -> bool:
    """Take it in hand to look what its version answers to stored inputs; whether nobody else has."""
    is_free = rollout.c.replay_until.is_(None) | ~is_ahead(rollout.c.replay_until)
    is_it = (
        (rollout.c.id == rollout_id) & (rollout.c.state == "loading") & rollout.c.replay.is_(None) & is_free
    )
    return bool(
        connection.execute(update(rollout).where(is_it).values(replay_until=now() + lease_s)).rowcount
    )


def store_replay(connection: Connection, rollout_id: UUID, replay: Mapping[str, Any]) -> None:
    """Write down what its version answers to stored inputs."""
    connection.execute(update(rollout).where(rollout.c.id == rollout_id).values(replay=dict(replay)))


def end_rollout(connection: Connection, rollout_id: UUID, state: RolloutState, told: str = "") -> None:
    """Write down what became of it; one that is over stays as it is."""
    is_it = (rollout.c.id == rollout_id) & (rollout.c.state == "loading")
    connection.execute(update(rollout).where(is_it).values(state=state, told=told, ended_at=now()))


def _found(connection: Connection, query: Any) -> list[Rollout]:
    columns = [rollout.c[name] for name in Rollout.__dataclass_fields__]
    return [Rollout(**row._asdict()) for row in connection.execute(query.with_only_columns(*columns))]
