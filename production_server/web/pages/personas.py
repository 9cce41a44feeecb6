"""/personas: who faces are of, and who may be new; and each persona, with what the classifier says to be judged."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from flask import Response, make_response, redirect, render_template, request, url_for
from pydantic import Field

from production_server.errors import CeleriacError, Conflict, InvalidInput, NotFound
from production_server.personas import people
from production_server.personas.classifiers import read_classifiers
from production_server.personas.decisions import MOST_FACES, decide, undo
from production_server.personas.people import MAX_NAME
from production_server.personas.pictured import faces_in, pictures_of
from production_server.personas.records import NewDecision, Persona, Said
from production_server.personas.shown import (
    OfPersona,
    alike_strangers,
    faces_of,
    get_persona,
    list_with_covers,
    unknown_faces,
)
from production_server.web.api.persona_switch import check_switched_on, sayer
from production_server.web.api.requests import read_form, read_query
from production_server.web.api.schemas import MAX_INDEX, Schema
from production_server.web.api.stats_schemas import NO_NUL, page_of
from production_server.web.edge.parts import current_parts
from production_server.web.edge.problems import status_of
from production_server.web.pages.pictures import Framed

FACES_SHOWN = 60
GROUPS_SHOWN = 12
PICTURES_SHOWN = 24
KINDS: dict[OfPersona | Literal["pictures"], str] = {
    "predicted": "To be judged",
    "labelled": "Labelled",
    "outliers": "Least like the others",
    "pictures": "Pictures",
}
"""What is shown of a persona, as people read it."""
FIELDS = {"name": "Name", "faces": "Faces", "into": "Who it is"}
_Errors = (InvalidInput, NotFound, Conflict)
_Id = Annotated[int, Field(ge=1, le=MAX_INDEX)]


class ListQuery(Schema):
    """How many of the faces of nobody are passed over."""

    offset: int = Field(default=0, ge=0, le=MAX_INDEX)


class PersonaQuery(ListQuery):
    """Which of its faces are shown."""

    kind: OfPersona | Literal["pictures"] = "predicted"


class SaidForm(Schema):
    """What a button says of the faces that are ticked; of a persona that is named, or is that of the page."""

    faces: list[_Id] = Field(max_length=MOST_FACES)
    say: Said
    name: str = Field(default="", max_length=MAX_NAME, pattern=NO_NUL)
    persona: _Id | None = None


class NameForm(Schema):
    """What a persona is to be called."""

    name: str = Field(max_length=MAX_NAME, pattern=NO_NUL)


class MergeForm(Schema):
    """Whom a persona turned out to be."""

    into: _Id


class DeleteForm(Schema):
    """Whether its faces are deleted with it."""

    faces: bool = False


def show() -> Response:
    """All personas, groups of strangers that are alike, and the latest faces of nobody."""
    check_switched_on()
    return _list_page()


def show_one(number: int) -> Response:
    """One persona."""
    check_switched_on()
    return _persona_page(number)


def make() -> Response:
    """Make a persona of a name."""
    check_switched_on()
    try:
        made = people.make(current_parts().database, read_form(NameForm, request.form).name, by=sayer())
    except _Errors as exc:
        return _list_page(exc)
    return _to_one(made.id)


def say() -> Response:
    """Store what somebody says of faces, and show the page where it was said."""
    check_switched_on()
    page = request.form.get("page", "")
    back = int(page) if page.isascii() and page.isdigit() and len(page) < 10 else None
    try:
        _decide(back)
    except _Errors as exc:
        return _list_page(exc) if back is None else _persona_page(back, exc)
    if "one_in" in request.form:
        return _to_promise()
    return _to_list() if back is None else _to_one(back)


def take_back() -> Response:
    """Undo what somebody has said last of faces."""
    check_switched_on()
    try:
        undo(current_parts().database, by=sayer())
    except _Errors as exc:
        return _list_page(exc)
    return _to_list()


def rename(number: int) -> Response:
    """Give a persona another name."""
    check_switched_on()
    try:
        people.rename(current_parts().database, number, read_form(NameForm, request.form).name, by=sayer())
    except _Errors as exc:
        return _persona_page(number, exc)
    return _to_one(number)


def merge(number: int) -> Response:
    """Have a persona count as another one."""
    check_switched_on()
    try:
        into = read_form(MergeForm, request.form).into
        people.merge(current_parts().database, number, into, by=sayer())
    except _Errors as exc:
        return _persona_page(number, exc)
    return _to_one(into)


def delete(number: int) -> Response:
    """Delete a persona."""
    check_switched_on()
    try:
        asked = read_form(DeleteForm, request.form)
        people.remove(current_parts().database, number, by=sayer(), with_faces=asked.faces)
    except _Errors as exc:
        return _persona_page(number, exc)
    return _to_list()


def _decide(page: int | None) -> None:
    told = {name: request.form[name] for name in ("say", "name") if name in request.form}
    form = read_form(SaidForm, told | {"faces": request.form.getlist("faces")})
    if not form.faces:
        raise InvalidInput.at("faces", "at least one that is ticked", "none")
    database, persona = current_parts().database, page if form.say in ("label", "reject") else None
    if form.say == "label" and form.name.strip():
        people.name_faces(database, form.faces, form.name, by=sayer())
        return
    if form.say == "label" and persona is None:
        raise InvalidInput.at("name", "whose faces they are", "nothing")
    decide(database, NewDecision(faces=tuple(form.faces), kind=form.say, persona=persona), by=sayer())


def _to_list() -> Response:
    return make_response(redirect(url_for("pages.personas"), HTTPStatus.SEE_OTHER))


def _to_promise() -> Response:
    model, version, one_in = (request.form.get(name) for name in ("model", "version", "one_in"))
    place = url_for("pages.promise", model=model, version=version, one_in=one_in)
    return make_response(redirect(place, HTTPStatus.SEE_OTHER))


def _to_one(number: int) -> Response:
    kind = request.form.get("kind", "predicted")
    shown = kind if kind in KINDS else "predicted"
    return make_response(redirect(url_for("pages.persona", number=number, kind=shown), HTTPStatus.SEE_OTHER))


def _list_page(error: CeleriacError | None = None) -> Response:
    parts = current_parts()
    offset = 0 if error else read_query(ListQuery).offset
    known, covers = list_with_covers(parts.database)
    with parts.checks.place():
        groups = alike_strangers(parts.database)[:GROUPS_SHOWN]
    unknown = unknown_faces(parts.database, offset=offset, limit=FACES_SHOWN)
    classifiers, waiting = read_classifiers(parts.database)
    page = render_template(
        "pages/personas.html",
        personas=known,
        covers=covers,
        groups=groups,
        unknown=unknown,
        offset=offset,
        next_offset=offset + FACES_SHOWN if len(unknown) == FACES_SHOWN else None,
        classifiers=classifiers,
        waiting=waiting,
        fields=FIELDS,
        page_of=page_of,
        error=error,
    )
    return make_response(page, HTTPStatus.OK if error is None else status_of(error))


def _persona_page(number: int, error: CeleriacError | None = None) -> Response:
    database = current_parts().database
    query = PersonaQuery() if error else read_query(PersonaQuery)
    found = get_persona(database, number)
    known = people.list_personas(database)
    counted = next((each for each in known if each.id == number), found)
    shown = _shown(number, query)
    page = render_template(
        "pages/persona.html",
        persona=counted,
        others=_others(known, number),
        kind=query.kind,
        kinds=KINDS,
        **shown,
        fields=FIELDS,
        page_of=page_of,
        error=error,
    )
    return make_response(page, HTTPStatus.OK if error is None else status_of(error))


def _shown(number: int, query: PersonaQuery) -> dict[str, Any]:
    """The faces, or the pictures, of one page."""
    database, offset = current_parts().database, query.offset
    if query.kind == "pictures":
        places = pictures_of(database, number, offset=offset, limit=PICTURES_SHOWN)
        found = faces_in(database, places)
        pictures = [[Framed(each.box, each) for each in found[place]] for place in places if place in found]
        is_full = len(places) == PICTURES_SHOWN
        return {"pictures": pictures, "next_offset": offset + PICTURES_SHOWN if is_full else None}
    faces = faces_of(database, number, query.kind, offset=offset, limit=FACES_SHOWN)
    return {"faces": faces, "next_offset": offset + FACES_SHOWN if len(faces) == FACES_SHOWN else None}


def _others(known: list[Persona], number: int) -> list[Persona]:
    return [each for each in known if each.id != number]
