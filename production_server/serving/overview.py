"""How versions stand, and what was changed of that: what the command line, the API and the pages show."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from production_server.errors import NotFound
from production_server.jobs import channels as rows
from production_server.jobs.channels import ChannelRow, Event
from production_server.jobs.database import Database
from production_server.jobs.item_times import ItemTimes, item_times
from production_server.jobs.rollouts import Rollout, get_rollout, list_rollouts
from production_server.jobs.workers import alive_workers
from production_server.models.channels import is_channel_name
from production_server.models.manifest import is_model_name
from production_server.models.registry import Registry
from production_server.models.store import ModelVersion
from production_server.serving.changes import channels_of
from production_server.serving.known_standings import KnownStandings
from production_server.shown import describe


@dataclass(frozen=True, slots=True)
class VersionState:
    """A version, and how it stands: the channels that name it, and in which workers it is loaded or does not load."""

    version: ModelVersion
    channels: tuple[str, ...]
    is_retired: bool
    loaded_by: tuple[str, ...]
    failing: dict[str, str]
    """Why it does not load, by worker."""
    times: ItemTimes | None
    """How long its items took of late; None: it had none."""

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return sum(file.size_bytes for file in self.version.manifest.files.values())


@dataclass(frozen=True, slots=True)
class Overview:
    """Shows how versions stand. Each method raises Unavailable where the database does not answer."""

    database: Database
    registry: Registry
    known: KnownStandings

    def history(
        self, model: str, *, channel: str | None = None, before: int | None = None, limit: int
    ) -> list[Event]:
        """What was changed of a model, or of one of its channels, the latest first, from before an event's id.

        Raises:
            NotFound: there is no such model, and never was one of which something was changed; or no such channel
                (code `channel_not_found`).
        """
        if channel is not None and not is_channel_name(channel):
            raise no_channel(model, channel)
        if not is_model_name(model):
            self.registry.versions(model)
        with self.database.read() as connection:
            found = rows.list_events(connection, model, channel_name=channel, before=before, limit=limit)
        if not found and before is None:
            self.channels(model) if channel is None else self.channel(model, channel)
        return found

    def earlier(self, model: str) -> dict[str, str]:
        """What each channel of a model named before, of those that named something: where it goes back to."""
        with self.database.read() as connection:
            found = {
                row.channel: rows.version_before(connection, model, row.channel)
                for row in rows.list_channels(connection, model)
            }
        return {channel: version for channel, version in found.items() if version is not None}

    def rollouts(self, model: str, *, limit: int) -> list[Rollout]:
        """What channels of a model were, or are, to name as soon as workers have loaded it, the latest first.

        Raises:
            NotFound: there is no such model.
        """
        self.registry.versions(model)
        with self.database.read() as connection:
            return list_rollouts(connection, model, limit=limit)

    def rollout(self, model: str, rollout_id: UUID) -> Rollout:
        """One of `rollouts`.

        Raises:
            NotFound: there is no such rollout of that model (code `rollout_not_found`).
        """
        with self.database.read() as connection:
            return get_rollout(connection, rollout_id, model=model)

    def highest_told(self, model: str) -> int:
        """The highest number of a version of that model of which something was changed; 0: of none."""
        with self.database.read() as connection:
            return rows.highest_told(connection, model)

    def channels(self, model: str) -> list[ChannelRow]:
        """What each channel of a model names, `stable` first, and who has set it.

        Raises:
            NotFound: there is no such model.
        """
        with self.database.read() as connection:
            named = channels_of(self.registry, model, rows.read_standing(connection, model))
            found = {row.channel: row for row in rows.list_channels(connection, model)}
        return [found.get(channel) or ChannelRow(channel, number) for channel, number in named.items()]

    def named(self, model: str, name: str) -> ChannelRow | None:
        """One of `channels`; None: there is no such channel.

        Raises:
            NotFound: there is no such model.
        """
        return next((row for row in self.channels(model) if row.channel == name), None)

    def channel(self, model: str, name: str) -> ChannelRow:
        """One of `channels`.

        Raises:
            NotFound: there is no such model, or channel (code `channel_not_found`).
        """
        found = self.named(model, name)
        if found is None:
            raise no_channel(model, name)
        return found

    def versions(self, model: str) -> list[VersionState]:
        """All versions of a model, the newest first, and how they stand.

        Raises:
            NotFound: there is no such model.
        """
        self.known.look_if_unknown()
        workers, times = alive_workers(self.database), item_times(self.database, model)
        channels, retired = self.registry.channels(model), self.registry.retired(model)
        found = []
        for version in reversed(self.registry.versions(model)):
            number, name = version.key[1], "/".join(version.key)
            found.append(
                VersionState(
                    version,
                    tuple(channel for channel, named in channels.items() if named == number),
                    number in retired,
                    tuple(worker.name for worker in workers if name in worker.warm),
                    {each.name: each.failing[name] for each in workers if name in each.failing},
                    times.get(number),
                )
            )
        return found

    def version(self, model: str, number: str) -> VersionState:
        """One of `versions`.

        Raises:
            NotFound: there is no such model or version.
        """
        self.registry.version(model, number)
        return next(each for each in self.versions(model) if each.version.key[1] == number)


def no_channel(model: str, channel: str) -> NotFound:
    """What is raised where a model has no such channel."""
    return NotFound(f"model {model!r} has no channel {describe(channel)}", code="channel_not_found")
