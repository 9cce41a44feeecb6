"""What travels over the API about all results together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from production_server.jobs.dashboard import Counts, Dashboard, ModelResults
from production_server.jobs.item_body import ItemBody
from production_server.jobs.search import Found, Place, Search
from production_server.jobs.series import Chosen
from production_server.models.tasks.task import Task
from production_server.storage.locations import MAX_URL
from production_server.web.api.schemas import MAX_PAGE, Schema, to_time

NO_NUL = r"^[^\x00]*$"
PLACE = r"^\d{1,12}\.\d{1,17}_[0-9a-f]{32}_\d{1,10}$"
"""A time, a job and an index: what `next_after` makes."""
MAX_LABEL = 255

Score = Annotated[float, Field(allow_inf_nan=False)]
"""A probability, or a value."""


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as exc:
        raise PydanticCustomError("moment", "a time in the years 1 to 9999 of UTC") from exc


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A time; without a zone it is in UTC."""


class SeriesQuery(Schema):
    """Whose results: of a model, a version of it, a front door (`http`, `page`, `scan`, `event`); or of all."""

    model: str | None = Field(default=None, max_length=64, pattern=NO_NUL)
    version: str | None = Field(default=None, max_length=9, pattern=NO_NUL)
    source: str | None = Field(default=None, max_length=64, pattern=NO_NUL)

    def chosen(self, *, whose: str | None) -> Chosen:
        """Of these, those of a client; None: of all."""
        return Chosen(self.model, self.version, self.source, whose)


class StatsQuery(SeriesQuery):
    """Whose results, and of which time until now."""

    span: Literal["hour", "day", "week", "month", "year"] = "day"


class ResultsFilter(SeriesQuery):
    """What results to find.

    `label` is an answer, or one of several; `|` finds what none of several labels fits. `key` is a URL that theirs
    begin with, or a part of their name. Scores, or values, are from `min_score` on and below `max_score`, a
    probability of 1 included; times from `since` on and before `until`, in UTC if they have no zone.
    """

    state: Literal["succeeded", "failed"] | None = None
    label: str | None = Field(default=None, max_length=MAX_LABEL, pattern=NO_NUL)
    error: str | None = Field(default=None, max_length=64, pattern=NO_NUL)
    key: str | None = Field(default=None, min_length=1, max_length=MAX_URL, pattern=NO_NUL)
    min_score: Score | None = None
    max_score: Score | None = None
    since: Moment | None = None
    until: Moment | None = None

    def wanted(self, *, whose: str | None) -> Search:
        """Of these, those of a client; None: of all."""
        return Search(
            chosen=self.chosen(whose=whose),
            state=self.state,
            label=self.label,
            error_code=self.error,
            key=self.key,
            min_score=self.min_score,
            max_score=self.max_score,
            since=None if self.since is None else self.since.timestamp(),
            until=None if self.until is None else self.until.timestamp(),
        )


class SearchQuery(ResultsFilter):
    """What results to find, and which page of them; `after` is `next` of the page before."""

    after: str | None = Field(default=None, pattern=PLACE)
    limit: int = Field(default=100, ge=1, le=MAX_PAGE)

    @property
    def place(self) -> Place | None:
        """Where the page before ended."""
        if self.after is None:
            return None
        finished_at, job_id, index = self.after.split("_")
        return Place(float(finished_at), UUID(job_id), int(index))


class CountsBody(Schema):
    """Items that were finished."""

    succeeded: int
    failed: int


class StepBody(CountsBody):
    """Items that were finished from `start` on."""

    start: datetime


class SeriesBody(CountsBody):
    """Items of one version of a model, by one front door."""

    model: str
    version: str
    source: str


class LabelCount(Schema):
    """Items that were answered so."""

    label: str
    items: int


class ScoreCount(Schema):
    """Items with a score from `min_score` on and below `max_score`; 1 is in the last."""

    min_score: float
    max_score: float
    items: int


