"""/audit: who did what, and who was not let in, for admins; newest first, page by page."""

from __future__ import annotations

import json
from dataclasses import dataclass

from flask import Response, make_response, render_template, request

from production_server.access.audit import Act, Facts, Line, list_lines
from production_server.errors import InvalidInput
from production_server.web.api.audit_schemas import AuditQuery
from production_server.web.edge.parts import current_parts
from production_server.web.pages.query import as_typed, filled, read_filled

PAGE_LINES = 50


@dataclass(frozen=True, slots=True)
class Change:
    """One thing about an object: what it was, what it is; None where that is not told."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class ShownLine:
    """A line, ready to be shown."""

    line: Line
    changes: list[Change]


def show() -> Response:
    """A form, and a page of what it finds; what is wrong with the form is said above it."""
    error, lines = None, []
    asked = {name: value for name, value in filled().items() if name != "after"}
    try:
        query = read_filled(AuditQuery)
        lines = list_lines(current_parts().database, query.wanted(), after=query.after, limit=PAGE_LINES)
        asked |= {name: as_typed(getattr(query, name)) for name in ("since", "until") if name in asked}
    except InvalidInput as exc:
        error = exc
    page = render_template(
        "pages/audit.html",
        error=error,
        asked=asked,
        acts=list(Act),
        lines=[ShownLine(line, changes(line.before, line.after)) for line in lines],
        is_first="after" not in request.args,
        next=lines[-1].id if len(lines) == PAGE_LINES else None,
    )
    return make_response(page, 200 if error is None else 400)


def changes(before: Facts | None, after: Facts | None) -> list[Change]:
    """What became of each thing that is told; of what stayed as it was only that it is so."""
    then, now = before or {}, after or {}
    found = []
    for name in {**then, **now}:
        was, is_now = (None if name not in facts else _text(facts[name]) for facts in (then, now))
        found.append(Change(name, None if was == is_now else was, is_now))
    return found


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
