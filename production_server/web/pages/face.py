"""/personas/faces/<id>: one face in its picture, who it is, and saying that it is somebody else."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response, make_response, redirect, render_template, request, url_for
from pydantic import Field

from production_server.errors import CeleriacError, Conflict, InvalidInput, NotFound
from production_server.personas import people
from production_server.personas.decisions import decide
from production_server.personas.people import MAX_NAME
from production_server.personas.pictured import faces_in, picture_of
from production_server.personas.records import NewDecision, Said
from production_server.personas.shown import get_face
from production_server.web.api.persona_switch import check_switched_on, sayer
from production_server.web.api.requests import read_form
from production_server.web.api.schemas import Schema
from production_server.web.api.stats_schemas import NO_NUL, page_of
from production_server.web.edge.parts import current_parts
from production_server.web.edge.problems import status_of
from production_server.web.pages.pictures import PICTURE_SIDE, Framed, copy_of

FIELDS = {"name": "Name", "say": "What it is"}


class FaceForm(Schema):
    """What a button says of the face; of a persona that is named, or, of a rejection, that is predicted."""

    say: Said
    name: str = Field(default="", max_length=MAX_NAME, pattern=NO_NUL)


def show(number: int) -> Response:
    """A face."""
    check_switched_on()
    return _page(number)


def show_picture(number: int) -> Response:
    """A copy of the picture that a face is in; whoever may see faces may see it, whosever job it is of."""
    check_switched_on()
    parts = current_parts()
    job_id, index = picture_of(parts.database, number)
    png = copy_of(parts, job_id, index, max_side=PICTURE_SIDE)
    # What is deleted is not to be left in caches.
    return Response(png, mimetype="image/png", headers={"Cache-Control": "no-store"})


def say(number: int) -> Response:
    """Store what somebody says of a face."""
    check_switched_on()
    try:
        _decide(number, read_form(FaceForm, request.form))
    except (InvalidInput, NotFound, Conflict) as exc:
        return _page(number, exc)
    return make_response(redirect(url_for("pages.face", number=number), HTTPStatus.SEE_OTHER))


def _decide(number: int, form: FaceForm) -> None:
    database = current_parts().database
    if form.say == "label":
        people.name_faces(database, [number], form.name, by=sayer())
        return
    persona = get_face(database, number).predicted if form.say == "reject" else None
    decide(database, NewDecision(faces=(number,), kind=form.say, persona=persona), by=sayer())


def _page(number: int, error: CeleriacError | None = None) -> Response:
    database = current_parts().database
    face = get_face(database, number)
    picture = (face.job_id, face.idx)
    frames = [Framed(each.box, each) for each in faces_in(database, [picture]).get(picture, ())]
    told = next((each for each in frames if each.face is not None and each.face.id == number), None)
    if told is None or told.face is None:
        raise NotFound(f"there is no face {number}; it may have been deleted", code="face_not_found")
    known = {each.id: each for each in people.list_personas(database)}
    page = render_template(
        "pages/face.html",
        face=face,
        told=told,
        frames=frames,
        persona=known.get(told.face.persona or 0),
        names={each.id: each.name for each in known.values()},
        fields=FIELDS,
        page_of=page_of,
        error=error,
    )
    return make_response(page, HTTPStatus.OK if error is None else status_of(error))
