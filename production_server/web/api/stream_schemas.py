"""What travels over the API about streams."""

from __future__ import annotations

from datetime import datetime
from math import isinf
from typing import Self

from pydantic import Field

from production_server.jobs.stream_members import Member
from production_server.jobs.stream_states import RefusedMessage, StreamState
from production_server.web.api.schemas import Schema, to_time


class MemberBody(Schema):
    """A process that reads a stream, as it told of itself in the last seconds; counts are since it began.

    `lag` says of each partition that it has how many messages wait there, null where that is not known; one without
    partitions is idle. `known` are items that were there already. `told` are results and refusals.
    """

    process: str
    lag: dict[str, int | None]
    paused: bool
    fault: str
    messages: int
    items: int
    known: int
    refused: int
    told: int

    @classmethod
    def of(cls, member: Member) -> Self:
        """The API's view of a process."""
        told = member.told
        return cls(
            process=member.process,
            lag=told["partitions"],
            paused=told["paused"],
            fault=told["fault"],
            messages=told["messages"],
            items=told["items"],
            known=told["known"],
            refused=told["refused"],
            told=told["told"],
        )


class RefusedBody(Schema):
    """A message that nothing could be made of, and where it stands."""

    place: str
    id: str | None
    code: str
    message: str
    at: datetime

    @classmethod
    def of(cls, refused: RefusedMessage) -> Self:
        """The API's view of a refused message."""
        return cls(
            place=refused.place,
            id=refused.request_id,
            code=refused.error_code,
            message=refused.error_message,
            at=to_time(refused.at),
        )


class StreamBody(Schema):
    """A stream that some process reads: `waiting` items have no result yet, `untold` batches were not told yet.

    `lag` messages wait where they are, null where that is not known. Half of the results were told within `p50_s` of
    when their messages were sent, 99 of 100 within `p99_s`: rounded up, null where there are none or it takes longer.
    """

    name: str
    source: str = Field(serialization_alias="from")
    models: list[str]
    results: str | None
    waiting: int
    most_waiting: int
    untold: int
    lag: int | None
    p50_s: float | None
    p99_s: float | None
    members: list[MemberBody]
    refused: list[RefusedBody]

    @classmethod
    def of(cls, state: StreamState, refused: list[RefusedMessage]) -> Self:
        """The API's view of a stream, with the latest messages that were refused."""
        told = state.members[0].told
        return cls(
            name=state.name,
            source=told["from"],
            models=told["models"],
            results=told["results"],
            waiting=state.waiting,
            most_waiting=told["most_waiting"],
            untold=state.untold,
            lag=state.lag,
            p50_s=_finite(state.answered_within(0.5)),
            p99_s=_finite(state.answered_within(0.99)),
            members=[MemberBody.of(member) for member in state.members],
            refused=[RefusedBody.of(each) for each in refused],
        )


def _finite(seconds: float | None) -> float | None:
    return None if seconds is None or isinf(seconds) else seconds


class StreamsBody(Schema):
    """All streams that are read now."""

    streams: list[StreamBody]
