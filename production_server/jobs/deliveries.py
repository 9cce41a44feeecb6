"""What streams are yet to be told: a row for each transaction in which items are done, or a message is refused.

It is written where it becomes true, so it is there if that is, and deleted when it was told: at least once. One process
at a time tells a stream (`Turn`), so that results keep the order in which they were completed.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from production_server.jobs.database import Database, dialect_of
from production_server.jobs.read import item_columns, item_with_place, job_columns, to_item, to_job
from production_server.jobs.records import Delivery, Item, Job, NewRefusal, Told
from production_server.jobs.tables import arrival, delivery, item, job, stream_turn

LOST_S = 10.0
"""Who has a turn and does not go on with it for so long has lost it."""


def note_results(connection: Connection, stream: str, job_id: UUID, indexes: Collection[int]) -> None:
    """Note that items of a job are done."""
    connection.execute(insert(delivery).values(stream=stream, job_id=job_id, runs=_runs_of(indexes)))


def note_cancelled(connection: Connection, stream: str, job_id: UUID) -> None:
    """Note that items of a job were cancelled: of those that were so before, the stream is told again."""
    connection.execute(insert(delivery).values(stream=stream, job_id=job_id))


def note_refused(connection: Connection, stream: str, refused: NewRefusal) -> None:
    """Note that a message was refused, whose arrival is stored."""
    told = {"message": refused.message, "headers": dict(refused.headers)}
    connection.execute(insert(delivery).values(stream=stream, arrival=refused.arrival.digest, **told))


def next_deliveries(database: Database, stream: str, *, limit: int) -> list[Delivery]:
    """What the stream is to be told next, in order.

    Raises:
        Unavailable: the database does not answer.
    """
    with database.read() as connection:
        is_its = delivery.c.stream == stream
        rows = connection.execute(select(delivery).where(is_its).order_by(delivery.c.id).limit(limit)).all()
        jobs = _jobs_of(connection, {row.job_id for row in rows if row.job_id is not None})
        return [
            Delivery(id=row.id, attempts=row.attempts, told=_told(connection, row, jobs.get(row.job_id)))
            for row in rows
        ]


def forget(database: Database, told: Sequence[int]) -> None:
    """Note that deliveries were told."""
    with database.write() as connection:
        connection.execute(delete(delivery).where(delivery.c.id.in_(told)))


def note_attempt(database: Database, failed: Sequence[int]) -> None:
    """Note that the stream could not be told."""
    with database.write() as connection:
        tried = update(delivery).where(delivery.c.id.in_(failed))
        connection.execute(tried.values(attempts=delivery.c.attempts + 1))


def count_waiting(database: Database, stream: str) -> int:
    """How many deliveries of a stream wait."""
    with database.read() as connection:
        query = select(func.count()).select_from(delivery).where(delivery.c.stream == stream)
        return connection.execute(query).scalar_one()


class Turn:
    """The right to tell a stream its results, which one process has as long as it goes on with it.

    Others see by their own clocks whether it does (ADR 28).
    """

    def __init__(
        self, database: Database, stream: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._stream = stream
        self._clock = clock
        self._token = uuid4()
        self._seen: tuple[UUID, int] | None = None
        self._seen_at = clock()

    def is_mine(self) -> bool:
        """Go on with the turn, or take it where nobody has it any more; whether this process has it.

        Raises:
            Unavailable: the database does not answer.
        """
        its = stream_turn.c.stream == self._stream
        mine = its & (stream_turn.c.token == self._token)
        with self._database.write() as connection:
            going_on = update(stream_turn).where(mine).values(beats=stream_turn.c.beats + 1)
            if connection.execute(going_on).rowcount:
                return True
            found = connection.execute(
                select(stream_turn.c.token, stream_turn.c.beats).where(its)
            ).one_or_none()
            if found is None:
                _enter_turn(connection, self._stream, self._token)
                return False  # Two may have entered it at once: the next look tells who has it.
            seen = (found.token, found.beats)
            if seen != self._seen:
                self._seen, self._seen_at = seen, self._clock()
                return False
            if self._clock() - self._seen_at < LOST_S:
                return False
            is_lost = its & (stream_turn.c.token == found.token) & (stream_turn.c.beats == found.beats)
            taken = update(stream_turn).where(is_lost).values(token=self._token, beats=0)
            return connection.execute(taken).rowcount > 0

    def leave(self) -> None:
        """Let others have the turn at once, if this process has it."""
        with self._database.write() as connection:
            connection.execute(
                delete(stream_turn).where(
                    stream_turn.c.stream == self._stream, stream_turn.c.token == self._token
                )
            )


def _enter_turn(connection: Connection, stream: str, token: UUID) -> None:
    entered = dialect_of(connection).insert(stream_turn).values(stream=stream, token=token, beats=0)
    connection.execute(entered.on_conflict_do_nothing())


def _runs_of(indexes: Collection[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for index in sorted(indexes):
        if runs and index == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], index
        else:
            runs.append((index, index))
    return runs


def _jobs_of(connection: Connection, ids: Collection[UUID]) -> Mapping[UUID, Job]:
    rows = connection.execute(select(*job_columns).where(job.c.id.in_(ids)))
    return {row.id: to_job(row) for row in rows}


def _told(connection: Connection, row: Any, of_job: Job | None) -> tuple[Told, ...]:
    if row.arrival is not None:
        return (_refusal(connection, row),)
    if of_job is None:
        return ()
    if row.runs is None:
        is_meant = item.c.state == "cancelled"
    else:
        is_meant = or_(*(item.c.idx.between(first, last) for first, last in row.runs))
    query = select(*item_columns).select_from(item_with_place)
    items = connection.execute(query.where(item.c.job_id == row.job_id, is_meant).order_by(item.c.idx)).all()
    if not items:
        return ()
    came = _messages_of(connection, row.job_id, items[0].idx, items[-1].idx)
    firsts = [message.first_idx for message in came]
    # The last message that begins at an item, or before it, is the one that it came with.
    return tuple(_of_item(of_job, to_item(each), came[bisect_right(firsts, each.idx) - 1]) for each in items)


def _messages_of(connection: Connection, job_id: UUID, first: int, last: int) -> Sequence[Any]:
    """The messages that items of a job came with, in order: all that have one from `first` to `last`.

    Joined here: a database compares each item with each message.
    """
    query = select(
        arrival.c.first_idx, arrival.c.place, arrival.c.sent_at, arrival.c.key, arrival.c.request_id
    )
    has_some = (arrival.c.first_idx <= last) & (arrival.c.first_idx + arrival.c.item_count > first)
    return connection.execute(
        query.where(arrival.c.job_id == job_id, has_some).order_by(arrival.c.first_idx)
    ).all()


def _of_item(of_job: Job, done: Item, message: Any) -> Told:
    key = None if message.key is None else bytes(message.key)
    return Told(
        job=of_job,
        item=done,
        place=message.place,
        sent_at=message.sent_at,
        row=done.index - message.first_idx,
        key=key,
        request_id=message.request_id,
    )


def _refusal(connection: Connection, row: Any) -> Told:
    found = connection.execute(select(arrival).where(arrival.c.digest == row.arrival)).one()
    return Told(
        job=None,
        item=None,
        place=found.place,
        sent_at=found.sent_at,
        row=None,
        key=None if found.key is None else bytes(found.key),
        request_id=found.request_id,
        error_code=found.error_code,
        error_message=found.error_message,
        message=bytes(row.message or b""),
        headers=row.headers or {},
    )
