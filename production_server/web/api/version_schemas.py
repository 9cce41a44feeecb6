"""What travels over the API about versions, and which of them serve."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import Field

from production_server.jobs.channels import ChannelRow, Event
from production_server.jobs.item_times import ItemTimes
from production_server.learning.promotion import measured_of
from production_server.learning.report import DESPITE, allowed_by
from production_server.models.channels import LONGEST_CHANNEL, STABLE
from production_server.models.manifest import Manifest
from production_server.models.registry import Registry
from production_server.serving.changes import LONGEST_REASON
from production_server.serving.overview import VersionState
from production_server.serving.promoting import MOST_PERCENT, Promoted, Wanted
from production_server.web.api.report_schemas import MeasuredBody, ReportBody
from production_server.web.api.rollout_schemas import RolloutBody
from production_server.web.api.schemas import MAX_INDEX, MAX_PAGE, Schema, to_time

WHY = "why, for whoever reads the history"


class ItemTimesBody(Schema):
    """Milliseconds that an item of a job took, of some of the latest: its share of its batch, decoding included."""

    median: float = Field(examples=[0.08])
    p99: float = Field(examples=[0.31])
    items: int = Field(examples=[1200])

    @classmethod
    def of(cls, times: ItemTimes | None) -> Self | None:
        """The API's view of it; null where no items were worked off of late."""
        if times is None:
            return None
        return cls(median=round(times.median_ms, 3), p99=round(times.p99_ms, 3), items=times.items)


class VersionBody(Schema):
    """A version, and how it stands.

    `channels` name it; a retired one takes no new work. `loaded_by` are the workers that have it loaded; `failing` says
    of those that should have and have not, why. `measured` is what its sample said when it came through the gate.
    """

    model: str = Field(examples=["diabetes"])
    version: str = Field(examples=["3"])
    channels: list[str] = Field(examples=[[STABLE]])
    retired: bool
    size_bytes: int = Field(examples=[91782])
    loaded_by: list[str] = Field(examples=[["worker-1"]])
    failing: dict[str, str] = Field(examples=[{}])
    item_ms: ItemTimesBody | None
    measured: MeasuredBody | None
    manifest: Manifest

    @classmethod
    def of(cls, state: VersionState) -> Self:
        """The API's view of a version."""
        model, version = state.version.key
        return cls(
            model=model,
            version=version,
            channels=list(state.channels),
            retired=state.is_retired,
            size_bytes=state.size_bytes,
            loaded_by=list(state.loaded_by),
            failing=state.failing,
            item_ms=ItemTimesBody.of(state.times),
            measured=MeasuredBody.of(measured_of(state.version)),
            manifest=state.version.manifest,
        )


class VersionsBody(Schema):
    """All versions of a model, the newest first."""

    versions: list[VersionBody]


class ModelBody(Schema):
    """A model: its versions, those that are retired, which one each channel names, and the manifest of the stable one.

    Where that is not here, it is the manifest of the newest one.
    """

    name: str
    title: str
    task: str
    versions: list[str]
    retired: list[str]
    channels: dict[str, str]
    measured: MeasuredBody | None
    manifest: Manifest

    @classmethod
    def of(cls, registry: Registry, name: str) -> Self:
        """The API's view of a model.

        Raises:
            NotFound: there is no such model.
        """
        version = registry.shown(name)
        manifest = version.manifest
        retired = registry.retired(name)
        return cls(
            name=manifest.name,
            title=manifest.title,
            task=manifest.task,
            versions=[version.key[1] for version in registry.versions(name)],
            retired=[version.key[1] for version in registry.versions(name) if version.key[1] in retired],
            channels=registry.channels(name),
            measured=MeasuredBody.of(measured_of(version)),
            manifest=manifest,
        )


class ModelsBody(Schema):
    """All models."""

    models: list[ModelBody]


class EndQuery(Schema):
    """How a version ends: retired, or with `files` deleted, and why."""

    files: bool = Field(default=False, description="delete the files of a version that is retired already")
    reason: str = Field(default="", max_length=LONGEST_REASON, description=WHY)


class ReasonQuery(Schema):
    """Why something is changed."""

    reason: str = Field(default="", max_length=LONGEST_REASON, description=WHY)


class RestoreRequest(Schema):
    """Why a retired version takes work again."""

    reason: str = Field(default="", max_length=LONGEST_REASON, examples=["needed for a comparison"])


