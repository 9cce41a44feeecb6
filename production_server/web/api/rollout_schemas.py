"""What travels over the API about versions on their way: rollouts, canaries, and going back."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self
from urllib.parse import quote
from uuid import UUID

from pydantic import Field

from production_server.jobs.rollouts import Rollout
from production_server.learning.canary import Seen
from production_server.learning.replay import Replay
from production_server.models.channels import STABLE
from production_server.serving.canaries import Canary
from production_server.serving.changes import LONGEST_REASON
from production_server.web.api.schemas import Schema, to_time


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
    meanwhile). `waits_for` are the workers that have not loaded it yet. `replay` is what it answers to the latest items
    of jobs that the version before has answered: how many it answers otherwise, and, for admins, the first of these.
    """

    id: UUID
    channel: str = Field(examples=[STABLE])
    version: str = Field(examples=["3"])
    before: str | None = Field(examples=["2"])
    percent: float | None = Field(examples=[None])
    state: str = Field(examples=["live"])
    told: str = Field(examples=[""])
    waits_for: list[str] = Field(examples=[[]])
    replay: Replay | None
    reason: str = Field(examples=["fewer false alarms"])
    client: str = Field(examples=["anna"])
    began: datetime
    ended: datetime | None
    links: RolloutLinks

    @classmethod
    def of(cls, found: Rollout, waits_for: list[str], *, may_see_jobs: bool) -> Self:
        """The API's view of a rollout; items of jobs are told to whoever may see everybody's."""
        replay = None if found.replay is None else Replay.model_validate(found.replay)
        if replay is not None and not may_see_jobs:
            replay = replay.model_copy(update={"others": ()})
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
            replay=replay,
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
    verdict: Literal["as_good", "worse", "unknown"]
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
            verdict=found.verdict.value,
            reasons=list(found.reasons),
            seen={
                work: SideBySideBody(canary=SeenBody.of(canary), stable=SeenBody.of(stable))
                for work, (canary, stable) in found.seen.items()
            },
        )
