"""/api/faces: faces that nobody is known for, one face, and what people say of them."""

from __future__ import annotations

from flask import Blueprint, Response

from production_server.errors import InvalidInput, NotFound
from production_server.jobs.read import get_input
from production_server.models.faces.alignment import cuts
from production_server.models.images import as_png, read_picture
from production_server.models.tasks.picture_inputs import LONGEST_SIDE
from production_server.personas.decisions import decide, undo
from production_server.personas.records import Face, NewDecision
from production_server.personas.shown import alike_strangers, get_face, list_decisions, unknown_faces
from production_server.web.api.objects import fetch
from production_server.web.api.operations import operation
from production_server.web.api.persona_schemas import (
    FaceBody,
    FaceDecisionBody,
    FaceDecisionRequest,
    FaceDecisionsBody,
    FaceDecisionsQuery,
    FacesBody,
    GroupsBody,
    PageQuery,
)
from production_server.web.api.persona_switch import check_switched_on, sayer
from production_server.web.api.requests import read_json, read_query, to_response
from production_server.web.edge.parts import WebParts, current_parts

blueprint = Blueprint("faces", __name__, url_prefix="/api/faces")
blueprint.before_request(check_switched_on)
ONE = "/<int(max=2147483647):number>"


@blueprint.get("")
@operation(
    "List faces that nobody is known for", query=PageQuery, responses={200: FacesBody}, errors=(400, 404, 503)
)
def unknown() -> Response:
    """Those that nobody has labelled and the classifier has no name for, the latest first."""
    query = read_query(PageQuery)
    found = unknown_faces(current_parts().database, offset=query.offset, limit=query.limit)
    is_full = len(found) == query.limit
    return to_response(
        FacesBody(
            faces=[FaceBody.of(each) for each in found], next=query.offset + query.limit if is_full else None
        )
    )


@blueprint.get("/groups")
@operation("Group faces that nobody is known for", responses={200: GroupsBody}, errors=(404, 503))
def groups() -> Response:
    """Groups of the latest 3,000 that are alike, the largest first: somebody new? Nothing is created by itself."""
    parts = current_parts()
    with parts.checks.place():
        found = alike_strangers(parts.database)
    return to_response(GroupsBody(groups=[[FaceBody.of(face) for face in group] for group in found]))


@blueprint.get(ONE)
@operation("Show a face", responses={200: FaceBody}, errors=(404, 503))
def show(number: int) -> Response:
    """Where it is, how well it is to be seen, and whom it is most like."""
    return to_response(FaceBody.of(get_face(current_parts().database, number)))


@blueprint.get(f"{ONE}/picture.png")
@operation("Cut a face out of its picture", responses={200: "image/png"}, errors=(404, 503))
def picture(number: int) -> Response:
    """The face, upright, 150 pixels a side, as it was embedded."""
    parts = current_parts()
    png = _cut(parts, get_face(parts.database, number))
    # What is deleted is not to be left in caches.
    return Response(png, mimetype="image/png", headers={"Cache-Control": "no-store"})


@blueprint.get("/decisions")
@operation(
    "List decisions about faces, newest first",
    query=FaceDecisionsQuery,
    responses={200: FaceDecisionsBody},
    errors=(400, 404, 503),
)
def decisions() -> Response:
    """A page of what people said of faces, undone or not."""
    query = read_query(FaceDecisionsQuery)
    found = list_decisions(current_parts().database, before=query.before, limit=query.limit)
    is_full = len(found) == query.limit
    return to_response(
        FaceDecisionsBody(
            decisions=[FaceDecisionBody.of(each) for each in found], next=found[-1].id if is_full else None
        )
    )


@blueprint.post("/decisions")
@operation(
    "Say who faces are",
    body=FaceDecisionRequest,
    responses={200: FaceDecisionsBody},
    errors=(400, 404, 409, 413, 415, 503),
)
def say() -> Response:
    """Decide many faces at once, all of them or none. What counts already is not said again."""
    asked = read_json(FaceDecisionRequest)
    said = NewDecision(faces=tuple(asked.faces), kind=asked.kind, persona=asked.persona)
    made = decide(current_parts().database, said, by=sayer())
    return to_response(FaceDecisionsBody(decisions=[FaceDecisionBody.of(each) for each in made]))


@blueprint.delete("/decisions/last")
@operation(
    "Undo what you said last of faces",
    responses={200: FaceDecisionsBody},
    errors=(400, 404, 409, 413, 415, 503),
)
def undo_last() -> Response:
    """Take back all that you have said at once, last, and that still counts."""
    return _undo(None)


@blueprint.delete("/decisions/<int(max=2147483647):number>")
@operation(
    "Undo a decision of yours about a face",
    responses={200: FaceDecisionsBody},
    errors=(400, 404, 409, 413, 415, 503),
)
def undo_one(number: int) -> Response:
    """Take one decision back."""
    return _undo(number)


def _undo(number: int | None) -> Response:
    made = undo(current_parts().database, by=sayer(), decision_id=number)
    return to_response(FaceDecisionsBody(decisions=[FaceDecisionBody.of(each) for each in made]))


def _cut(parts: WebParts, found: Face) -> bytes:
    stored = get_input(parts.database, found.job_id, found.idx)
    data = stored if isinstance(stored, bytes) else fetch(parts, stored)
    with parts.checks.place():
        try:
            pixels = read_picture(data, longest_side=LONGEST_SIDE, max_pixels=parts.settings.max_image_pixels)
        except InvalidInput as exc:
            raise NotFound(f"the picture of face {found.id} cannot be read", code="face_not_found") from exc
        return as_png(cuts(pixels, found.places_in(pixels.shape[1], pixels.shape[0]))[0])
