"""Which version a channel names, which are retired, and every change of that, as rows.

Each function is a step of somebody's transaction. Whoever changes something takes the `lock` first.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text, update

from production_server.jobs.clock import is_older
from production_server.jobs.database import now
from production_server.jobs.rollouts import open_rollouts
from production_server.jobs.tables import channel, channel_event, job, retired_version
from production_server.jobs.workers import alive_among
from production_server.models.channels import CANARY, STABLE, UNTOUCHED, Standing, Standings

_LOCK = "SELECT pg_advisory_xact_lock(5101)"
"""Beside that of migrations. One for all models: such changes are rare, and take milliseconds."""


class Change(StrEnum):
    """What happened to a channel, or to a version. Programs may rely on the names."""

    SET = "set"
    """The channel names another version."""
    ROLLED_BACK = "rolled_back"
    """… the one that it named before."""
    REMOVED = "removed"
    """The channel names none any more."""
    REFUSED = "refused"
    """The channel was to name another version, and does not."""
    RETIRED = "retired"
    RESTORED = "restored"
    DELETED = "deleted"
    """The version's files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """What somebody changes; `before` and `after` are versions: of a channel, or the one that it is done to."""

    model: str
    act: str
    """A `Change`, or one of a newer release."""
    channel: str | None = None
    before: str | None = None
    after: str | None = None
    client: str
    reason: str = ""
    despite: str | None = None
    """The checks of the gate that had failed and that somebody overrode, with spaces between; None: there were none."""
    percent: float | None = None
    """Of a canary: what it gets of the work that asks for no version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(NewEvent):
    """A change as it is stored; `at` in seconds since the Unix epoch, UTC. Later ones have larger ids."""

    id: int
    at: float

    @property
    def overridden(self) -> list[str]:
        """The names of the checks that `despite` holds."""
        return (self.despite or "").split()


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """What a channel names, and since when: seconds since the Unix epoch, UTC.

    Of `stable` while nobody has set it the last two are None.
    """

    channel: str
    version: str
    set_at: float | None = None
    set_by: str | None = None
    percent: float | None = None
    """Of a canary: what it gets of the work that asks for no version; None: only what asks for it."""


@dataclass(slots=True)
class _Found:
    channels: dict[str, str] = field(default_factory=dict)
    retired: set[str] = field(default_factory=set)
    coming: set[str] = field(default_factory=set)
    loaded: set[str] = field(default_factory=set)
    canary: tuple[float, float] = (0.0, 0.0)
    """Its share in percent, and since when."""

    def standing(self) -> Standing:
        retired, coming, loaded = map(frozenset, (self.retired, self.coming, self.loaded))
        return Standing(self.channels, retired, coming, loaded, *self.canary)


def lock(connection: Connection) -> None:
    """Let nobody else change anything here until the transaction ends; who only reads is not held up.

    SQLite has one writer anyway.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(text(_LOCK))


def mark(connection: Connection) -> Hashable:
    """What is another one whenever `read_standings` finds something else, and costs less."""
    event = connection.scalar(select(func.max(channel_event.c.id)))
    return event, tuple(each.id for each in open_rollouts(connection)), _loaded_by_all(connection)


def read_standings(connection: Connection) -> Standings:
    """How the versions of all models stand of which somebody has said something, or that workers have loaded."""
    found: dict[str, _Found] = {}
    query = select(channel).order_by(channel.c.channel != STABLE, channel.c.channel)
    for row in connection.execute(query):
        of_model = found.setdefault(row.model, _Found())
        of_model.channels[row.channel] = row.version
        if row.channel == CANARY and row.percent:
            of_model.canary = row.percent, row.set_at
    for model, version in connection.execute(select(retired_version.c.model, retired_version.c.version)):
        found.setdefault(model, _Found()).retired.add(version)
    for each in open_rollouts(connection):
        found.setdefault(each.model, _Found()).coming.add(each.version)
    for name in _loaded_by_all(connection):
        model, _, version = name.partition("/")
        found.setdefault(model, _Found()).loaded.add(version)
    return {model: each.standing() for model, each in found.items()}


def read_standing(connection: Connection, model: str) -> Standing:
    """How the versions of one model stand."""
    return read_standings(connection).get(model, UNTOUCHED)


def list_channels(connection: Connection, model: str) -> list[ChannelRow]:
    """The channels of a model that somebody has set, by name."""
    query = select(channel).where(channel.c.model == model).order_by(channel.c.channel)
    rows = connection.execute(query)
    return [ChannelRow(row.channel, row.version, row.set_at, row.set_by, row.percent) for row in rows]


