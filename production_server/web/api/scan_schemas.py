"""What travels over the API about scans."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import Field

from production_server.jobs.away import Waiting
from production_server.jobs.item_body import ItemError
from production_server.jobs.records import Job, Priority, Scan, ScanState
from production_server.models.channels import LONGEST_CHANNEL
from production_server.storage.locations import MAX_URL
from production_server.web.api.schemas import MAX_PAGE, JobBody, Schema, to_time


class ScanRequest(Schema):
    """What to list. `pattern` is held against the last part of a key; one with a slash, against what follows `url`."""

    url: str = Field(max_length=MAX_URL, examples=["s3://photos/incoming"])
    model: str = Field(max_length=64, examples=["mobilenet"])
    version: str | None = Field(default=None, max_length=LONGEST_CHANNEL, examples=["1"])
    pattern: str = Field(default="*", min_length=1, max_length=255, pattern=r"^[^\x00]*$", examples=["*.jpg"])
    again: bool = False
    dry_run: bool = False
    priority: Priority = "normal"


class ScanLinks(Schema):
    """Where to go on from a scan."""

    self: str
    job: str | None


class ScanBody(Schema):
    """A scan as it stands: objects looked at, those that became items (of a dry run: would), those done before.

    `error` is why it has failed; while it lists, why it does not go on, and `next_try` when it is tried again,
    or null while it is tried.
    """

    id: UUID
    state: ScanState
    url: str
    pattern: str
    model: str
    version: str
    again: bool
    dry_run: bool
    listed: int
    matched: int
    skipped: int
    created: datetime
    finished: datetime | None
    error: ItemError | None
    next_try: datetime | None
    job: JobBody | None
    links: ScanLinks

    @classmethod
    def of(cls, scan: Scan, job: Job | None, waiting: Waiting | None = None) -> Self:
        """The API's view of a scan and its job; a dry run has none."""
        error = None
        if scan.error_code is not None:
            error = ItemError(code=scan.error_code, message=scan.error_message or "")
        next_try = scan.next_try_at if error and scan.state == "listing" else None
        return cls(
            id=scan.id,
            state=scan.state,
            url=scan.url,
            pattern=scan.pattern,
            model=scan.model,
            version=scan.version,
            again=scan.again,
            dry_run=scan.dry_run,
            listed=scan.listed,
            matched=scan.matched,
            skipped=scan.skipped,
            created=to_time(scan.created_at),
            finished=None if scan.finished_at is None else to_time(scan.finished_at),
            error=error,
            next_try=None if next_try is None else to_time(next_try),
            job=None if job is None else JobBody.of(job, waiting),
            links=ScanLinks(
                self=f"/api/scans/{scan.id}", job=None if job is None else f"/api/jobs/{scan.id}"
            ),
        )


class ScansQuery(Schema):
    """Which scans to list; `after` is the last one of the page before."""

    after: UUID | None = None
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)


class ScansBody(Schema):
    """A page of scans, newest first; `next` is the `after` of the next page, or null."""

    scans: list[ScanBody]
    next: UUID | None
