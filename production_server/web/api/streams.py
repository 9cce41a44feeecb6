"""/api/streams: how the streams stand that the service reads."""

from __future__ import annotations

from flask import Blueprint, Response

from production_server.jobs.stream_states import latest_refusals, stream_states
from production_server.web.api.operations import operation
from production_server.web.api.requests import to_response
from production_server.web.api.stream_schemas import StreamBody, StreamsBody
from production_server.web.edge.parts import current_parts

blueprint = Blueprint("streams", __name__, url_prefix="/api/streams")

REFUSED = 20
"""So many of the messages of each stream that were refused last are told."""


@blueprint.get("")
@operation("Show the streams that are read", responses={200: StreamsBody}, errors=(503,))
def index() -> Response:
    """Each stream with who reads it, how far behind that is, what waits, and which messages were refused last."""
    database = current_parts().database
    states = stream_states(database)
    bodies = [StreamBody.of(each, latest_refusals(database, each.name, limit=REFUSED)) for each in states]
    return to_response(StreamsBody(streams=bodies))
