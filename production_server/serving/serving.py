"""Saying which versions of a model serve: what the command line, the API and the pages all do it by.

A change and what tells of it, in the history and in the audit, are one transaction.
"""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from production_server.access.audit import Act
from production_server.access.records import Actor
from production_server.errors import Conflict, InvalidInput, NotFound, VersionRetired
from production_server.jobs import channels as rows
from production_server.jobs.channels import Change, NewEvent
from production_server.jobs.database import Database
from production_server.jobs.rollouts import overtake
from production_server.learning.promotion import PromotionGate
from production_server.models.channels import STABLE, Standing
from production_server.models.registry import Registry
from production_server.models.remote_store import RemoteStore
from production_server.models.removal import hidden, is_removed
from production_server.serving.canaries import Canaries
from production_server.serving.changes import (
    changing,
    channels_of,
    check_expected,
    check_reason,
    end_canary,
    take_away,
    tell,
)
from production_server.serving.known_standings import KnownStandings
from production_server.serving.overview import Overview, no_channel
from production_server.serving.promoting import Promoted, Promoting, Wanted
from production_server.serving.rollouts import Rollouts
from production_server.shown import describe

SETTLED_S = 10.0
"""A version may be deleted so long after it was retired: by then every process refuses new work for it."""


@dataclass(frozen=True, slots=True)
class Serving:
    """Changes how versions stand. Each method raises Unavailable where the database does not answer."""

    database: Database
    registry: Registry
    known: KnownStandings
    store: Path
    """The one in which versions may be deleted; all others are data of the release."""
    gate: PromotionGate
    remote: RemoteStore | None = None
    """What that is this machine's copy of, if it is one."""

    @property
    def overview(self) -> Overview:
        """How things stand now."""
        return Overview(self.database, self.registry, self.known)

    @property
    def rollouts(self) -> Rollouts:
        """What channels are to name as soon as workers have loaded it."""
        return Rollouts(self.database, self.registry, self.known)

    @property
    def canaries(self) -> Canaries:
        """How those do that are tried on a share."""
        return Canaries(self.database, self.registry, self.known)

    @property
    def promoting(self) -> Promoting:
        """What has channels name versions."""
        return Promoting(self.database, self.registry, self.known, self.gate)

    def promote(self, wanted: Wanted, *, by: Actor) -> Promoted:
        """Have a channel name a version: `Promoting.promote`, which says what it raises."""
        return self.promoting.promote(wanted, by=by)

    def roll_back(
        self, model: str, channel: str = STABLE, *, reason: str = "", expected: str | None = None, by: Actor
    ) -> str:
        """Have a channel name at once what it named before, whoever has it loaded; which version that is.

        Nothing is checked but that it is there and whole: it has served. A second time goes back one further.

        Raises:
            NotFound: there is no such model or channel, or the version is not here any more.
            BrokenVersion: its files are not those that its manifest lists.
            VersionRetired: it takes no new work. InvalidInput: the reason is too long.
            Conflict: the channel named nothing before (code `nothing_before`), or another version than is `expected`
                now (`channel_moved`).
        """
        check_reason(reason)
        with self.database.read() as connection:
            whole = rows.version_before(connection, model, channel)
        if whole is not None:
            self.registry.version(model, whole).verify()
        with changing(self.database, model, by) as (connection, notes, standing):
            now_named = channels_of(self.registry, model, standing).get(channel)
            if now_named is None:
                raise no_channel(model, channel)
            check_expected(model, channel, expected, now_named)
            version = rows.version_before(connection, model, channel)
            if version is None:
                raise Conflict(
                    f"{channel} of {model!r} named no other version before {now_named}", code="nothing_before"
                )
            if version != whole:
                raise Conflict(
                    f"{channel} of {model!r} was changed just now: look again", code="channel_moved"
                )
            if version in standing.retired:
                raise VersionRetired(f"version {version} of {model!r} is retired: restore it first")
            overtake(connection, model, channel, f"{channel} went back to version {version}")
            rows.set_channel(connection, model, channel, version, client=by.client)
            change = NewEvent(
                model=model,
                act=Change.ROLLED_BACK,
                channel=channel,
                before=now_named,
                after=version,
                client=by.client,
                reason=reason,
            )
            tell(connection, notes, change, Act.CHANNEL_ROLLED_BACK)
            if channel == STABLE:
                told = f"{STABLE} went back to version {version}"
                end_canary(connection, notes, standing, model, client=by.client, reason=told)
        self.known.look_if_possible()
        return version

    def remove_channel(self, model: str, channel: str, *, reason: str = "", by: Actor) -> None:
        """Have a channel name nothing any more.

        Raises:
            NotFound: there is no such channel (code `channel_not_found`).
            InvalidInput: it is `stable`, or the reason is too long.
        """
        check_reason(reason)
        if channel == STABLE:
            raise InvalidInput.at(
                "channel", "another than stable: promote another version", describe(channel)
            )
        with changing(self.database, model, by) as (connection, notes, standing):
            version = standing.channels.get(channel)
            if version is None:
                raise no_channel(model, channel)
            overtake(connection, model, channel, f"{channel} was taken away")
            take_away(
                connection,
                notes,
                model=model,
                channel=channel,
                before=version,
                client=by.client,
                reason=reason,
            )
        self.known.look_if_possible()

    def retire(self, model: str, version: str, *, reason: str = "", by: Actor) -> None:
        """Have a version take no new work; jobs that have it are finished. One that is retired stays so.

        Raises:
            NotFound: there is no such model or version. InvalidInput: the reason is too long.
            Conflict: a channel names it (code `version_on_channel`).
        """
        check_reason(reason)
        self.registry.version(model, version)
        with changing(self.database, model, by) as (connection, notes, standing):
            if version in standing.retired:
                return
            named = [
                name for name, each in channels_of(self.registry, model, standing).items() if each == version
            ]
            if named:
                raise Conflict(
                    f"version {version} of {model!r} is on {', '.join(named)}: put another one there first, or take "
                    "the channel away",
                    code="version_on_channel",
                )
            rows.retire_version(connection, model, version)
            change = NewEvent(
                model=model, act=Change.RETIRED, before=version, client=by.client, reason=reason
            )
            tell(connection, notes, change, Act.VERSION_RETIRED)
        self.known.look_if_possible()

    def restore(self, model: str, version: str, *, reason: str = "", by: Actor) -> None:
        """Have a retired version take work again; one that is not retired stays as it is.

        Raises:
            NotFound: there is no such model or version. InvalidInput: the reason is too long.
        """
        check_reason(reason)
        self.registry.version(model, version)
        with changing(self.database, model, by) as (connection, notes, standing):
            if version not in standing.retired:
                return
            rows.restore_version(connection, model, version)
            change = NewEvent(
                model=model, act=Change.RESTORED, after=version, client=by.client, reason=reason
            )
            tell(connection, notes, change, Act.VERSION_RESTORED)
        self.known.look_if_possible()

    def delete(self, model: str, version: str, *, reason: str = "", by: Actor) -> None:
        """Remove the files of a retired version, for good; its number is not given again.

        Raises:
            NotFound: there is no such model or version. InvalidInput: the reason is too long.
            Conflict: it is not retired (code `version_not_retired`), has jobs that are not over or was retired just
                now (`version_in_use`), or is not in the store that is written (`version_built_in`).
            StoreNotWritable: the store cannot be written.
        """
        check_reason(reason)
        folder = self._folder_of(model, version)
        withdrawn = nullcontext() if self.remote is None else self.remote.withdrawn((model, version))
        # What hides the files is entered last and left last: a transaction that fails brings them back.
        with ExitStack() as hiding, changing(self.database, model, by) as (connection, notes, standing):
            _check_over(connection, standing, model, version)
            hiding.enter_context(withdrawn)
            hiding.enter_context(hidden(folder))
            change = NewEvent(
                model=model, act=Change.DELETED, before=version, client=by.client, reason=reason
            )
            tell(connection, notes, change, Act.VERSION_DELETED)

    def check_deletable(self, model: str, version: str) -> None:
        """Whether a version may be deleted, as it stands now: raises what `delete` would."""
        self._folder_of(model, version)
        with self.database.read() as connection:
            _check_over(connection, rows.read_standing(connection, model), model, version)

    def _folder_of(self, model: str, version: str) -> Path:
        """The folder of a version whose files may be removed, or of one that was being removed when something died."""
        folder = self.store / model / version
        try:
            found = self.registry.version(model, version)
        except NotFound:
            if is_removed(folder) and not self._is_told_deleted(model, version):
                return folder
            raise
        if found.folder != folder:
            raise Conflict(
                f"version {version} of {model!r} comes with the release, or lies in MORE_MODELS: it can be retired, "
                "not deleted",
                code="version_built_in",
            )
        return folder

    def _is_told_deleted(self, model: str, version: str) -> bool:
        with self.database.read() as connection:
            events = rows.list_events(connection, model, limit=10_000)
        return any(each.act == Change.DELETED and each.before == version for each in events)


def _check_over(connection: Connection, standing: Standing, model: str, version: str) -> None:
    """See that nobody needs a version any more.

    Raises:
        Conflict: it is not retired, has jobs that are not over, or was retired just now.
    """
    if version not in standing.retired:
        raise Conflict(
            f"version {version} of {model!r} is not retired: retire it first", code="version_not_retired"
        )
    jobs = rows.count_open_jobs(connection, model, version)
    if jobs:
        raise Conflict(
            f"version {version} of {model!r} has {jobs} jobs that are not over: wait, or cancel them",
            code="version_in_use",
        )
    if not rows.was_retired_before(connection, model, version, SETTLED_S):
        raise Conflict(
            f"version {version} of {model!r} was retired just now, and somebody may still get work for it: "
            f"try again in {SETTLED_S:g} s",
            code="version_in_use",
        )
