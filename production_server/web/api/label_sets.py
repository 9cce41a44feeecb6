"""/api/label-sets: the labels of a model as they stood once, to be trained on."""

from __future__ import annotations

from flask import Blueprint, Response

from production_server.labels.sets import get_set, list_sets, make_set
from production_server.web.api.label_schemas import LabelSetBody, LabelSetRequest, LabelSetsBody
from production_server.web.api.labelling import task_to_label
from production_server.web.api.operations import operation
from production_server.web.api.requests import read_json, to_response
from production_server.web.api.schemas import MAX_PAGE
from production_server.web.edge.flask_door import asking_client, whose
from production_server.web.edge.parts import current_parts

blueprint = Blueprint("label_sets", __name__, url_prefix="/api/label-sets")


@blueprint.post("")
@operation(
    "Keep labels as a set",
    body=LabelSetRequest,
    responses={201: LabelSetBody},
    errors=(400, 404, 409, 413, 415, 503),
)
def create() -> Response:
    """Keep the labels of a model as they stand now under a name, which no other set may have."""
    parts, asked = current_parts(), read_json(LabelSetRequest)
    task_to_label(parts, asked.model)
    made = make_set(parts.database, asked.name, asked.model, whose=whose(), client=asking_client().name)
    response = to_response(LabelSetBody.of(made), 201)
    response.headers["Location"] = f"/api/label-sets/{made.name}"
    return response


@blueprint.get("")
@operation("List sets of labels, newest first", responses={200: LabelSetsBody}, errors=(503,))
def index() -> Response:
    """Yours, or of an admin all."""
    found = list_sets(current_parts().database, whose=whose(), limit=MAX_PAGE)
    return to_response(LabelSetsBody(sets=[LabelSetBody.of(each) for each in found]))


@blueprint.get("/<name>")
@operation("Show a set of labels", responses={200: LabelSetBody}, errors=(404, 503))
def show(name: str) -> Response:
    """One set, by its name."""
    return to_response(LabelSetBody.of(get_set(current_parts().database, name, whose=whose())))
