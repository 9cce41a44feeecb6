"""/api/labels/<name>/…: labels as files, out and in."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from flask import Blueprint, Response, request
from werkzeug.datastructures import FileStorage

from production_server.access.scopes import Scope
from production_server.errors import Forbidden, InvalidInput, TooLarge
from production_server.intake.intake import Asked
from production_server.intake.label_files import LabelledPicture, checked_items, unpacked
from production_server.jobs.records import Job
from production_server.labels.bringing import Brought, bring
from production_server.labels.files import Line, Told, guess_format, read_labels_of
from production_server.labels.labelled import every_label
from production_server.labels.records import ItemId, Label
from production_server.labels.sets import get_set, labels_of_set
from production_server.models.tasks.task import Task
from production_server.shown import describe
from production_server.web.api.downloads import download
from production_server.web.api.label_schemas import ImportedBody, ImportForm, LabelsQuery
from production_server.web.api.label_writing import as_coco, as_csv, as_json_lines, as_label_studio, as_zip
from production_server.web.api.labelling import labeller, task_to_label
from production_server.web.api.operations import BINARY, Form, operation
from production_server.web.api.requests import read_form, read_idempotency_key, read_query, to_response
from production_server.web.api.schemas import FaultBody
from production_server.web.edge.accepting import accept
from production_server.web.edge.flask_door import asking_client, whose
from production_server.web.edge.parts import WebParts, current_parts

blueprint = Blueprint("label_files", __name__, url_prefix="/api/labels/<name>")

SOURCE = "labels"
_ZIP = b"PK\3\4"


@blueprint.get("/labels.csv")
@operation("Download labels as CSV", query=LabelsQuery, responses={200: "text/csv"}, errors=(400, 404, 503))
def csv(name: str) -> Response:
    """The label of each item that has one, with what went in if that is a row; streamed."""
    parts, task = current_parts(), task_to_label(current_parts(), name)
    return download(as_csv(parts, task, _wanted(parts, name)), "text/csv", f"{name}-labels.csv")


@blueprint.get("/labels.jsonl")
@operation(
    "Download labels as lines of JSON",
    query=LabelsQuery,
    responses={200: "application/x-ndjson"},
    errors=(400, 404, 503),
)
def json_lines(name: str) -> Response:
    """An object for each item that has a label, with the SHA-256 of its input; streamed."""
    parts = current_parts()
    task_to_label(parts, name)
    pieces = as_json_lines(parts, _wanted(parts, name))
    return download(pieces, "application/x-ndjson", f"{name}-labels.jsonl")


@blueprint.get("/labels.zip")
@operation(
    "Download labelled pictures",
    query=LabelsQuery,
    responses={200: "application/zip"},
    errors=(400, 404, 503),
)
def pictures(name: str) -> Response:
    """A folder for each label, with the pictures that have it; what cannot be fetched is told in `missing.csv`."""
    parts = current_parts()
    _check_has_pictures(task_to_label(parts, name))
    return download(as_zip(parts, _wanted(parts, name)), "application/zip", f"{name}-labels.zip")


@blueprint.get("/coco.json")
@operation(
    "Download labels as COCO", query=LabelsQuery, responses={200: "application/json"}, errors=(400, 404, 503)
)
def coco(name: str) -> Response:
    """COCO's annotations: a category for each label, files as `labels.zip` calls them, boxes around whole pictures."""
    parts = current_parts()
    _check_has_pictures(task_to_label(parts, name))
    return download(as_coco(parts, _wanted(parts, name)), "application/json", f"{name}-coco.json")


@blueprint.get("/label-studio.json")
@operation(
    "Download labels as tasks of Label Studio",
    query=LabelsQuery,
    responses={200: "application/json"},
    errors=(400, 404, 503),
)
def label_studio(name: str) -> Response:
    """A task for each picture, with its label as an annotation and the model's answer as a prediction."""
    parts = current_parts()
    _check_has_pictures(task_to_label(parts, name))
    pieces = as_label_studio(_wanted(parts, name))
    return download(pieces, "application/json", f"{name}-label-studio.json")


