"""How streams stand: who reads them, and what waits."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import select

from production_server.jobs.arrivals import count_unfinished
from production_server.jobs.database import Database
from production_server.jobs.deliveries import count_waiting
from production_server.jobs.stream_members import Member, members
from production_server.jobs.tables import arrival


@dataclass(frozen=True, slots=True)
class StreamState:
    """One stream that some process reads."""

    name: str
    members: tuple[Member, ...]
    waiting: int
    """Items without a result."""
    untold: int
    """Transactions whose results the stream was not told yet."""

    @property
    def lag(self) -> int | None:
        """How many messages wait where they are; None: of a partition it is not known, or nobody has one."""
        lags = [each for member in self.members for each in member.told["partitions"].values()]
        known: list[int] = [each for each in lags if each is not None]
        return sum(known) if known and len(known) == len(lags) else None

    def answered_within(self, share: float) -> float | None:
        """Seconds within which such a share of the results were told, rounded up to a bound that is counted by.

        None: nothing was told yet. Infinite: it takes longer than the last bound.
        """
        counted = [member.answered_within() for member in self.members]
        total = sum(each[-1][1] for each in counted)
        for place, (bound, _) in enumerate(counted[0]):
            if total and sum(each[place][1] for each in counted) >= share * total:
                return bound
        return None


@dataclass(frozen=True, slots=True)
class RefusedMessage:
    """A message that nothing could be made of; `at` in seconds since the Unix epoch."""

    stream: str
    place: str
    request_id: str | None
    error_code: str
    error_message: str
    at: float


def stream_states(database: Database) -> list[StreamState]:
    """All streams that are read now, by name.

    Raises:
        Unavailable: the database does not answer.
    """
    found: defaultdict[str, list[Member]] = defaultdict(list)
    for member in members(database):
        found[member.stream].append(member)
    return [
        StreamState(name, tuple(found[name]), count_unfinished(database, name), count_waiting(database, name))
        for name in sorted(found)
    ]


def latest_refusals(database: Database, stream: str, *, limit: int) -> list[RefusedMessage]:
    """The latest messages of a stream that were refused, newest first.

    Raises:
        Unavailable: the database does not answer.
    """
    is_refused = (arrival.c.stream == stream) & arrival.c.error_code.is_not(None)
    query = select(arrival).where(is_refused).order_by(arrival.c.taken_at.desc()).limit(limit)
    with database.read() as connection:
        return [
            RefusedMessage(
                stream=row.stream,
                place=row.place,
                request_id=row.request_id,
                error_code=row.error_code,
                error_message=row.error_message or "",
                at=row.taken_at,
            )
            for row in connection.execute(query)
        ]
