"""Saying which versions of a model serve: what the command line, the API and the pages all do it by.

A change and what tells of it, in the history and in the audit, are one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from production_server.access.audit import Act, Notes, noting
from production_server.access.records import Actor
from production_server.errors import Conflict, InvalidInput, NotFound, VersionRetired
from production_server.jobs import channels as rows
from production_server.jobs.channels import Change, ChannelRow, NewEvent
from production_server.jobs.database import Database
from production_server.models.channels import CHANNEL_RULE, STABLE, Standing, is_channel_name
from production_server.models.registry import Registry
from production_server.models.remote_store import RemoteStore
from production_server.models.removal import hidden, is_removed
from production_server.models.store import ModelVersion
from production_server.serving.known_standings import KnownStandings
from production_server.serving.overview import Overview, no_channel
from production_server.shown import describe

LONGEST_REASON = 500
SETTLED_S = 10.0
"""A version may be deleted so long after it was retired: by then every process refuses new work for it."""
NOTHING = ""
"""As what is expected of a channel: that it names no version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a channel is to name, and why; `version` may be the name of another channel.

    `expected` is the version that whoever wants it takes the channel to name now, `NOTHING` for none; None: any.
    """

    model: str
    version: str
    channel: str = STABLE
    reason: str = ""
    expected: str | None = None


@dataclass(frozen=True, slots=True)
class Serving:
    """Changes how versions stand. Each method raises Unavailable where the database does not answer."""

    database: Database
    registry: Registry
    known: KnownStandings
    store: Path
    """The one in which versions may be deleted; all others are data of the release."""
    remote: RemoteStore | None = None
    """What that is this machine's copy of, if it is one."""

    @property
    def overview(self) -> Overview:
        """How things stand now."""
        return Overview(self.database, self.registry, self.known)

    def promote(self, wanted: Wanted, *, by: Actor) -> ChannelRow:
        """Have a channel name a version from now on; every process knows it within two seconds.

        Raises:
            InvalidInput: the channel cannot be called so, or the reason is too long.
            NotFound: there is no such model or version. VersionRetired: it takes no new work.
            BrokenVersion: its files are not those that its manifest lists.
            Conflict: the channel names another version than is expected (code `channel_moved`), or workers have said
                that they cannot load it (`version_does_not_load`).
        """
        _check_channel(wanted.channel)
        _check_reason(wanted.reason)
        self.known.look_again()
        found = self.registry.resolve(wanted.model, wanted.version)
        for file in found.manifest.files:
            found.verified_file(file)
        if wanted.channel == STABLE:
            self._check_it_loads(found)
        with self._changing(wanted.model, by) as (connection, notes, standing):
            row = self._promote(connection, notes, standing, wanted, found.key[1])
        self.known.look_if_possible()
        return row

    def remove_channel(self, model: str, channel: str, *, reason: str = "", by: Actor) -> None:
        """Have a channel name nothing any more.

        Raises:
            NotFound: there is no such channel (code `channel_not_found`).
            InvalidInput: it is `stable`, or the reason is too long.
        """
        _check_reason(reason)
        if channel == STABLE:
            raise InvalidInput.at(
                "channel", "another than stable: promote another version", describe(channel)
            )
        with self._changing(model, by) as (connection, notes, standing):
            version = standing.channels.get(channel)
            if version is None:
                raise no_channel(model, channel)
            rows.remove_channel(connection, model, channel)
            change = NewEvent(
                model=model,
                act=Change.REMOVED,
                channel=channel,
                before=version,
                client=by.client,
                reason=reason,
            )
            _tell(connection, notes, change, Act.CHANNEL_REMOVED)
        self.known.look_if_possible()

    def retire(self, model: str, version: str, *, reason: str = "", by: Actor) -> None:
        """Have a version take no new work; jobs that have it are finished. One that is retired stays so.

        Raises:
            NotFound: there is no such model or version. InvalidInput: the reason is too long.
            Conflict: a channel names it (code `version_on_channel`).
        """
        _check_reason(reason)
        self.registry.version(model, version)
        with self._changing(model, by) as (connection, notes, standing):
            if version in standing.retired:
                return
            named = [name for name, each in self._channels(model, standing).items() if each == version]
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
            _tell(connection, notes, change, Act.VERSION_RETIRED)
        self.known.look_if_possible()

    def restore(self, model: str, version: str, *, reason: str = "", by: Actor) -> None:
        """Have a retired version take work again; one that is not retired stays as it is.

        Raises:
            NotFound: there is no such model or version. InvalidInput: the reason is too long.
        """
        _check_reason(reason)
        self.registry.version(model, version)
        with self._changing(model, by) as (connection, notes, standing):
            if version not in standing.retired:
                return
            rows.restore_version(connection, model, version)
            change = NewEvent(
                model=model, act=Change.RESTORED, after=version, client=by.client, reason=reason
            )
            _tell(connection, notes, change, Act.VERSION_RESTORED)
        self.known.look_if_possible()

    def delete(self, model: str, version: str, *, reason: str = "", by: Actor) -> None:
        """Remove the files of a retired version, for good; its number is not given again.

        Raises:
            NotFound: there is no such model or version. InvalidInput: the reason is too long.
            Conflict: it is not retired (code `version_not_retired`), has jobs that are not over or was retired just
                now (`version_in_use`), or is not in the store that is written (`version_built_in`).
            StoreNotWritable: the store cannot be written.
        """
        _check_reason(reason)
        folder = self._deletable(model, version)
        withdrawn = nullcontext() if self.remote is None else self.remote.withdrawn((model, version))
        # What hides the files is entered last and left last: a transaction that fails brings them back.
        with ExitStack() as hiding, self._changing(model, by) as (connection, notes, standing):
            if version not in standing.retired:
                raise Conflict(
                    f"version {version} of {model!r} is not retired: retire it first",
                    code="version_not_retired",
                )
            _check_unused(connection, model, version)
            hiding.enter_context(withdrawn)
            hiding.enter_context(hidden(folder))
            change = NewEvent(
                model=model, act=Change.DELETED, before=version, client=by.client, reason=reason
            )
            _tell(connection, notes, change, Act.VERSION_DELETED)

    @contextmanager
    def _changing(self, model: str, by: Actor) -> Iterator[tuple[Connection, Notes, Standing]]:
        """A transaction beside which nobody changes how versions stand."""
        with noting(by) as notes, self.database.write() as connection:
            rows.lock(connection)
            yield connection, notes, rows.read_standing(connection, model)

    def _promote(
        self, connection: Connection, notes: Notes, standing: Standing, wanted: Wanted, version: str
    ) -> ChannelRow:
        model, channel, by = wanted.model, wanted.channel, notes.by
        # It may have been retired since it was looked at.
        if version in standing.retired:
            raise VersionRetired(f"version {version} of {model!r} is retired: restore it first")
        before = self._channels(model, standing).get(channel)
        if wanted.expected is not None and wanted.expected != (before or NOTHING):
            names = f"version {before}" if before else "no version"
            raise Conflict(
                f"{channel} of {model!r} names {names} now, not {wanted.expected or 'none'}: look again",
                code="channel_moved",
            )
        if standing.channels.get(channel) != version:
            rows.set_channel(connection, model, channel, version, client=by.client)
            change = NewEvent(
                model=model, act=Change.SET, channel=channel, before=before, after=version, client=by.client,
                reason=wanted.reason,
            )  # fmt: skip
            _tell(connection, notes, change, Act.CHANNEL_SET)
        return next(row for row in rows.list_channels(connection, model) if row.channel == channel)

    def _channels(self, model: str, standing: Standing) -> dict[str, str]:
        return standing.channels_among([each.key[1] for each in self.registry.versions(model)])

    def _check_it_loads(self, version: ModelVersion) -> None:
        """Refuse what workers have tried to load in vain, unless another one has it."""
        state = self.overview.version(*version.key)
        if state.failing and not state.loaded_by:
            worker, reason = next(iter(state.failing.items()))
            raise Conflict(f"{worker} cannot load it: {reason}", code="version_does_not_load")

    def _deletable(self, model: str, version: str) -> Path:
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


def _check_unused(connection: Connection, model: str, version: str) -> None:
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


def _tell(connection: Connection, notes: Notes, change: NewEvent, act: Act) -> None:
    rows.add_event(connection, change)
    what = change.channel or change.before or change.after or ""
    before = change.before and {"version": change.before}
    after = {"version": change.after} if change.after else {}
    if change.reason:
        after["reason"] = change.reason
    notes.write(connection, act, f"{change.model}/{what}", before=before or None, after=after or None)


def _check_channel(name: str) -> None:
    if not is_channel_name(name):
        raise InvalidInput.at("channel", CHANNEL_RULE, describe(name))


def _check_reason(reason: str) -> None:
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise InvalidInput.at("reason", f"at most {LONGEST_REASON} characters in one line", describe(reason))
