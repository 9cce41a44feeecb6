"""Having a channel name a version, which for `stable` has to pass the gate against what is stable now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from production_server.access.audit import Act, Notes
from production_server.access.records import Actor
from production_server.errors import BrokenVersion, Conflict, InvalidInput, NotFound, VersionRetired
from production_server.jobs import channels as rows
from production_server.jobs.channels import Change, ChannelRow, NewEvent
from production_server.jobs.database import Database
from production_server.learning.promotion import PromotionGate
from production_server.learning.report import CheckName, Report, refuse_failed
from production_server.models.channels import CHANNEL_RULE, STABLE, Standing, is_channel_name
from production_server.models.registry import Registry
from production_server.models.store import ModelVersion
from production_server.serving.changes import changing, channels_of, check_reason, tell
from production_server.serving.known_standings import KnownStandings
from production_server.serving.overview import Overview
from production_server.shown import describe

NOTHING = ""
"""As what is expected of a channel: that it names no version."""
MOST_LOOKS = 20
"""So often a version is held anew against what others have made stable meanwhile."""


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
    allowed: Collection[CheckName] = ()
    """Checks of the gate that the version may fail, because whoever wants it says so."""
    dry_run: bool = False
    """Only look whether it could be."""


@dataclass(frozen=True, slots=True)
class Promoted:
    """What a channel names now, and what the gate said; of a dry run what it still names, None: nothing.

    `report` is None where the gate is not asked: of other channels than `stable`, of what is stable already, and of
    what has been stable before.
    """

    row: ChannelRow | None
    report: Report | None


@dataclass(frozen=True, slots=True)
class Promoting:
    """Promotes versions. Safe to share between threads."""

    database: Database
    registry: Registry
    known: KnownStandings
    gate: PromotionGate

    def promote(self, wanted: Wanted, *, by: Actor) -> Promoted:
        """Have a channel name a version from now on; every process knows it within two seconds.

        What is to be stable is held against what is stable now, unless it has been stable before: going back to that
        is no new risk. Blocks for seconds where the gate runs both.

        Raises:
            InvalidInput: the channel cannot be called so, or the reason is too long.
            NotFound: there is no such model or version. VersionRetired: it takes no new work.
            BrokenVersion: its files are not those that its manifest lists.
            Conflict: the channel names another version than is expected (code `channel_moved`), or workers have said
                that they cannot load it (`version_does_not_load`).
            GateClosed: it has failed checks that are not `allowed`.
        """
        if not is_channel_name(wanted.channel):
            raise InvalidInput.at("channel", CHANNEL_RULE, describe(wanted.channel))
        check_reason(wanted.reason)
        self.known.look_again()
        found = self.registry.resolve(wanted.model, wanted.version)
        for file in found.manifest.files:
            found.verified_file(file)
        if wanted.channel == STABLE:
            self._check_it_loads(found)
        for _ in range(MOST_LOOKS):
            promoted = self._promote_unless_moved(found, wanted, by)
            if promoted is not None:
                self.known.look_if_possible()
                return promoted
        raise Conflict(
            f"{wanted.channel} of {wanted.model!r} was changed {MOST_LOOKS} times meanwhile: look again",
            code="channel_moved",
        )

    def held(self, model: str) -> dict[str, Report]:
        """What the gate says of each version that would have to pass it to become stable now, by its number.

        Raises:
            NotFound: there is no such model. Unavailable: the database does not answer.
        """
        with self.database.read() as connection:
            standing = rows.read_standing(connection, model)
            stable = channels_of(self.registry, model, standing).get(STABLE)
            new = [
                version
                for version in self.registry.versions(model)
                if version.key[1] not in standing.retired and _is_new(connection, version, stable)
            ]
        return {version.key[1]: self.gate.hold(version, self._here(model, stable)) for version in new}

    def _promote_unless_moved(self, found: ModelVersion, wanted: Wanted, by: Actor) -> Promoted | None:
        """One attempt; None: the channel has moved while the version was held against what it named."""
        model = wanted.model
        with self.database.read() as connection:
            before = self._before(rows.read_standing(connection, model), found, wanted)
            has_to_pass = wanted.channel == STABLE and _is_new(connection, found, before)
            row = _row(connection, wanted)
        report = None
        if has_to_pass:
            report = self.gate.hold(found, self._here(model, before)).unless(wanted.allowed)
            refuse_failed(report)
        if wanted.dry_run:
            return Promoted(row or (ChannelRow(wanted.channel, before) if before else None), report)
        with changing(self.database, model, by) as (connection, notes, standing):
            if self._before(standing, found, wanted) != before:
                return None
            if standing.channels.get(wanted.channel) != found.key[1]:
                _set(connection, notes, wanted, (before, found.key[1]), report)
            return Promoted(_row(connection, wanted), report)

    def _before(self, standing: Standing, found: ModelVersion, wanted: Wanted) -> str | None:
        """What the channel names before it names that version.

        Raises:
            VersionRetired: the version takes no new work. Conflict: the channel names something unexpected.
        """
        model, number, channel = wanted.model, found.key[1], wanted.channel
        if number in standing.retired:
            raise VersionRetired(f"version {number} of {model!r} is retired: restore it first")
        before = channels_of(self.registry, model, standing).get(channel)
        if wanted.expected is not None and wanted.expected != (before or NOTHING):
            names = f"version {before}" if before else "no version"
            raise Conflict(
                f"{channel} of {model!r} names {names} now, not {wanted.expected or 'none'}: look again",
                code="channel_moved",
            )
        return before

    def _here(self, model: str, number: str | None) -> ModelVersion | None:
        """A version, if it lies here: what a channel names may be on its way, or gone."""
        if number is None:
            return None
        try:
            found = self.registry.version(model, number)
            _ = found.sha256  # what was taken away just now is known a little longer
        except (NotFound, BrokenVersion):
            return None
        else:
            return found

    def _check_it_loads(self, version: ModelVersion) -> None:
        """Refuse what workers have tried to load in vain, unless another one has it."""
        state = Overview(self.database, self.registry, self.known).version(*version.key)
        if state.failing and not state.loaded_by:
            worker, reason = next(iter(state.failing.items()))
            raise Conflict(f"{worker} cannot load it: {reason}", code="version_does_not_load")


def _is_new(connection: Connection, version: ModelVersion, stable: str | None) -> bool:
    """Whether a version would be stable for the first time."""
    model, number = version.key
    return number != stable and not rows.was_on_channel(connection, model, STABLE, number)


def _row(connection: Connection, wanted: Wanted) -> ChannelRow | None:
    found = rows.list_channels(connection, wanted.model)
    return next((row for row in found if row.channel == wanted.channel), None)


def _set(
    connection: Connection,
    notes: Notes,
    wanted: Wanted,
    versions: tuple[str | None, str],
    report: Report | None,
) -> None:
    model, channel, (before, after) = wanted.model, wanted.channel, versions
    rows.set_channel(connection, model, channel, after, client=notes.by.client)
    change = NewEvent(
        model=model,
        act=Change.SET,
        channel=channel,
        before=before,
        after=after,
        client=notes.by.client,
        reason=wanted.reason,
        despite=" ".join(report.overridden) or None if report else None,
    )
    tell(connection, notes, change, Act.CHANNEL_SET)
