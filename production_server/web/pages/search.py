"""/results: the results that somebody looks for, newest first, page by page."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Response, make_response, render_template, request

from production_server.errors import InvalidInput
from production_server.jobs.search import Found, search
from production_server.jobs.series import list_series
from production_server.web.api.stats_schemas import SearchQuery, next_after, page_of
from production_server.web.pages.query import filled, read_filled
from production_server.web.parts import WebParts, current_parts

PAGE_RESULTS = 50


def show() -> Response:
    """A form, and a page of what it finds; what is wrong with the form is said above it."""
    parts, error = current_parts(), None
    asked = {name: value for name, value in filled().items() if name != "after"}
    found: list[Found] = []
    try:
        query = read_filled(SearchQuery)
        found = search(parts.database, query.wanted, after=query.place, limit=PAGE_RESULTS)
        asked |= {name: _as_typed(getattr(query, name)) for name in ("since", "until") if name in asked}
    except InvalidInput as exc:
        error = exc
    page = render_template(
        "pages/search.html",
        error=error,
        asked=asked,
        known=list_series(parts.database),
        found=with_images(parts, found),
        is_first="after" not in request.args,
        next=next_after(found, PAGE_RESULTS),
        page_of=page_of,
    )
    response = make_response(page, 200 if error is None else 400)
    response.headers["Cache-Control"] = "no-store"
    return response


def _as_typed(moment: datetime) -> str:
    """A time as the form has it: in UTC, without saying so."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def with_images(parts: WebParts, found: list[Found]) -> list[tuple[Found, bool]]:
    """Results, and whether their inputs are images: of a version that was taken away nobody knows.

    Of what has failed there may be none, or it is no image.
    """
    manifests = [parts.manifest_of(each) for each in found]
    return [
        (each, each.item.state == "succeeded" and manifest is not None and not manifest.is_tabular)
        for each, manifest in zip(found, manifests, strict=True)
    ]