@blueprint.post("/import")
@operation(
    "Import labels",
    form=Form(ImportForm, files={"file": BINARY}, needs={"required": ["file"]}),
    responses={200: ImportedBody},
    errors=(400, 404, 409, 410, 413, 415, 503),
    headers=("Idempotency-Key",),
)
def bring_file(name: str) -> Response:
    """Store what a file says: CSV, lines of JSON, COCO, Label Studio's tasks, or a zip with a folder for each label.

    Lines that cannot be stored are told, and keep none of the others back. Pictures in a zip become a job.
    """
    parts, key = current_parts(), read_idempotency_key()
    task = task_to_label(parts, name)
    file = _sent_file()
    form = read_form(ImportForm, request.form)
    stream = file.stream
    is_zip = stream.read(len(_ZIP)) == _ZIP
    stream.seek(0)
    if is_zip or form.format == "zip":
        with parts.checks.place():
            job, brought = _bring_archive(parts, task, stream, key, is_new=form.new)
    else:
        data = stream.read()
        lines = read_labels_of(data, form.format or guess_format(data))
        job, brought = None, bring(parts.database, task, lines, by=labeller(), is_new=form.new)
    return to_response(
        ImportedBody(
            stored=brought.stored,
            unchanged=brought.unchanged,
            refused=brought.refused,
            faults=[
                FaultBody(field=each.field, expected=each.expected, got=each.got) for each in brought.faults
            ],
            job=None if job is None else job.id,
        )
    )


def _sent_file() -> FileStorage:
    if request.mimetype != "multipart/form-data":
        detail = f"expected multipart/form-data, got {request.mimetype or 'no Content-Type'}"
        raise InvalidInput(detail, code="unsupported_media_type")
    if "file" in request.form:
        got = f"a text: {describe(request.form['file'])}"
        raise InvalidInput.at("file", "a file, a part with a file name (curl: -F file=@FILE)", got)
    files = list(request.files.items(multi=True))
    if [field for field, _ in files] != ["file"]:
        raise InvalidInput.at("form", "one file, called `file`", f"{len(files)} files")
    return files[0][1]


def _bring_archive(
    parts: WebParts, task: Task, stream: IO[bytes], key: str | None, *, is_new: bool
) -> tuple[Job | None, Brought]:
    """Make items of an archive's pictures, and decisions of their labels."""
    _check_has_pictures(task)
    if not asking_client().may(Scope.PREDICT):
        raise Forbidden("pictures become a job, which takes a key with the scope predict")
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "archive.zip")
        with archive.open("wb") as out:
            while piece := stream.read(2**20):
                out.write(piece)
        found = list(unpacked(archive, Path(folder, "unpacked"), parts.settings))
        sent = [each for each in found if isinstance(each, LabelledPicture)]
        if len(sent) > parts.settings.max_job_items:
            raise TooLarge.at("file", f"at most {parts.settings.max_job_items} pictures", str(len(sent)))
        version = parts.registry.resolve(task.manifest.name)
        items, taken, faults = checked_items(version, sent, parts.settings, is_new=is_new)
    lines: list[Line] = [each for each in found if not isinstance(each, LabelledPicture)]
    lines += faults
    job = None
    if items:
        asked = Asked(source=SOURCE, client=asking_client().name, idempotency_key=key)
        job = accept(version, items, asked)
        lines += [Told(each.where, each.label, ItemId(job.id, place)) for place, each in enumerate(taken)]
    return job, bring(parts.database, task, lines, by=labeller(), is_new=is_new)


def _wanted(parts: WebParts, name: str) -> Iterator[Label]:
    """The labels that are asked for."""
    query = read_query(LabelsQuery)
    if query.set is None:
        return every_label(parts.database, name, whose=whose())
    found = get_set(parts.database, query.set, whose=whose())
    if found.model != name:
        raise InvalidInput.at("set", f"a set of {name}", f"{found.name}, of {found.model}")
    return labels_of_set(parts.database, found)


def _check_has_pictures(task: Task) -> None:
    if not task.inputs.takes_files:
        raise InvalidInput.at("model", "a model of images", f"{task.manifest.name}, which takes rows")
