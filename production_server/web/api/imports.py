"""POST /api/models and /api/imports: files that people have become versions that serve."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response
from werkzeug.datastructures import MultiDict

from production_server.errors import InvalidInput
from production_server.intake.imports import Wish
from production_server.jobs.imports import ModelImport, get_import, list_imports
from production_server.jobs.workers import alive_workers
from production_server.learning.report import allowed_by
from production_server.models.importing.described import Described
from production_server.models.importing.said import described_by, split_names
from production_server.shown import describe
from production_server.web.api.import_schemas import ImportBody, ImportForm, ImportsBody, ImportsQuery
from production_server.web.api.operations import BINARY, Form, operation
from production_server.web.api.requests import read_form, read_query, to_response
from production_server.web.api.sent_imports import FILES, SentForm, sent_form
from production_server.web.edge.flask_door import acting, whose
from production_server.web.edge.forms import repeated
from production_server.web.edge.json_bodies import json_of
from production_server.web.edge.parts import WebParts, current_parts

blueprint = Blueprint("imports", __name__, url_prefix="/api")


@blueprint.post("/models")
@operation(
    "Import a model",
    form=Form(
        ImportForm,
        files=dict.fromkeys(FILES, BINARY),
        needs={"required": ["name"], "oneOf": [{"required": ["file"]}, {"required": ["url"]}]},
    ),
    responses={202: ImportBody},
    errors=(400, 413, 415, 503, 507),
)
def submit() -> Response:
    """Accept a file of a model: a worker makes a version of it, which `GET` on the import's own address tells of.

    `file` is ONNX, .keras, .h5, a zip of a SavedModel or of ONNX with the files beside it, or model.json with
    `weights`; `sample` a table of rows, or a zip with a folder of images for each label.
    Instead of each, `url`, `weights_url` and `sample_url` say where it lies: the worker fetches it.
    """
    with sent_form() as sent:
        body = ImportBody.of(accept_sent(current_parts(), sent))
    response = to_response(body, 202)
    response.headers["Location"] = body.links.self
    return response


@blueprint.get("/imports")
@operation("List imports, newest first", query=ImportsQuery, responses={200: ImportsBody}, errors=(400, 503))
def index() -> Response:
    """A page of imports."""
    query, parts = read_query(ImportsQuery), current_parts()
    found = list_imports(parts.database, whose=whose(), after=query.after, limit=query.limit)
    bodies = [ImportBody.of(each, waits_for=waits_for(parts, each)) for each in found]
    is_full = len(found) == query.limit
    return to_response(ImportsBody(imports=bodies, next=found[-1].id if is_full else None))


@blueprint.get("/imports/<uuid:import_id>")
@operation("Show an import", responses={200: ImportBody}, errors=(404, 503))
def show(import_id: UUID) -> Response:
    """One import as it stands: how far it is, what was assumed, and what it has become or why not."""
    parts = current_parts()
    found = get_import(parts.database, import_id, whose=whose())
    return to_response(ImportBody.of(found, waits_for=waits_for(parts, found)))


@blueprint.delete("/imports/<uuid:import_id>")
@operation("Cancel an import", responses={200: ImportBody}, errors=(404, 409, 503))
def delete(import_id: UUID) -> Response:
    """Have a file become no version. One that has become one already is a 409; one that has failed stays as it is."""
    return to_response(ImportBody.of(current_parts().imports.cancel(import_id, whose=whose())))


def accept_sent(parts: WebParts, sent: SentForm) -> ModelImport:
    """Accept the import that a form describes.

    Raises:
        InvalidInput: something about the form, or the file in it, is wrong.
        StoreNotWritable, Unavailable: it finds no place.
    """
    _check_once(sent.fields)
    given = {name: ",".join(texts) for name, texts in sent.fields.lists()}
    form = read_form(ImportForm, {name: text for name, text in given.items() if text.strip()})
    wish = Wish(
        model=form.name,
        described=_described(form),
        urls=form.urls(),
        signature=form.signature,
        allowed=allowed_by(breaking=form.breaking, despite=split_names(form.despite or "")),
        dry_run=form.dry_run,
    )
    with parts.checks.place():
        return parts.imports.accept(wish, sent.files, by=acting())


def waits_for(parts: WebParts, found: ModelImport) -> str:
    """Why nobody makes a version of it yet, for people; empty: somebody does, or it is over."""
    if found.state != "waiting":
        return ""
    able = [each.imports for each in alive_workers(parts.database) if each.imports is not None]
    if not able:
        return "Waiting for a worker: none is alive."
    if found.needs_tensorflow and "all" not in able:
        return (
            "Waiting for a worker with TensorFlow: where the training set is installed, where IMPORT_PYTHON names a "
            "Python that has it, or, in containers, of the profile importing."
        )
    return "Waiting for a worker."


def _check_once(fields: MultiDict[str, str]) -> None:
    faults = [each for each in repeated(fields, MultiDict()) if each.field != "despite"]
    if faults:
        raise InvalidInput("; ".join(map(str, faults[:3])), faults)


def _described(form: ImportForm) -> Described:
    description = (
        {} if form.describe is None else json_of(form.describe.encode(), "describe", field="describe")
    )
    if not isinstance(description, dict):
        raise InvalidInput.at("describe", "an object with names and values", describe(form.describe))
    return described_by(description, form.options(), whole="describe")