class PromoteRequest(Schema):
    """Which version a channel is to name: a number, or the name of another channel.

    With `expected` only if the channel names that version now; an empty text stands for none. What the gate finds wrong
    with what is to be stable is overridden by `breaking` (it takes or answers something else) and `despite`. With
    `dry_run` nothing is changed. `percent` is what the channel `canary` gets of the work that asks for no version;
    without it only what asks for it by name.
    """

    version: str = Field(min_length=1, max_length=LONGEST_CHANNEL, examples=["3"])
    reason: str = Field(default="", max_length=LONGEST_REASON, examples=["fewer false alarms"])
    expected: str | None = Field(default=None, max_length=9, examples=["2"])
    percent: float | None = Field(default=None, gt=0, le=MOST_PERCENT, examples=[5])
    breaking: bool = False
    despite: list[str] = Field(default=[], max_length=len(DESPITE), examples=[["latency"]])
    dry_run: bool = False

    def wanted(self, model: str, channel: str) -> Wanted:
        """What is asked for.

        Raises:
            InvalidInput: `despite` names a check that may not fail.
        """
        return Wanted(
            model=model,
            version=self.version,
            channel=channel,
            reason=self.reason,
            expected=self.expected,
            percent=self.percent,
            allowed=allowed_by(breaking=self.breaking, despite=self.despite),
            dry_run=self.dry_run,
        )


class ChannelBody(Schema):
    """What a channel names, since when and by whom; both are null of `stable` while nobody has set it.

    `percent` is what the canary gets of the work that asks for no version.
    """

    channel: str = Field(examples=[STABLE])
    version: str = Field(examples=["3"])
    set: datetime | None
    by: str | None = Field(examples=["anna"])
    percent: float | None = Field(examples=[None])

    @classmethod
    def of(cls, row: ChannelRow) -> Self:
        """The API's view of a channel."""
        at = None if row.set_at is None else to_time(row.set_at)
        return cls(channel=row.channel, version=row.version, set=at, by=row.set_by, percent=row.percent)


class PromotedBody(Schema):
    """What a channel names now, null: nothing, and what the gate said; `rollout` is null of a dry run.

    `report` is null where the gate is not asked: of other channels than `stable`, and of what is stable or has been.
    """

    channel: str = Field(examples=[STABLE])
    version: str | None = Field(examples=["3"])
    set: datetime | None
    by: str | None = Field(examples=["anna"])
    percent: float | None = Field(examples=[None])
    dry_run: bool
    report: ReportBody | None
    rollout: RolloutBody | None

    @classmethod
    def of(
        cls, promoted: Promoted, wanted: Wanted, *, row: ChannelRow | None, rollout: RolloutBody | None
    ) -> Self:
        """The API's view of what came of it: what the channel names now, and the rollout as it stands."""
        return cls(
            channel=wanted.channel,
            version=None if row is None else row.version,
            set=None if row is None or row.set_at is None else to_time(row.set_at),
            by=None if row is None else row.set_by,
            percent=None if row is None else row.percent,
            dry_run=wanted.dry_run,
            report=None if promoted.report is None else ReportBody.of(promoted.report),
            rollout=rollout,
        )


class ChannelsBody(Schema):
    """All channels of a model, `stable` first."""

    channels: list[ChannelBody]


class HistoryQuery(Schema):
    """Which changes to list; `before` is the last one of the page before."""

    before: int | None = Field(default=None, ge=1, le=MAX_INDEX)
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)


class EventBody(Schema):
    """A change: of a channel (`set`, `rolled_back`, `removed`), or of a version (`retired`, `restored`, `deleted`).

    `refused` changed nothing: a worker could not load what the channel was to name. `before` and `after` are the
    versions that the channel named and names, or the one that it was done to; `despite` are the checks of the gate that
    had failed and were overridden.
    """

    id: int = Field(examples=[17])
    at: datetime
    act: str = Field(examples=["set"])
    channel: str | None = Field(examples=[STABLE])
    before: str | None = Field(examples=["2"])
    after: str | None = Field(examples=["3"])
    client: str = Field(examples=["anna"])
    reason: str = Field(examples=["fewer false alarms"])
    percent: float | None = Field(examples=[None])
    despite: list[str] = Field(examples=[["latency"]])

    @classmethod
    def of(cls, event: Event) -> Self:
        """The API's view of a change."""
        return cls(
            id=event.id,
            at=to_time(event.at),
            act=event.act,
            channel=event.channel,
            before=event.before,
            after=event.after,
            client=event.client,
            reason=event.reason,
            percent=event.percent,
            despite=event.overridden,
        )


class HistoryBody(Schema):
    """A page of changes, the latest first; `next` is the `before` of the next page, or null."""

    events: list[EventBody]
    next: int | None