def set_channel(
    connection: Connection, model: str, name: str, version: str, *, client: str, percent: float | None = None
) -> None:
    """Have a channel name a version."""
    told = {"version": version, "set_at": now(), "set_by": client, "percent": percent}
    is_it = (channel.c.model == model) & (channel.c.channel == name)
    if not connection.execute(update(channel).where(is_it).values(told)).rowcount:
        connection.execute(insert(channel).values(model=model, channel=name, **told))


def remove_channel(connection: Connection, model: str, name: str) -> None:
    """Have a channel name nothing any more."""
    connection.execute(delete(channel).where(channel.c.model == model, channel.c.channel == name))


def retire_version(connection: Connection, model: str, version: str) -> None:
    """Have a version take no new work, which it does so far."""
    connection.execute(insert(retired_version).values(model=model, version=version, retired_at=now()))


def restore_version(connection: Connection, model: str, version: str) -> None:
    """Have a retired version take work again."""
    connection.execute(delete(retired_version).where(_is_version(retired_version, model, version)))


def was_retired_before(connection: Connection, model: str, version: str, age_s: float) -> bool:
    """Whether a version has been retired for so long."""
    is_it = _is_version(retired_version, model, version) & is_older(retired_version.c.retired_at, age_s)
    return connection.execute(select(retired_version.c.version).where(is_it)).first() is not None


def count_open_jobs(connection: Connection, model: str, version: str) -> int:
    """How many jobs of a version are not over: they have items that nobody has done, or get more."""
    is_open = _is_version(job, model, version) & job.c.state.in_(("queued", "running"))
    return connection.execute(select(func.count()).select_from(job).where(is_open)).scalar_one()


def add_event(connection: Connection, new: NewEvent) -> None:
    """Write down what is changed in this transaction."""
    told = {name: getattr(new, name) for name in NewEvent.__dataclass_fields__}
    connection.execute(insert(channel_event).values(at=now(), **told | {"act": str(new.act)}))


def list_events(
    connection: Connection,
    model: str,
    *,
    channel_name: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[Event]:
    """What was changed of a model, or of one of its channels, the latest first, from before the event `before`."""
    columns = [column.label(column.key) for column in channel_event.c]
    query = select(*columns).where(channel_event.c.model == model)
    if channel_name is not None:
        query = query.where(channel_event.c.channel == channel_name)
    if before is not None:
        query = query.where(channel_event.c.id < before)
    rows = connection.execute(query.order_by(channel_event.c.id.desc()).limit(limit))
    return [Event(**row._asdict()) for row in rows]


def reasons_of(connection: Connection, model: str, name: str, act: Change, *, client: str) -> dict[str, str]:
    """Why a client has last done that to a channel, by the version that the channel named before."""
    query = select(channel_event.c.before, channel_event.c.reason).where(
        channel_event.c.model == model,
        channel_event.c.channel == name,
        channel_event.c.act == act,
        channel_event.c.client == client,
    )
    return {str(before): reason for before, reason in connection.execute(query.order_by(channel_event.c.id))}


def version_before(connection: Connection, model: str, name: str) -> str | None:
    """What a channel named before it was set to what it names; None: nothing.

    What was gone back from does not count: who goes back twice is two versions further back.
    """
    is_it = (channel_event.c.model == model) & (channel_event.c.channel == name)
    query = select(channel_event).where(is_it).order_by(channel_event.c.id)
    named: list[str] = []
    for event in connection.execute(query):
        if event.act == Change.REMOVED:
            named.clear()
        elif event.act == Change.ROLLED_BACK:
            del named[-1:]
        elif event.act == Change.SET:
            if not named and event.before:
                named.append(event.before)
            if named[-1:] != [event.after]:
                named.append(event.after)
    return named[-2] if len(named) > 1 else None


def was_on_channel(connection: Connection, model: str, name: str, version: str) -> bool:
    """Whether a channel has named a version before now, as far as its changes tell."""
    is_it = (channel_event.c.before == version) | (channel_event.c.after == version)
    query = select(channel_event.c.id).where(
        channel_event.c.model == model,
        channel_event.c.channel == name,
        channel_event.c.act != Change.REFUSED,
        is_it,
    )
    return connection.execute(query.limit(1)).first() is not None


def highest_told(connection: Connection, model: str) -> int:
    """The highest number of a version of that model that was ever retired or put on a channel; 0: of none."""
    told: set[str | None] = set()
    for column in (channel_event.c.before, channel_event.c.after):
        told.update(connection.scalars(select(column).where(channel_event.c.model == model).distinct()))
    return max((int(number) for number in told if number), default=0)


def _loaded_by_all(connection: Connection) -> frozenset[str]:
    """What every worker that lives has loaded, as model/version; nothing where none lives."""
    warm = [frozenset(each.warm) for each in alive_among(connection)]
    return frozenset.intersection(*warm) if warm else frozenset()


def _is_version(table: Any, model: str, version: str) -> Any:
    return (table.c.model == model) & (table.c.version == version)
