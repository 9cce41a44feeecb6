"""What travels over the API about the audit."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field, WithJsonSchema

from production_server.access.audit import Act, Line, Wanted
from production_server.web.api.schemas import MAX_PAGE, Schema, to_time
from production_server.web.api.stats_schemas import NO_NUL, Moment

AnyAct = Annotated[Act, WithJsonSchema({"type": "string", "enum": [act.value for act in Act]})]
Facts = dict[str, Any] | None


class AuditQuery(Schema):
    """Which lines to list: by who did what, and by when, from `since` on and before `until`.

    Times are in UTC if they have no zone. `after` is the last line of the page before.
    """

    client: str | None = Field(default=None, max_length=64, pattern=NO_NUL)
    act: AnyAct | None = None
    since: Moment | None = None
    until: Moment | None = None
    after: UUID | None = None
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)

    def wanted(self) -> Wanted:
        """Those that are asked for."""
        return Wanted(
            client=self.client,
            act=self.act,
            since=None if self.since is None else self.since.timestamp(),
            until=None if self.until is None else self.until.timestamp(),
        )


class LineBody(Schema):
    """Who did what, and from where; or who was not let in.

    `client` and `key` are empty where nobody knows who it was or no key was brought, `address` where it was done on the
    machine itself. `object` is a key's id, a job's, or what was asked for. `count` is more than 1 where one line tells
    of many refusals; without an address then, of many addresses.
    """

    id: UUID
    at: datetime
    client: str = Field(examples=["anna"])
    key: str = Field(examples=["cel_AbCdEfGh"])
    act: str = Field(examples=["key.revoked"])
    object: str = Field(examples=["cel_IjKlMnOp"])
    before: Facts = Field(examples=[{"name": "bert's notebook", "client": "bert"}])
    after: Facts = Field(examples=[None])
    address: str = Field(examples=["192.0.2.7"])
    request_id: str = Field(examples=["3f1c9a0b7d52e846"])
    count: int = Field(examples=[1])

    @classmethod
    def of(cls, line: Line) -> Self:
        """The API's view of a line."""
        return cls(id=line.id, at=to_time(line.at), **line.members)


class AuditBody(Schema):
    """A page of lines, newest first; `next` is the `after` of the next page, or null."""

    lines: list[LineBody]
    next: UUID | None