class ValueCount(Schema):
    """Items with a value from `minimum` on and below `maximum`; null: however small, or large."""

    minimum: float | None
    maximum: float | None
    items: int


class ErrorCount(Schema):
    """Items that failed so."""

    code: str
    items: int


class ModelResultsBody(Schema):
    """What a model answered, by all its versions that were asked about.

    An item with several labels counts for each of them, one with none of them in `unlabelled`. `values` is a histogram
    of answers that are values, in columns of one width.
    """

    model: str
    labels: list[LabelCount]
    unlabelled: int
    scores: list[ScoreCount]
    values: list[ValueCount]
    errors: list[ErrorCount]

    @classmethod
    def of(cls, results: ModelResults) -> Self:
        """The API's view of what a model answered."""
        tenths = enumerate(results.tenths)
        return cls(
            model=results.model,
            labels=[LabelCount(label=label, items=items) for label, items in results.labels.items()],
            unlabelled=results.unlabelled,
            values=[
                ValueCount(minimum=each.start, maximum=each.stop, items=each.items) for each in results.values
            ],
            scores=[
                ScoreCount(min_score=tenth / 10, max_score=(tenth + 1) / 10, items=items)
                for tenth, items in tenths
            ],
            errors=[ErrorCount(code=code, items=items) for code, items in results.errors.items()],
        )


class StatsBody(CountsBody):
    """What was classified from `since` to `until`; `per_second` is of the last ten seconds, `waiting` of now.

    Calls of clients that wait for their answers are not among them: nothing is stored of those.
    """

    since: datetime
    until: datetime
    step_seconds: int
    per_second: float
    waiting: int
    steps: list[StepBody]
    series: list[SeriesBody]
    models: list[ModelResultsBody]

    @classmethod
    def of(cls, dashboard: Dashboard) -> Self:
        """The API's view of a dashboard."""
        starts = range(dashboard.since, int(dashboard.until) + 1, dashboard.step_s)
        return cls(
            since=to_time(dashboard.since),
            until=to_time(dashboard.until),
            step_seconds=dashboard.step_s,
            per_second=dashboard.per_s,
            waiting=dashboard.waiting,
            **_counts(dashboard.total),
            steps=[
                StepBody(start=to_time(start), **_counts(counts))
                for start, counts in zip(starts, dashboard.steps, strict=True)
            ],
            series=[
                SeriesBody(model=each.model, version=each.version, source=each.source, **_counts(counts))
                for each, counts in dashboard.series.items()
            ],
            models=[ModelResultsBody.of(results) for results in dashboard.models],
        )


class FoundLinks(Schema):
    """Where to go on from a result."""

    job: str
    page: str


class FoundBody(ItemBody):
    """An item that was finished, with whose it is and when that was."""

    job: UUID
    model: str
    source: str
    finished: datetime
    links: FoundLinks

    @classmethod
    def of_found(cls, found: Found, task: Task) -> Self:
        """The API's view of a result."""
        job_id, index = found.place.job_id, found.place.index
        return cls(
            **dict(ItemBody.of(found.item, found.version, task)),
            job=job_id,
            model=found.model,
            source=found.source,
            finished=to_time(found.place.finished_at),
            links=FoundLinks(job=f"/api/jobs/{job_id}", page=page_of(job_id, index)),
        )


class SearchBody(Schema):
    """A page of results, newest first; `next` is the `after` of the next page, or null."""

    results: list[FoundBody]
    next: str | None


def page_of(job_id: UUID, index: int) -> str:
    """Where people see an item."""
    return f"/predictions/{job_id}?after={index - 1}#item-{index}"


def next_after(found: list[Found], limit: int) -> str | None:
    """What the next page is asked for with; None behind the last one."""
    if len(found) < limit:
        return None
    last = found[-1].place
    return f"{last.finished_at!r}_{last.job_id.hex}_{last.index}"


def _counts(counts: Counts) -> dict[str, int]:
    return {"succeeded": counts.succeeded, "failed": counts.failed}
