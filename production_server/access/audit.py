"""The audit: who did what, and who was not let in.

A line of an act is written in the transaction of the act: neither is there without the other. Lines are added, and
cleared away when they are old (`recorder`); nothing changes one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select

from production_server.access.records import Actor
from production_server.jobs.database import Database, now
from production_server.jobs.job_row import uuid7
from production_server.jobs.tables import audit
from production_server.shown import shown

log = logging.getLogger(__name__)

Facts = Mapping[str, Any]
"""A few things about an object, as JSON has them; never what proves a key."""


LONGEST_ADDRESS = 64


class Act(StrEnum):
    """What was done, or not let happen. Programs may rely on the names."""

    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    KEY_ROTATED = "key.rotated"
    SESSION_OPENED = "session.opened"
    SESSION_ENDED = "session.ended"
    SESSION_REFUSED = "session.refused"
    """A login with what opens nothing."""
    CHANNEL_SET = "channel.set"
    CHANNEL_ROLLED_BACK = "channel.rolled_back"
    CHANNEL_REMOVED = "channel.removed"
    VERSION_RETIRED = "version.retired"
    VERSION_RESTORED = "version.restored"
    VERSION_DELETED = "version.deleted"
    JOB_CANCELLED = "job.cancelled"
    """Another client's, by an admin; so is a scan's."""
    SCAN_CANCELLED = "scan.cancelled"
    VERSION_IMPORTED = "version.imported"
    """A file that somebody sent has become a version of a model."""
    TRAINING_BEGUN = "training.begun"
    """By hand."""
    TRAINING_CANCELLED = "training.cancelled"
    TRAINING_RESUMED = "training.resumed"
    PERSONA_MADE = "persona.made"
    PERSONA_RENAMED = "persona.renamed"
    PERSONA_MERGED = "persona.merged"
    PERSONA_SPLIT = "persona.split"
    PERSONA_DELETED = "persona.deleted"
    """These name nobody: what is known of a person is deleted with the persona."""
    PROMISE_SET = "promise.set"
    """How many strangers may get a name."""
    REQUEST_REFUSED = "request.refused"
    """Answered with 401 or 403."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What a line tells, but for when that was."""

    by: Actor
    act: str
    """An `Act`, or one of a newer release."""
    object: str = ""
    """What it was done to: a key's id, a job's; of what was refused, the operation."""
    before: Facts | None = None
    after: Facts | None = None
    """How the object stood before, and stands now; of what was refused, why."""
    count: int = 1
    """How often, where one line tells of many refusals."""

    def __str__(self) -> str:
        """In one line, whatever is in it."""
        by = self.by
        told = (
            self.act,
            self.object,
            f"by {by.client or 'somebody'}",
            by.key_id and f"({by.key_id}…)",
            by.address and f"from {by.address}",
            f"× {self.count}" if self.count > 1 else "",
        )
        facts = (f"{name} {json.dumps(each)}" for name, each in self._facts.items() if each is not None)
        return " ".join((*(shown(part) for part in told if part), *facts))

    @property
    def members(self) -> dict[str, Any]:
        """All of it, by the names that it has in the log, over the API and on the command line."""
        by = self.by
        return {
            "client": by.client,
            "key": by.key_id,
            "act": str(self.act),
            "object": self.object,
            **self._facts,
            "address": by.address,
            "request_id": by.request_id,
            "count": self.count,
        }

    @property
    def _facts(self) -> dict[str, Facts | None]:
        return {"before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line(Noted):
    """A line as it is stored; `at` in seconds since the Unix epoch, UTC."""

    id: UUID
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines to find; None: all. Times in seconds since the Unix epoch, `since` included, `until` not."""

    client: str | None = None
    act: str | None = None
    since: float | None = None
    until: float | None = None


class Notes:
    """What one client does in one transaction."""

    def __init__(self, by: Actor) -> None:
        self.by = by
        self.made: list[Noted] = []

    def write(
        self,
        connection: Connection,
        act: Act,
        object_: str,
        *,
        before: Facts | None = None,
        after: Facts | None = None,
    ) -> None:
        """Write a line in the transaction of what it tells of."""
        noted = Noted(by=self.by, act=act, object=object_, before=before, after=after)
        write_line(connection, noted)
        self.made.append(noted)


@contextmanager
def noting(by: Actor) -> Iterator[Notes]:
    """Notes for a transaction inside this block; after it, when all is committed, the log is told, too."""
    notes = Notes(by)
    yield notes
    for noted in notes.made:
        log_line(noted)


def write_line(connection: Connection, noted: Noted, *, at: float | None = None) -> None:
    """Add a line about what happened at a time of the database's clock, in seconds since the Unix epoch; None: now."""
    by = noted.by
    connection.execute(
        insert(audit).values(
            id=uuid7(),
            at=now() if at is None else at,
            client=by.client,
            key_id=by.key_id,
            act=str(noted.act),
            object=noted.object,
            before=noted.before,
            after=noted.after,
            # As it may come from a header of a proxy's.
            address=shown(by.address)[:LONGEST_ADDRESS],
            request_id=by.request_id,
            times=noted.count,
        )
    )


def log_line(noted: Noted) -> None:
    """Tell the log what a line tells, in one line; as JSON each thing is a member."""
    log.info("%s", noted, extra={name: value for name, value in noted.members.items() if value})


def list_lines(database: Database, wanted: Wanted, *, after: UUID | None = None, limit: int) -> list[Line]:
    """Lines, newest first, from behind the one that has the id `after`.

    Raises:
        Unavailable: the database does not answer.
    """
    query = (
        select(audit).where(*_conditions(wanted)).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
    )
    if after is not None:
        query = query.where(_is_behind(after))
    with database.read() as connection:
        return [_to_line(row) for row in connection.execute(query)]


def every_line(database: Database, wanted: Wanted, *, page: int = 1000) -> Iterator[Line]:
    """All lines that are wanted, newest first, read page by page.

    Raises:
        Unavailable: the database does not answer.
    """
    after = None
    while found := list_lines(database, wanted, after=after, limit=page):
        yield from found
        after = found[-1].id


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.client is not None:
        conditions.append(audit.c.client == wanted.client)
    if wanted.act is not None:
        conditions.append(audit.c.act == wanted.act)
    if wanted.since is not None:
        conditions.append(audit.c.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(audit.c.at < wanted.until)
    return conditions


def _is_behind(line_id: UUID) -> ColumnElement[bool]:
    """By the time of that line, which the index has; where it is gone, so is all that was older."""
    at = select(audit.c.at).where(audit.c.id == line_id).scalar_subquery()
    return and_(audit.c.at <= at, or_(audit.c.at < at, audit.c.id < line_id))


def _to_line(row: Any) -> Line:
    return Line(
        id=row.id,
        at=row.at,
        by=Actor(row.client, row.key_id, row.address, row.request_id),
        act=row.act,
        object=row.object,
        before=row.before,
        after=row.after,
        count=row.times,
    )
