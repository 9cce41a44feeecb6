"""/stats: what was classified, over time and by what it is, and what comes in now; every number leads to its items."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

from flask import Response, make_response, render_template, url_for

from production_server.jobs.dashboard import (
    SPANS,
    Counts,
    Dashboard,
    ModelResults,
    read_dashboard,
)
from production_server.jobs.read import list_jobs
from production_server.jobs.records import Job
from production_server.jobs.search import Search, search
from production_server.jobs.series import Chosen, list_series
from production_server.models.manifest import Manifest
from production_server.models.tasks.bins import Column as Values
from production_server.models.tasks.label_sets import BETWEEN
from production_server.models.tasks.regression import shown_value
from production_server.web.api.stats_schemas import StatsQuery, page_of
from production_server.web.edge.flask_door import whose
from production_server.web.edge.parts import WebParts, current_parts
from production_server.web.pages.charts import Column, ColumnChart, column_chart
from production_server.web.pages.progress import Progress, progress_of
from production_server.web.pages.query import read_filled
from production_server.web.pages.search import to_shown
from production_server.web.pages.wording import isoformat

SHOWN_LABELS = 12
LATEST = 12
OPEN_JOBS = 5


@dataclass(frozen=True, slots=True)
class Step:
    """A step of time: how many items were finished in it, how its column is drawn, and where they are shown."""

    start: int
    counts: Counts
    column: Column
    href: str


@dataclass(frozen=True, slots=True)
class LabelBar:
    """A label, and how many items were answered so; `share` of the most frequent one's."""

    label: str
    items: int
    share: float
    href: str


@dataclass(frozen=True, slots=True)
class ScoreColumn:
    """How many items have a score in `range`, in percent: from its beginning on, below its end."""

    range: str
    items: int
    column: Column
    href: str


