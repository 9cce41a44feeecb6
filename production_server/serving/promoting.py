"""Having a channel name a version, which for `stable` has to pass the gate against what is stable now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from production_server.access.records import Actor
from production_server.errors import BrokenVersion, Conflict, InvalidInput, NotFound, VersionRetired
from production_server.jobs import channels as rows
from production_server.jobs.database import Database
from production_server.jobs.rollouts import NewRollout, Rollout
from production_server.learning.promotion import PromotionGate
from production_server.learning.report import CheckName, Report, refuse_failed
from production_server.models.channels import CANARY, CHANNEL_RULE, STABLE, Standing, is_channel_name
from production_server.models.registry import Registry
from production_server.models.store import ModelVersion
from production_server.serving.changes import changing, channels_of, check_expected, check_reason
from production_server.serving.known_standings import KnownStandings
from production_server.serving.rollouts import begin
from production_server.shown import describe

MOST_PERCENT = 95
"""A canary is held against what stable answers in the same time."""
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
    percent: float | None = None
    """What a canary is to get of the work that asks for no version; None: only what asks for it by name."""
    allowed: Collection[CheckName] = ()
    """Checks of the gate that the version may fail, because whoever wants it says so."""
    dry_run: bool = False
    """Only look whether it could be."""


@dataclass(frozen=True, slots=True)
class Promoted:
    """What becomes of a promotion, None of a dry run, and what the gate said.

    `report` is None where the gate is not asked: of other channels than `stable`, of what is stable already, and of
    what has been stable before.
    """

    rollout: Rollout | None
    report: Report | None


@dataclass(frozen=True, slots=True)
class Promoting:
    """Promotes versions. Safe to share between threads."""

    database: Database
    registry: Registry
    known: KnownStandings
    gate: PromotionGate

    def promote(self, wanted: Wanted, *, by: Actor) -> Promoted:
        """Have a channel name a version as soon as every worker has loaded it: at once, or by a rollout.

        What is to be stable, or to have a share as a canary, is held against what is stable now; not what has been
        stable before and is to be so again: going back is no new risk. Blocks for seconds where the gate runs both.

        Raises:
            InvalidInput: the channel cannot be called so, the reason is too long, or the share is none of a canary's.
            NotFound: there is no such model or version. VersionRetired: it takes no new work.
            BrokenVersion: its files are not those that its manifest lists.
            Conflict: the channel names another version than is expected (code `channel_moved`), or a worker has said
                that it cannot load it (`version_does_not_load`).
            GateClosed: it has failed checks that are not `allowed`.
        """
        if not is_channel_name(wanted.channel):
            raise InvalidInput.at("channel", CHANNEL_RULE, describe(wanted.channel))
        check_reason(wanted.reason)
        _check_percent(wanted)
        self.known.look_again()
        found = self.registry.resolve(wanted.model, wanted.version)
        found.verify()
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
            standing = rows.read_standing(connection, model)
            before = self._before(standing, found, wanted)
            stable = channels_of(self.registry, model, standing).get(STABLE)
            has_to_pass = _has_share(wanted) or (
                wanted.channel == STABLE and _is_new(connection, found, before)
            )
        report = None
        if has_to_pass:
            _check_not_both(wanted, found, stable)
            report = self.gate.hold(found, self._here(model, stable)).unless(_allowed(wanted))
            refuse_failed(report)
        if wanted.dry_run:
            return Promoted(None, report)
        with changing(self.database, model, by) as (connection, notes, standing):
            if self._before(standing, found, wanted) != before:
                return None
            new = NewRollout(
                model=model,
                channel=wanted.channel,
                version=found.key[1],
                before=before,
                reason=wanted.reason,
                actor=by.to_json(),
                despite=" ".join(report.overridden) or None if report else None,
                percent=wanted.percent,
            )
            return Promoted(begin(connection, notes, standing, new), report)

    def _before(self, standing: Standing, found: ModelVersion, wanted: Wanted) -> str | None:
        """What the channel names before it names that version.

        Raises:
            VersionRetired: the version takes no new work. Conflict: the channel names something unexpected.
        """
        model, number, channel = wanted.model, found.key[1], wanted.channel
        if number in standing.retired:
            raise VersionRetired(f"version {number} of {model!r} is retired: restore it first")
        before = channels_of(self.registry, model, standing).get(channel)
        check_expected(model, channel, wanted.expected, before)
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


def _is_new(connection: Connection, version: ModelVersion, stable: str | None) -> bool:
    """Whether a version would be stable for the first time."""
    model, number = version.key
    return number != stable and not rows.was_on_channel(connection, model, STABLE, number)


def _check_percent(wanted: Wanted) -> None:
    if wanted.percent is None:
        return
    if wanted.channel != CANARY:
        raise InvalidInput.at("percent", f"nothing, but for the channel {CANARY}", describe(wanted.percent))
    if not 0 < wanted.percent <= MOST_PERCENT:
        expected = f"a number above 0, at most {MOST_PERCENT}: what is stable has to answer some as well"
        raise InvalidInput.at("percent", expected, describe(wanted.percent))


def _has_share(wanted: Wanted) -> bool:
    return wanted.channel == CANARY and wanted.percent is not None


def _allowed(wanted: Wanted) -> Collection[CheckName]:
    """A client gets now the one and now the other: a canary with a share may not take or answer anything else."""
    if _has_share(wanted):
        return [check for check in wanted.allowed if check != CheckName.SIGNATURE]
    return wanted.allowed


def _check_not_both(wanted: Wanted, found: ModelVersion, stable: str | None) -> None:
    if _has_share(wanted) and found.key[1] == stable:
        raise InvalidInput.at("version", f"another one than {STABLE} names", describe(stable))
