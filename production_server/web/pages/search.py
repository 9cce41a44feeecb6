"""/results: the results that somebody looks for, newest first, page by page."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Response, make_response, render_template, request

from production_server.errors import InvalidInput
from production_server.jobs.search import Found, search
from production_server.jobs.series import list_series
from production_server.labels.records import ItemId
from production_server.models.tasks.task import Shown, Task
from production_server.personas.pictured import Picture
from production_server.web.api.stats_schemas import SearchQuery, next_after, page_of
from production_server.web.edge.flask_door import whose
from production_server.web.edge.parts import WebParts, current_parts
from production_server.web.pages.label import MOST_KNOWN, labelling_of
from production_server.web.pages.pictures import Framed, frames_of
from production_server.web.pages.query import as_typed, filled, read_filled

PAGE_RESULTS = 50


@dataclass(frozen=True, slots=True)
class ShownFound:
    """A result that was found, ready to be shown."""

    found: Found
    shown: Shown | None
    """Its answer in a line, if there is one."""
    has_image: bool
    labels: tuple[str, ...]
    """What it may be labelled as, where people can say that."""


def show() -> Response:
    """A form, and a page of what it finds; what is wrong with the form is said above it."""
    parts, error = current_parts(), None
    asked = {name: value for name, value in filled().items() if name != "after"}
    found: list[Found] = []
    try:
        query = read_filled(SearchQuery)
        found = search(parts.database, query.wanted(whose=whose()), after=query.place, limit=PAGE_RESULTS)
        asked |= {name: as_typed(getattr(query, name)) for name in ("since", "until") if name in asked}
    except InvalidInput as exc:
        error = exc
    page = render_template(
        "pages/search.html",
        error=error,
        asked=asked,
        known=list_series(parts.database, whose=whose()),
        found=to_shown(parts, found),
        is_first="after" not in request.args,
        next=next_after(found, PAGE_RESULTS),
        page_of=page_of,
        labelling=labelling_of(parts, [ItemId(each.place.job_id, each.place.index) for each in found]),
        frames=_frames(parts, found),
        back=request.full_path,
    )
    return make_response(page, 200 if error is None else 400)


def _frames(parts: WebParts, found: list[Found]) -> dict[Picture, list[Framed]]:
    """What is framed in the pictures of results, by job and index."""
    answered = [(each, each.item.prediction) for each in found]
    boxes = {
        (each.place.job_id, each.place.index): parts.task_of(each).boxes(prediction)
        for each, prediction in answered
        if prediction is not None
    }
    return frames_of(parts, boxes)


def to_shown(parts: WebParts, found: list[Found]) -> list[ShownFound]:
    """Results as their models' tasks tell them: of a version that was taken away, only label and score."""
    return [_to_shown(each, parts.task_of(each)) for each in found]


def _to_shown(found: Found, task: Task) -> ShownFound:
    prediction = found.item.prediction
    # Of what has failed there may be no image, or it is none.
    has_image = prediction is not None and task.inputs.takes_files
    labels = task.choices[:MOST_KNOWN] if prediction is not None and task.is_one_of_its_choices else ()
    return ShownFound(found, None if prediction is None else task.show(prediction), has_image, labels)