@dataclass(frozen=True, slots=True)
class ValueColumn:
    """How many items have a value in `range`; `href` finds them."""

    range: str
    items: int
    column: Column
    href: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Values of a quantity, ready to be shown."""

    title: str
    chart: ColumnChart
    values: tuple[ValueColumn, ...]
    ends: tuple[str, str]


@dataclass(frozen=True, slots=True)
class ModelView:
    """What a model answered, ready to be shown."""

    name: str
    title: str
    labels: tuple[LabelBar, ...]
    hidden_labels: int
    chart: ColumnChart
    scores: tuple[ScoreColumn, ...]
    histogram: Histogram | None
    errors: tuple[LabelBar, ...]


def show() -> Response:
    """The dashboard."""
    parts, query = current_parts(), read_filled(StatsQuery)
    dashboard = read_dashboard(parts.database, SPANS[query.span], query.chosen(whose=whose()))
    links, manifests = _Links(query, dashboard), _manifests(parts)
    chart = column_chart(
        [step.succeeded for step in dashboard.steps], [step.failed for step in dashboard.steps]
    )
    page = render_template(
        "pages/stats.html",
        query=query,
        spans=tuple(SPANS),
        known=list_series(parts.database, whose=whose()),
        dashboard=dashboard,
        chart=chart,
        steps=_steps(dashboard, chart, links),
        models=[_model_view(results, manifests.get(results.model), links) for results in dashboard.models],
        latest=to_shown(parts, search(parts.database, links.wanted, limit=LATEST)),
        jobs=_open_jobs(parts, query.chosen(whose=whose())),
        links=links,
        page_of=page_of,
    )
    return make_response(page)


@dataclass(frozen=True, slots=True)
class _Links:
    """Ways from what a dashboard shows to other views of it, and to the items behind its numbers."""

    query: StatsQuery
    dashboard: Dashboard

    def view(self, **changes: str | None) -> str:
        """The dashboard of another time or of other results."""
        return url_for("pages.stats", **(self.query.model_dump(exclude_none=True) | changes))

    def items(self, **asked: Any) -> str:
        """The items of this dashboard that are so."""
        return url_for("pages.search", **(self._told | asked))

    def download(self) -> str:
        """All items of this dashboard as a table."""
        return url_for("stats.results_csv", **self._told)

    @property
    def wanted(self) -> Search:
        return Search(chosen=self.query.chosen(whose=whose()), since=self.dashboard.since)

    @property
    def _told(self) -> dict[str, Any]:
        told: dict[str, Any] = self.query.model_dump(exclude_none=True, exclude={"span"})
        return told | {"since": isoformat(self.dashboard.since)}


def _steps(dashboard: Dashboard, chart: ColumnChart, links: _Links) -> list[Step]:
    return [
        Step(
            start,
            counts,
            column,
            links.items(since=isoformat(start), until=isoformat(start + dashboard.step_s)),
        )
        for number, (counts, column) in enumerate(zip(dashboard.steps, chart.columns, strict=True))
        for start in [dashboard.since + number * dashboard.step_s]
    ]


def _manifests(parts: WebParts) -> dict[str, Manifest]:
    return {version.manifest.name: version.manifest for version in parts.registry.stable_versions()}


def _model_view(results: ModelResults, manifest: Manifest | None, links: _Links) -> ModelView:
    link = partial(links.items, model=results.model)
    chart = column_chart(results.tenths)
    scores = [
        ScoreColumn(
            f"{10 * tenth} to {10 * (tenth + 1)} %",
            items,
            column,
            link(min_score=tenth / 10, max_score=(tenth + 1) / 10),
        )
        for tenth, (items, column) in enumerate(zip(results.tenths, chart.columns, strict=True))
    ]
    return ModelView(
        name=results.model,
        title=results.model if manifest is None else manifest.title,
        labels=_label_bars(results, link),
        hidden_labels=max(len(results.labels) - SHOWN_LABELS, 0),
        chart=chart,
        scores=tuple(scores),
        histogram=_histogram(results.values, manifest, link),
        errors=_bars(results.errors, lambda code: link(error=code)),
    )


def _label_bars(results: ModelResults, link: Callable[..., str]) -> tuple[LabelBar, ...]:
    bars = _bars(results.labels, lambda label: link(label=label), limit=SHOWN_LABELS)
    if not results.unlabelled:
        return bars
    most = max([results.unlabelled, *results.labels.values()])
    none = LabelBar("none of its labels", results.unlabelled, results.unlabelled / most, link(label=BETWEEN))
    return (*(replace(each, share=each.items / most) for each in bars), none)


def _histogram(
    values: Sequence[Values], manifest: Manifest | None, link: Callable[..., str]
) -> Histogram | None:
    if not values:
        return None
    quantity = None if manifest is None else manifest.quantity
    unit = f" {quantity.unit}" if quantity is not None and quantity.unit else ""
    chart = column_chart([each.items for each in values])
    columns = tuple(
        # What is None is not in a link.
        ValueColumn(_range(each, unit), each.items, column, link(min_score=each.start, max_score=each.stop))
        for each, column in zip(values, chart.columns, strict=True)
    )
    first, last = values[0], values[-1]
    ends = (
        "less" if first.start is None else shown_value(first.start),
        "more" if last.stop is None else shown_value(last.stop) + unit,
    )
    return Histogram("Values" if quantity is None else quantity.label, chart, columns, ends)


def _range(values: Values, unit: str) -> str:
    if values.start is None:
        return "any" if values.stop is None else f"below {shown_value(values.stop)}{unit}"
    if values.stop is None:
        return f"from {shown_value(values.start)}{unit} on"
    return f"{shown_value(values.start)} to {shown_value(values.stop)}{unit}"


def _bars(
    counts: Mapping[str, int], link: Callable[[str], str], *, limit: int | None = None
) -> tuple[LabelBar, ...]:
    """A bar for each of the first counts, of which the very first is the largest."""
    most = next(iter(counts.values()), 0)
    shown = islice(counts.items(), limit)
    return tuple(LabelBar(name, items, items / most, link(name)) for name, items in shown)


def _open_jobs(parts: WebParts, chosen: Chosen) -> Sequence[tuple[Job, Progress]]:
    now = time.time()
    running = list_jobs(
        parts.database, whose=chosen.client, model=chosen.model, state="running", limit=OPEN_JOBS
    )
    return [(job, progress_of(job, now)) for job in running]
