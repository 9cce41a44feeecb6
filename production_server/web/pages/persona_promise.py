"""/personas/promise: how many strangers may get a name, and which faces lie between two answers to that."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from flask import Response, make_response, redirect, render_template, request, url_for
from pydantic import Field

from production_server.errors import CeleriacError, InvalidInput, NotFound
from production_server.personas import people
from production_server.personas.classifiers import read_classifiers
from production_server.personas.promises import FEWEST_ONE_IN, MOST_ONE_IN, set_promise
from production_server.personas.records import Classifier, Embedder
from production_server.personas.trying import try_promises
from production_server.web.api.persona_schemas import OneIn
from production_server.web.api.persona_switch import check_switched_on, sayer
from production_server.web.api.requests import read_form, read_query
from production_server.web.api.schemas import MAX_INDEX, Schema
from production_server.web.api.stats_schemas import NO_NUL, page_of
from production_server.web.edge.parts import current_parts
from production_server.web.edge.problems import status_of

FACES_SHOWN = 60
STOPS = (5, 10, 20, 50, 100, 200, 500, 1_000)
"""Where the slider stops."""
FIELDS = {"one_in": "One stranger in", "model": "Model", "version": "Version"}
_Name = Annotated[str, Field(max_length=64, pattern=NO_NUL)]


class PromiseQuery(Schema):
    """Whose promise, what is tried instead of it, and how many of the faces between are passed over."""

    model: _Name | None = None
    version: _Name | None = None
    one_in: OneIn | None = None
    offset: int = Field(default=0, ge=0, le=MAX_INDEX)


class PromiseForm(Schema):
    """What is to be promised of a model."""

    model: _Name
    version: _Name = ""
    one_in: OneIn


def show() -> Response:
    """The promise that stands, others beside it, and the faces between it and the one that is tried."""
    check_switched_on()
    return _page(read_query(PromiseQuery))


def change() -> Response:
    """Have a promise stand."""
    check_switched_on()
    try:
        form = read_form(PromiseForm, request.form)
        set_promise(current_parts().database, form.model, form.one_in, by=sayer())
    except (InvalidInput, NotFound) as exc:
        return _page(PromiseQuery(), exc)
    place = url_for("pages.promise", model=form.model, version=form.version)
    return make_response(redirect(place, HTTPStatus.SEE_OTHER))


def _page(query: PromiseQuery, error: CeleriacError | None = None) -> Response:
    parts = current_parts()
    classifiers, waiting = read_classifiers(parts.database)
    now = _meant(classifiers, query)
    if now is None:
        raise NotFound("nothing judges faces yet: label some on /personas", code="classifier_not_found")
    stands = now.one_in if now.promised is None else now.promised.one_in
    asked = query.one_in or stands
    stops = sorted({*STOPS, asked, stands})
    with parts.checks.place():
        tries = try_promises(
            parts.database,
            now.change.embedder,
            [asked, *stops],
            offset=query.offset,
            limit=FACES_SHOWN,
        )
    page = render_template(
        "pages/persona_promise.html",
        tries=tries,
        asked=tries.tried[0],
        stops=tries.tried[1:],
        stands=stands,
        embedder=now.change.embedder,
        waiting=waiting,
        names={each.id: each.name for each in people.list_personas(parts.database)},
        bounds=(FEWEST_ONE_IN, MOST_ONE_IN),
        next_offset=query.offset + FACES_SHOWN if len(tries.between) == FACES_SHOWN else None,
        fields=FIELDS,
        page_of=page_of,
        error=error,
    )
    return make_response(page, HTTPStatus.OK if error is None else status_of(error))


def _meant(classifiers: list[Classifier], query: PromiseQuery) -> Classifier | None:
    """The latest one of those that are asked for."""
    asked = (query.model, query.version or None)

    def is_meant(embedder: Embedder) -> bool:
        return all(want in (None, have) for want, have in zip(asked, embedder, strict=True))

    return next((each for each in reversed(classifiers) if is_meant(each.change.embedder)), None)
