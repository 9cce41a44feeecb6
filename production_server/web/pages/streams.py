"""/streams: how the streams stand that the service reads."""

from __future__ import annotations

from math import isinf

from flask import Response, make_response, render_template

from production_server.jobs.stream_states import latest_refusals, stream_states
from production_server.web.edge.parts import current_parts
from production_server.web.pages.wording import duration

REFUSED = 10
"""So many of the messages of each stream that were refused last are shown."""
EVERY_MS = 3000


def show() -> Response:
    """Each stream with who reads it, what waits, and which messages were refused last."""
    parts = current_parts()
    found = stream_states(parts.database)
    refused = {each.name: latest_refusals(parts.database, each.name, limit=REFUSED) for each in found}
    page = render_template(
        "pages/streams.html", streams=found, refused=refused, every_ms=EVERY_MS, within=_within
    )
    return make_response(page)


def _within(seconds: float | None) -> str:
    """How long results take, at most, in words."""
    if seconds is None:
        return "none yet"
    if isinf(seconds):
        return "more than 5 minutes"
    return duration(seconds)
