"""Moving a channel when every worker has loaded what it is to name, so that no call waits for that."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import Connection

from production_server.access.audit import Act, Notes
from production_server.access.records import Actor
from production_server.errors import Conflict, NotFound
from production_server.jobs import channels as rows
from production_server.jobs import rollouts
from production_server.jobs.channels import Change, NewEvent
from production_server.jobs.database import Database
from production_server.jobs.records import WorkerInfo
from production_server.jobs.rollouts import NewRollout, Rollout
from production_server.jobs.workers import alive_among
from production_server.models.channels import CANARY, STABLE, Standing
from production_server.models.registry import Registry
from production_server.serving.changes import changing, channels_of, end_canary, tell
from production_server.serving.known_standings import KnownStandings

LONGEST_LOAD_S = 300.0
"""A version that some worker has not loaded by then does not serve: nobody is to wonder for longer."""
LOOK_EVERY_S = 0.1


def _pause(seconds: float) -> bool:
    time.sleep(seconds)
    return True


@dataclass(frozen=True, slots=True)
class Rollouts:
    """Rollouts of a service. Every worker moves them on, and whoever waits for one; each step is one transaction."""

    database: Database
    registry: Registry
    known: KnownStandings

    def move_on(self) -> None:
        """Let each that is open move its channel, or be refused, if it is known which.

        Raises:
            Unavailable: the database does not answer.
        """
        with self.database.read() as connection:
            found = rollouts.open_rollouts(connection)
        for each in found:
            self._move_on(each.id)

    def wait(
        self,
        rollout_id: UUID,
        *,
        seconds: float,
        pause: Callable[[float], bool] = _pause,
        say: Callable[[list[str]], None] = lambda _: None,
    ) -> Rollout:
        """One of them, when it is over, or so much later.

        `pause` waits for so many seconds, and says whether to go on; `say` is told which workers it waits for, whenever
        others do.

        Raises:
            NotFound: there is none of that id. Unavailable: the database does not answer.
        """
        until, said = time.monotonic() + seconds, list[str]()
        while True:
            found = self._move_on(rollout_id)
            if found.state != "loading" or time.monotonic() >= until:
                return found
            waits_for = self.waits_for(found)
            if waits_for != said:
                say(waits_for)
                said = waits_for
            if not pause(LOOK_EVERY_S):
                return found

    def waits_for(self, found: Rollout) -> list[str]:
        """The workers that have not loaded it yet.

        Raises:
            Unavailable: the database does not answer.
        """
        if found.state != "loading":
            return []
        with self.database.read() as connection:
            return _waits_for(found, alive_among(connection))

    def _move_on(self, rollout_id: UUID) -> Rollout:
        with self.database.read() as connection:
            found = rollouts.get_rollout(connection, rollout_id)
            if found.state != "loading":
                return found
            workers = alive_among(connection)
            # Only what may be decided is worth the lock.
            if not _is_ready(found, workers) and not _fault(connection, found, workers):
                return found
        with changing(self.database, found.model, Actor(**found.actor)) as (connection, notes, standing):
            found = rollouts.get_rollout(connection, rollout_id)
            _decide(connection, notes, standing, found, names=self._named(found, standing))
            found = rollouts.get_rollout(connection, rollout_id)
        self.known.look_if_possible()
        return found

    def _named(self, found: Rollout, standing: Standing) -> str | None:
        """What the channel names now; None: nothing. Of a model that was taken away, what somebody has set."""
        try:
            return channels_of(self.registry, found.model, standing).get(found.channel)
        except NotFound:
            return standing.channels.get(found.channel)


def checked(found: Rollout) -> Rollout:
    """A rollout that is live, or may yet be.

    Raises:
        Conflict: a worker cannot load it (code `version_does_not_load`), or the channel was changed otherwise meanwhile
            (`channel_moved`).
    """
    if found.state in ("refused", "overtaken"):
        code = "version_does_not_load" if found.state == "refused" else "channel_moved"
        raise Conflict(found.told, code=code)
    return found


def begin(connection: Connection, notes: Notes, standing: Standing, new: NewRollout) -> Rollout:
    """Have workers load a version, for a channel that names `before`, and the version at once where all have it.

    Raises:
        Conflict: a worker cannot load it (code `version_does_not_load`).
    """
    found, workers = rollouts.add_rollout(connection, new), alive_among(connection)
    if fault := _fault(connection, found, workers):
        raise Conflict(fault, code="version_does_not_load")
    if not _is_ready(found, workers):
        return found
    _go_live(connection, notes, standing, found, names=found.before)
    return rollouts.get_rollout(connection, found.id)


def _decide(
    connection: Connection, notes: Notes, standing: Standing, found: Rollout, *, names: str | None
) -> None:
    """Move the channel, which `names` a version now, or refuse to, or leave it open."""
    if found.state != "loading":
        return
    workers = alive_among(connection)
    if found.version in standing.retired:
        _refuse(connection, found, f"version {found.version} was retired meanwhile")
    elif _was_changed(found, standing):
        told = f"{found.channel} was changed meanwhile, and names {f'version {names}' if names else 'no version'}"
        rollouts.end_rollout(connection, found.id, "overtaken", told)
    elif fault := _fault(connection, found, workers):
        _refuse(connection, found, fault)
    elif _is_ready(found, workers):
        _go_live(connection, notes, standing, found, names=names)


def _was_changed(found: Rollout, standing: Standing) -> bool:
    """Whether somebody has changed the channel since.

    What is stable where nobody has said so moves with what workers have loaded: that overtakes nobody.
    """
    is_set = standing.channels.get(found.channel)
    return is_set != found.before and (is_set is not None or found.channel != STABLE)


def _go_live(
    connection: Connection, notes: Notes, standing: Standing, found: Rollout, *, names: str | None
) -> None:
    rollouts.end_rollout(connection, found.id, "live")
    is_canary = found.channel == CANARY
    is_so = standing.channels.get(found.channel) == found.version
    if is_so and not (is_canary and standing.canary_percent != (found.percent or 0.0)):
        return
    rows.set_channel(
        connection, found.model, found.channel, found.version, client=found.client, percent=found.percent
    )
    tell(connection, notes, _event(replace(found, before=names), Change.SET, found.reason), Act.CHANNEL_SET)
    if found.channel == STABLE:
        told = f"{STABLE} names version {found.version} now"
        end_canary(connection, notes, standing, found.model, client=found.client, reason=told)


def _refuse(connection: Connection, found: Rollout, why: str) -> None:
    rollouts.end_rollout(connection, found.id, "refused", why)
    rows.add_event(connection, _event(found, Change.REFUSED, why))


def _event(found: Rollout, act: Change, reason: str) -> NewEvent:
    return NewEvent(
        model=found.model,
        act=act,
        channel=found.channel,
        before=found.before,
        after=found.version,
        client=found.client,
        reason=reason,
        despite=found.despite,
        percent=found.percent,
    )


def _is_ready(found: Rollout, workers: Sequence[WorkerInfo]) -> bool:
    """Whether every worker has it, and one has looked what it answers; where no worker lives nobody can."""
    return not _waits_for(found, workers) and (found.replay is not None or not workers)


def _waits_for(found: Rollout, workers: Sequence[WorkerInfo]) -> list[str]:
    return [each.name for each in workers if _name(found) not in each.warm]


def _fault(connection: Connection, found: Rollout, workers: Sequence[WorkerInfo]) -> str:
    """Why workers will not have it; empty: they may."""
    for worker in workers:
        if _name(found) in worker.failing:
            return f"{worker.name} cannot load it: {worker.failing[_name(found)]}"
    if _is_ready(found, workers) or not rollouts.has_begun_before(connection, found.id, LONGEST_LOAD_S):
        return ""
    late = ", ".join(_waits_for(found, workers))
    told = f"{late} had not loaded it" if late else "no worker had tried it on items of before"
    return f"{told} after {LONGEST_LOAD_S:g} s"


def _name(found: Rollout) -> str:
    """As workers call it."""
    return f"{found.model}/{found.version}"
