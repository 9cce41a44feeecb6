"""What travels over the API about versions, and which of them serve."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from urllib.parse import quote
from uuid import UUID

from pydantic import Field

from production_server.jobs.channels import ChannelRow, Event
from production_server.jobs.item_times import ItemTimes
from production_server.jobs.rollouts import Rollout
from production_server.learning.canary import Seen, Verdict
from production_server.models.channels import LONGEST_CHANNEL, STABLE
from production_server.models.manifest import Manifest
from production_server.serving.canaries import Canary
from production_server.serving.overview import VersionState
from production_server.serving.serving import LONGEST_REASON, Wanted
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
    of those that should have and have not, why.
    """

    model: str = Field(examples=["diabetes"])
    version: str = Field(examples=["3"])
    channels: list[str] = Field(examples=[[STABLE]])
    retired: bool
    size_bytes: int = Field(examples=[91782])
    loaded_by: list[str] = Field(examples=[["worker-1"]])
    failing: dict[str, str] = Field(examples=[{}])
    item_ms: ItemTimesBody | None
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
            manifest=state.version.manifest,
        )


class VersionsBody(Schema):
    """All versions of a model, the newest first."""

    versions: list[VersionBody]


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

    With `expected` only if the channel names that version now; an empty text stands for none. `percent` is what the
    channel `canary` gets of the work that asks for no version; without it only what asks for it by name.
    """

    version: str = Field(min_length=1, max_length=LONGEST_CHANNEL, examples=["3"])
    reason: str = Field(default="", max_length=LONGEST_REASON, examples=["fewer false alarms"])
    expected: str | None = Field(default=None, max_length=9, examples=["2"])
    percent: float | None = Field(default=None, gt=0, le=100, examples=[5])

    def wanted(self, model: str, channel: str) -> Wanted:
        """What is asked for."""
        return Wanted(
            model=model,
            version=self.version,
            channel=channel,
            reason=self.reason,
            expected=self.expected,
            percent=self.percent,
        )


class RollbackRequest(Schema):
    """Why a channel goes back. With `expected` only if it names that version now."""

    reason: str = Field(default="", max_length=LONGEST_REASON, examples=["it answers nonsense"])
    expected: str | None = Field(default=None, max_length=9, examples=["3"])


class RolloutLinks(Schema):
    """Where the rollout, and what it is about, are found."""

    self: str
    channel: str


class RolloutBody(Schema):
    """A version that a channel is to name as soon as every worker has loaded it.

    `state` is `loading`, `live`, `refused` (`told` says why) or `overtaken` (the channel was changed otherwise
    meanwhile). `waits_for` are the workers that have not loaded it yet.
    """

    id: UUID
    channel: str = Field(examples=[STABLE])
    version: str = Field(examples=["3"])
    before: str | None = Field(examples=["2"])
    percent: float | None = Field(examples=[None])
    state: str = Field(examples=["live"])
    told: str = Field(examples=[""])
    waits_for: list[str] = Field(examples=[[]])
    reason: str = Field(examples=["fewer false alarms"])
    client: str = Field(examples=["anna"])
    began: datetime
    ended: datetime | None
    links: RolloutLinks

    @classmethod
    def of(cls, found: Rollout, waits_for: list[str]) -> Self:
        """The API's view of a rollout."""
        model = f"/api/models/{quote(found.model)}"
        return cls(
            id=found.id,
            channel=found.channel,
            version=found.version,
            before=found.before,
            percent=found.percent,
            state=found.state,
            told=found.told,
            waits_for=waits_for,
            reason=found.reason,
            client=found.client,
            began=to_time(found.began_at),
            ended=None if found.ended_at is None else to_time(found.ended_at),
            links=RolloutLinks(
                self=f"{model}/rollouts/{found.id}", channel=f"{model}/channels/{found.channel}"
            ),
        )


class RolloutsBody(Schema):
    """The latest rollouts of a model, the latest first."""

    rollouts: list[RolloutBody]


class SeenBody(Schema):
    """What one version answered: how often, how often it failed, what 95 of 100 took at most, and with which labels."""

    answers: int = Field(examples=[240])
    failed: int = Field(examples=[0])
    p95_ms: float | None = Field(examples=[2.1])
    labels: dict[str, int] = Field(examples=[{"yes": 80, "no": 160}])

    @classmethod
    def of(cls, seen: Seen) -> Self:
        """The API's view of it."""
        p95_ms = None if seen.p95_ms is None else round(seen.p95_ms, 3)
        return cls(
            answers=seen.answers, failed=seen.failed, p95_ms=p95_ms, labels=dict(seen.labels.most_common())
        )


class SideBySideBody(Schema):
    """What both versions answered of one kind of work."""

    canary: SeenBody
    stable: SeenBody


class CanaryBody(Schema):
    """How a canary does beside what is stable.

    `verdict` is `as_good` (or better), `worse` (it is taken back) or `unknown`; `reasons` say why. `seen` has `calls`,
    `items`, or both.
    """

    version: str = Field(examples=["4"])
    stable: str | None = Field(examples=["3"])
    percent: float | None = Field(examples=[5])
    since: datetime | None
    verdict: Verdict
    reasons: list[str] = Field(examples=[["too few: 12 of 200 calls of the canary"]])
    seen: dict[str, SideBySideBody]

    @classmethod
    def of(cls, found: Canary) -> Self:
        """The API's view of a canary."""
        return cls(
            version=found.row.version,
            stable=found.stable,
            percent=found.row.percent,
            since=None if found.row.set_at is None else to_time(found.row.set_at),
            verdict=found.verdict,
            reasons=list(found.reasons),
            seen={
                work: SideBySideBody(canary=SeenBody.of(canary), stable=SeenBody.of(stable))
                for work, (canary, stable) in found.seen.items()
            },
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
    versions that the channel named and names, or the one that it was done to.
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
        )


class HistoryBody(Schema):
    """A page of changes, the latest first; `next` is the `before` of the next page, or null."""

    events: list[EventBody]
    next: int | None
