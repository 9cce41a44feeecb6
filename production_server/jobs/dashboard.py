"""What was classified over a time: read from the counts of results, so it costs the same for any number of items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Select, func, select

from production_server.jobs.database import Database, now
from production_server.jobs.series import Chosen, Series, find_series, is_chosen
from production_server.jobs.settle import done
from production_server.jobs.tables import item, job, tally_hour, tally_minute
from production_server.jobs.tally import FAILED, HOUR_S, MINUTE_S, ONE_OF_SEVERAL, TENTHS, VALUE
from production_server.models.tasks.bins import Bin, Column, columns_of, read_bin

DAY_S = 24 * HOUR_S
RATE_OVER_S = 10
"""How long the time is over which the present rate is taken."""


@dataclass(frozen=True, slots=True)
class Span:
    """How far back to look, and into which steps to cut that time; both in seconds."""

    length_s: int
    step_s: int

    def starts_before(self, until: float) -> int:
        """When it begins if it ends at `until`: a bit more than its length before, at a whole hour or day."""
        whole_s = min(max(self.step_s, HOUR_S), DAY_S)
        return int((until - self.length_s) // whole_s) * whole_s


SPANS = {
    "hour": Span(HOUR_S, 2 * MINUTE_S),
    "day": Span(DAY_S, 30 * MINUTE_S),
    "week": Span(7 * DAY_S, 3 * HOUR_S),
    "month": Span(30 * DAY_S, DAY_S),
    "year": Span(365 * DAY_S, 7 * DAY_S),
}


@dataclass(frozen=True, slots=True)
class Counts:
    """So many items have succeeded and failed."""

    succeeded: int
    failed: int

    @property
    def items(self) -> int:
        return self.succeeded + self.failed

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.succeeded + other.succeeded, self.failed + other.failed)


@dataclass(frozen=True, slots=True)
class ModelResults:
    """What a model answered: items by label and by the reason of a failure, most frequent first; by score's tenth."""

    model: str
    labels: Mapping[str, int]
    """An item with several labels counts for each of them."""
    unlabelled: int
    """Items that none of several labels fits."""
    tenths: Sequence[int]
    """Items with scores in [0, 0.1), … [0.9, 1], of those that have labels."""
    values: Sequence[Column]
    """Of items whose answers are values: how many lie between which two, in order."""
    errors: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """What was classified from `since` to `until` (seconds since the Unix epoch), and what happens now."""

    since: int
    until: float
    step_s: int
    steps: Sequence[Counts]
    """For each step from `since` on; the last one is not over yet."""
    series: Mapping[Series, Counts]
    """Most items first."""
    models: Sequence[ModelResults]
    per_s: float
    """Items finished per second in the last `RATE_OVER_S` seconds."""
    waiting: int
    """Items that wait for a worker or are in one's hands."""

    @property
    def total(self) -> Counts:
        return sum(self.series.values(), Counts(0, 0))


def read_dashboard(database: Database, span: Span, chosen: Chosen) -> Dashboard:
    """Read the counts of a time that ends now.

    Raises:
        Unavailable: the database does not answer.
    """
    with database.read() as connection:
        until: float = connection.execute(select(now())).scalar_one()
        since = span.starts_before(until)
        asked = find_series(connection, chosen)
        by_series, steps = _over_time(connection, asked, since, until, span.step_s)
        models = _results(connection, asked, since)
        finished = select(func.count()).where(item.c.finished_at > until - RATE_OVER_S)
        recent = connection.execute(finished.where(item.c.series_id.in_(asked))).scalar_one()
        waiting = connection.execute(_waiting(chosen)).scalar_one() or 0
    most_first = sorted(by_series.items(), key=lambda entry: -entry[1].items)
    return Dashboard(
        since=since,
        until=until,
        step_s=span.step_s,
        steps=steps,
        series=dict(most_first),
        models=models,
        per_s=recent / RATE_OVER_S,
        waiting=waiting,
    )


def _over_time(
    connection: Connection, asked: Mapping[int, Series], since: int, until: float, step_s: int
) -> tuple[dict[Series, Counts], list[Counts]]:
    """Counts by series, and by step."""
    step = (tally_minute.c.minute - since // MINUTE_S) // (step_s // MINUTE_S)
    query = (
        select(
            step.label("step"),
            tally_minute.c.series_id,
            func.sum(tally_minute.c.succeeded).label("succeeded"),
            func.sum(tally_minute.c.failed).label("failed"),
        )
        .where(tally_minute.c.minute >= since // MINUTE_S, tally_minute.c.series_id.in_(asked))
        .group_by("step", tally_minute.c.series_id)
    )
    rows = connection.execute(query).all()
    # What was finished after `until` was read is in the last step, too.
    last = int((until - since) // step_s)
    by_series: dict[Series, Counts] = {}
    steps = [Counts(0, 0)] * (last + 1)
    for row in rows:
        counts, each = Counts(row.succeeded, row.failed), asked[row.series_id]
        by_series[each] = by_series.get(each, Counts(0, 0)) + counts
        steps[min(row.step, last)] += counts
    return by_series, steps


def _results(connection: Connection, asked: Mapping[int, Series], since: int) -> list[ModelResults]:
    query = (
        select(
            tally_hour.c.series_id,
            tally_hour.c.tenth,
            tally_hour.c.result,
            func.sum(tally_hour.c.total).label("total"),
        )
        .where(tally_hour.c.hour >= since // HOUR_S, tally_hour.c.series_id.in_(asked))
        .group_by(tally_hour.c.series_id, tally_hour.c.tenth, tally_hour.c.result)
    )
    answered: dict[str, _Answered] = {}
    for row in connection.execute(query):
        answered.setdefault(asked[row.series_id].model, _Answered()).add(row.tenth, row.result, row.total)
    return [answered[model].told(model) for model in sorted(answered)]


class _Answered:
    """Adds up the counts of one model."""

    def __init__(self) -> None:
        self._by_tenth: Counter[int] = Counter()
        self._labels: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._bins: Counter[Bin] = Counter()
        self._unlabelled = 0

    def add(self, tenth: int, result: str, total: int) -> None:
        self._by_tenth[tenth] += total
        if tenth == FAILED:
            self._errors[result] += total
        elif tenth == VALUE:
            self._bins[read_bin(result)] += total
        elif result:
            self._labels[result] += total
        elif tenth == ONE_OF_SEVERAL:
            self._unlabelled += total

    def told(self, model: str) -> ModelResults:
        return ModelResults(
            model=model,
            labels=_most_first(self._labels),
            unlabelled=self._unlabelled,
            tenths=[self._by_tenth[tenth] for tenth in range(TENTHS)],
            values=columns_of(self._bins),
            errors=_most_first(self._errors),
        )


def _most_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _waiting(chosen: Chosen) -> Select[int]:
    is_open = job.c.state.in_(("queued", "running"))
    return select(func.sum(job.c.total - done)).where(is_open, *is_chosen(chosen, job))
