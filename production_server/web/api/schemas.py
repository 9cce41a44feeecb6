"""What travels over the API: the models that requests are checked with and that the OpenAPI document is made from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from production_server.jobs.away import Waiting
from production_server.jobs.item_body import ItemBody
from production_server.jobs.records import Item, Job, JobState, Priority
from production_server.models.channels import LONGEST_CHANNEL
from production_server.models.table import Reading
from production_server.models.tasks.task import Task

MAX_PAGE = 1000
ITEMS_IN_ANSWER = 100
"""So many items has a page of results, unless it is asked for another number, and a job that is answered with them."""
MAX_INDEX = 2**31 - 1


class Schema(BaseModel):
    """Unknown members are refused: a misspelt one would otherwise be ignored in silence."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


_INPUTS_SCHEMA = {
    "type": "array",
    "minItems": 1,
    "items": {"anyOf": [{"type": "array", "items": {}}, {"type": "object"}]},
    "examples": [[[6, 148, 72, 35, 0, 33.6, 0.627, 50]]],
}


class JobRequest(Schema):
    """A new job. Inputs are rows in feature order, rows by feature name, nested pixels, or images in Base64.

    `version` is a number, or the name of a channel; without it `stable` is meant.
    """

    model: str = Field(max_length=64, examples=["diabetes"])
    # Each input is checked against the manifest; here it would only be copied, and each bad one would be a fault.
    inputs: Annotated[list[Any], Field(min_length=1), WithJsonSchema(_INPUTS_SCHEMA)]
    version: str | None = Field(default=None, max_length=LONGEST_CHANNEL, examples=["1"])
    priority: Priority = "normal"


class JobForm(Schema):
    """A new job as multipart/form-data: image files as `file` (repeated), or one table as `csv`."""

    model: str = Field(max_length=64)
    version: str | None = Field(default=None, max_length=LONGEST_CHANNEL)
    priority: Priority = "normal"


class Links(Schema):
    """Where to go on from a job."""

    self: str
    results: str
    results_csv: str
    results_json: str
    events: str
    page: str

    @classmethod
    def of(cls, job_id: UUID) -> Self:
        """The links of one job."""
        self = f"/api/jobs/{job_id}"
        return cls(
            self=self,
            results=f"{self}/results",
            results_csv=f"{self}/results.csv",
            results_json=f"{self}/results.json",
            events=f"{self}/events",
            page=f"/predictions/{job_id}",
        )


class WaitingBody(Schema):
    """What a job or a scan waits for that does not answer: what was said of the last try, and when the next one is.

    `next_try` is null while it is asked.
    """

    bucket: str
    message: str
    next_try: datetime | None

    @classmethod
    def of(cls, waiting: Waiting | None) -> Self | None:
        """The API's view of it; null where nothing is waited for."""
        if waiting is None:
            return None
        next_try = None if waiting.next_try_at is None else to_time(waiting.next_try_at)
        return cls(bucket=waiting.bucket, message=waiting.message, next_try=next_try)


class JobBody(Schema):
    """A job as it stands; times are RFC 3339 in UTC. While a scan still adds items to it, it is growing.

    `waiting` says which bucket does not answer, where objects of the job do not come.
    """

    id: UUID
    state: JobState
    model: str
    version: str
    source: str
    priority: Priority
    total: int
    succeeded: int
    failed: int
    cancelled: int
    created: datetime
    started: datetime | None
    finished: datetime | None
    growing: bool
    waiting: WaitingBody | None
    links: Links

    @classmethod
    def of(cls, job: Job, waiting: Waiting | None = None) -> Self:
        """The API's view of a job."""
        return cls(
            id=job.id,
            state=job.state,
            model=job.model,
            version=job.version,
            source=job.source,
            priority=job.priority,
            total=job.total,
            succeeded=job.succeeded,
            failed=job.failed,
            cancelled=job.cancelled,
            created=to_time(job.created_at),
            started=None if job.started_at is None else to_time(job.started_at),
            finished=None if job.finished_at is None else to_time(job.finished_at),
            growing=job.is_growing,
            waiting=WaitingBody.of(waiting),
            links=Links.of(job.id),
        )


class TableBody(Schema):
    """How a table was read: enough to find each of its rows in the same file again.

    With `skips_spaces`, spaces behind a `delimiter` are no part of the cell. `header` is the line that it begins
    in, from 1, or null. `columns` says what each is: a feature, the name of what is true, or null for one that
    was passed over. `rows` are runs of rows of which each begins a line after the other: the first one's line, and how
    many they are.
    """

    encoding: Literal["utf-8", "utf-16"]
    delimiter: str
    skips_spaces: bool
    header: int | None
    columns: list[str | None]
    rows: list[tuple[int, int]]

    @classmethod
    def of(cls, reading: Reading) -> Self:
        """The API's view of how a table was read."""
        return cls(
            encoding=reading.writing.encoding,
            delimiter=reading.writing.delimiter,
            skips_spaces=reading.writing.skips_spaces,
            header=reading.header,
            columns=list(reading.columns),
            rows=list(reading.runs),
        )


class SubmittedBody(JobBody):
    """A job that was accepted; one of a table has in `table` how that was read."""

    table: TableBody | None = Field(default=None, exclude_if=lambda table: table is None)

    @classmethod
    def of_submitted(cls, job: Job, table: TableBody | None) -> Self:
        """The API's view of a job that was just accepted."""
        return cls(**dict(JobBody.of(job)), table=table)


class JobOverBody(SubmittedBody):
    """A job that is over. With up to 100 items it has them in `results`, as the page at `links.results` has them.

    With more it has null there: they are at `links.results`.
    """

    results: list[ItemBody] | None

    @classmethod
    def of_over(
        cls, job: Job, items: Sequence[Item] | None, task: Task, table: TableBody | None = None
    ) -> Self:
        """The API's view of a job and of its items, where they are told."""
        told = None if items is None else [ItemBody.of(item, job.version, task) for item in items]
        return cls(**dict(JobBody.of(job)), table=table, results=told)


class JobsQuery(Schema):
    """Which jobs to list; `after` is the last job of the page before."""

    model: str | None = Field(default=None, max_length=64, pattern=r"^[^\x00]*$")
    state: JobState | None = None
    after: UUID | None = None
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)


class ResultsQuery(Schema):
    """Which items to list; `after` is the last index of the page before."""

    after: int = Field(default=-1, ge=-1, le=MAX_INDEX)
    limit: int = Field(default=ITEMS_IN_ANSWER, ge=1, le=MAX_PAGE)


class JobsBody(Schema):
    """A page of jobs, newest first; `next` is the `after` of the next page, or null."""

    jobs: list[JobBody]
    next: UUID | None


class ResultsBody(Schema):
    """A page of items in order; `next` is the `after` of the next page, or null."""

    results: list[ItemBody]
    next: int | None


class Check(Schema):
    """Whether one part answers, and what it says."""

    ok: bool
    detail: str


class HealthBody(Schema):
    """Whether the process, or the whole service, is well."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, Check] = Field(default_factory=dict)


class FaultBody(Schema):
    """One thing that is wrong with a request."""

    field: str
    expected: str
    got: str


class ProblemBody(Schema):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    code: Annotated[str, Field(description="stable: programs may rely on it")]
    detail: str
    faults: list[FaultBody]


def to_time(epoch_s: float) -> datetime:
    """A moment as the API gives it, in UTC."""
    return datetime.fromtimestamp(epoch_s, UTC)
