"""/api/stats and /api/results: all results together, and those that somebody looks for."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Response

from production_server.jobs.dashboard import SPANS, read_dashboard
from production_server.jobs.database import Database
from production_server.jobs.search import Found, Search, every_result, search
from production_server.models.tasks.label_sets import written
from production_server.web.api.downloads import csv_line, download
from production_server.web.api.operations import operation
from production_server.web.api.requests import read_query, to_response
from production_server.web.api.schemas import to_time
from production_server.web.api.stats_schemas import (
    FoundBody,
    ResultsFilter,
    SearchBody,
    SearchQuery,
    StatsBody,
    StatsQuery,
    next_after,
)
from production_server.web.edge.flask_door import whose
from production_server.web.edge.parts import current_parts

blueprint = Blueprint("stats", __name__, url_prefix="/api")

COLUMNS = (
    "finished", "model", "version", "source", "job", "index", "name", "url", "state", "label", "score",
    "error_code", "error_message",
)  # fmt: skip


@blueprint.get("/stats")
@operation("Count what was classified", query=StatsQuery, responses={200: StatsBody}, errors=(400, 503))
def stats() -> Response:
    """Counts over time, by model, version and source, by label, score and error: all that /stats shows."""
    query, parts = read_query(StatsQuery), current_parts()
    return to_response(
        StatsBody.of(read_dashboard(parts.database, SPANS[query.span], query.chosen(whose=whose())))
    )


@blueprint.get("/results")
@operation("Search all results", query=SearchQuery, responses={200: SearchBody}, errors=(400, 503))
def results() -> Response:
    """A page of results, newest first."""
    query, parts = read_query(SearchQuery), current_parts()
    found = search(parts.database, query.wanted(whose=whose()), after=query.place, limit=query.limit)
    body = SearchBody(
        results=[FoundBody.of_found(each, parts.task_of(each)) for each in found],
        next=next_after(found, query.limit),
    )
    return to_response(body)


@blueprint.get("/results.csv")
@operation("Download results as CSV", query=ResultsFilter, responses={200: "text/csv"}, errors=(400, 503))
def results_csv() -> Response:
    """All that a search finds as a table, newest first, streamed."""
    query, parts = read_query(ResultsFilter), current_parts()
    return download(_csv_lines(parts.database, query.wanted(whose=whose())), "text/csv", "results.csv")


def _csv_lines(database: Database, wanted: Search) -> Iterator[str]:
    yield csv_line(COLUMNS)
    for found in every_result(database, wanted):
        yield csv_line(_csv_cells(found))


def _csv_cells(found: Found) -> list[object]:
    item, place = found.item, found.place
    error = [item.error_code or "", item.error_message or ""] if item.state == "failed" else ["", ""]
    return [
        to_time(place.finished_at).isoformat(timespec="milliseconds"),
        found.model,
        found.version,
        found.source,
        place.job_id,
        place.index,
        item.name or "",
        item.url or "",
        item.state,
        written(item.label or ""),
        "" if item.score is None else item.score,
        *error,
    ]
