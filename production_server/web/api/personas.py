"""/api/personas: who faces may be of, what is told of them, and what judges."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

from flask import Blueprint, Response

from production_server.jobs.database import Database
from production_server.personas import people
from production_server.personas.classifiers import read_classifiers
from production_server.personas.promises import set_promise
from production_server.personas.records import Embedder, Persona
from production_server.personas.shown import every_face_of, faces_of, get_persona
from production_server.personas.trying import try_promises
from production_server.web.api.downloads import download
from production_server.web.api.operations import operation
from production_server.web.api.persona_schemas import (
    ClassifierBody,
    ClassifiersBody,
    DeletedBody,
    DeleteQuery,
    FaceBody,
    FaceDecisionBody,
    FacesBody,
    FacesQuery,
    MergeRequest,
    NameRequest,
    PersonaBody,
    PersonasBody,
    PromiseRequest,
    TriedBody,
    TryQuery,
)
from production_server.web.api.persona_switch import check_switched_on, sayer
from production_server.web.api.requests import read_json, read_query, to_response
from production_server.web.edge.parts import current_parts

blueprint = Blueprint("personas", __name__, url_prefix="/api/personas")
blueprint.before_request(check_switched_on)
ONE = "/<int(max=2147483647):number>"


@blueprint.get("")
@operation("List personas", responses={200: PersonasBody}, errors=(404, 503))
def index() -> Response:
    """All of them, by name."""
    found = people.list_personas(current_parts().database)
    return to_response(PersonasBody(personas=[PersonaBody.of(each) for each in found]))


@blueprint.post("")
@operation(
    "Make a persona", body=NameRequest, responses={201: PersonaBody}, errors=(400, 404, 409, 413, 415, 503)
)
def create() -> Response:
    """Somebody new, of whom nothing is known yet."""
    made = people.make(current_parts().database, read_json(NameRequest).name, by=sayer())
    return to_response(PersonaBody.of(made), 201)


@blueprint.put(f"{ONE}/name")
@operation(
    "Rename a persona", body=NameRequest, responses={200: PersonaBody}, errors=(400, 404, 409, 413, 415, 503)
)
def rename(number: int) -> Response:
    """Give it another name, which no other one has."""
    found = people.rename(current_parts().database, number, read_json(NameRequest).name, by=sayer())
    return to_response(PersonaBody.of(_counted(found)))


@blueprint.delete(ONE)
@operation(
    "Delete a persona", query=DeleteQuery, responses={200: DeletedBody}, errors=(400, 404, 413, 415, 503)
)
def delete(number: int) -> Response:
    """Delete it, those merged into it, and all that was said and learnt of them; nothing brings that back."""
    with_faces = read_query(DeleteQuery).faces == "true"
    return to_response(
        DeletedBody(faces=people.remove(current_parts().database, number, by=sayer(), with_faces=with_faces))
    )


@blueprint.post(f"{ONE}/merge")
@operation(
    "Merge a persona into another",
    body=MergeRequest,
    responses={200: PersonaBody},
    errors=(400, 404, 409, 413, 415, 503),
)
def merge(number: int) -> Response:
    """Have all that was said of it count as said of another one, which is answered."""
    database, into = current_parts().database, read_json(MergeRequest).into
    people.merge(database, number, into, by=sayer())
    return to_response(PersonaBody.of(_counted(get_persona(database, into))))


@blueprint.post(f"{ONE}/split")
@operation("Take a merge back", responses={200: PersonaBody}, errors=(400, 404, 409, 413, 415, 503))
def split(number: int) -> Response:
    """Have a persona that was merged into another stand for itself again."""
    return to_response(PersonaBody.of(_counted(people.split(current_parts().database, number, by=sayer()))))


@blueprint.get(f"{ONE}/faces")
@operation("List faces of a persona", query=FacesQuery, responses={200: FacesBody}, errors=(400, 404, 503))
def faces(number: int) -> Response:
    """What people said, what the classifier says, or what people may have said wrongly."""
    query = read_query(FacesQuery)
    found = faces_of(current_parts().database, number, query.kind, offset=query.offset, limit=query.limit)
    is_full = len(found) == query.limit
    return to_response(
        FacesBody(
            faces=[FaceBody.of(each) for each in found], next=query.offset + query.limit if is_full else None
        )
    )


@blueprint.get(f"{ONE}/export.jsonl")
@operation("Export a persona", responses={200: "application/x-ndjson"}, errors=(404, 503))
def export(number: int) -> Response:
    """All that is known of it, a line of JSON each: the persona, then its faces, labelled and predicted."""
    database = current_parts().database
    found = _counted(get_persona(database, number))
    return download(_lines(database, found), "application/x-ndjson", f"persona-{number}.jsonl")


@blueprint.get("/classifiers")
@operation("Show what judges faces", responses={200: ClassifiersBody}, errors=(404, 503))
def classifiers() -> Response:
    """Of each version that finds faces its classifier, what that promises, and what it has changed."""
    found, waiting = read_classifiers(current_parts().database)
    return to_response(
        ClassifiersBody(classifiers=[ClassifierBody.of(each) for each in found], waiting=waiting)
    )


@blueprint.get("/classifiers/<model>/<version>/promise")
@operation("Try another promise", query=TryQuery, responses={200: TriedBody}, errors=(400, 404, 503))
def try_promise(model: str, version: str) -> Response:
    """How near faces would have to be, and which would gain or lose a name; nothing is changed."""
    query, parts = read_query(TryQuery), current_parts()
    with parts.checks.place():
        found = try_promises(
            parts.database,
            Embedder(model, version),
            [query.one_in],
            offset=query.offset,
            limit=query.limit,
        )
    is_full = len(found.between) == query.limit
    return to_response(TriedBody.of(found, after=query.offset + query.limit if is_full else None))


@blueprint.put("/classifiers/<model>/promise")
@operation(
    "Set how many strangers may get a name",
    body=PromiseRequest,
    responses={200: ClassifiersBody},
    errors=(400, 404, 413, 415, 503),
)
def promise(model: str) -> Response:
    """Have all versions of a model name at most one stranger in so many, at once; setting it back undoes it."""
    set_promise(current_parts().database, model, read_json(PromiseRequest).one_in, by=sayer())
    return classifiers()


def _counted(found: Persona) -> Persona:
    """A persona with its counts."""
    every = people.list_personas(current_parts().database)
    return next((each for each in every if each.id == found.id), found)


def _lines(database: Database, found: Persona) -> Iterator[str]:
    yield PersonaBody.of(found).model_dump_json() + "\n"
    for face, embedding, said in every_face_of(database, found.id):
        told = FaceBody.of(face).model_dump(mode="json")
        told["landmarks"] = face.landmarks
        told["embedding"] = base64.b64encode(embedding).decode()
        told["decisions"] = [FaceDecisionBody.of(each).model_dump(mode="json") for each in said]
        yield json.dumps(told) + "\n"
