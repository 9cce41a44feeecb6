"""/api/jobs: submit, show, list, cancel."""

from __future__ import annotations

from contextlib import nullcontext
from uuid import UUID

from flask import Blueprint, Response, request

from production_server.access.cancelling import cancel_job
from production_server.errors import Fault, InvalidInput
from production_server.intake.checking import Upload, items_from_files, items_from_json, items_from_table
from production_server.intake.intake import Asked
from production_server.jobs.away import waiting_for
from production_server.jobs.read import get_job, list_items, list_jobs
from production_server.jobs.records import Job, NewItem
from production_server.models.store import ModelVersion
from production_server.models.table import Reading
from production_server.shown import describe
from production_server.web.api.operations import BINARY, Form, operation
from production_server.web.api.requests import (
    read_form,
    read_idempotency_key,
    read_json_with_list,
    read_query,
    read_wait_s,
    to_response,
)
from production_server.web.api.schemas import (
    ITEMS_IN_ANSWER,
    JobBody,
    JobForm,
    JobOverBody,
    JobRequest,
    JobsBody,
    JobsQuery,
    SubmittedBody,
    TableBody,
)
from production_server.web.edge.accepting import accept
from production_server.web.edge.flask_door import acting, asking_client, waiting_place, whose
from production_server.web.edge.forms import repeated
from production_server.web.edge.headers import STICKY_HEADER
from production_server.web.edge.json_bodies import refusing_what_is_no_json
from production_server.web.edge.parts import WebParts, current_parts
from production_server.web.edge.waits import wait_until_over

blueprint = Blueprint("jobs", __name__, url_prefix="/api/jobs")


@blueprint.post("")
@operation(
    "Submit a job",
    body=JobRequest,
    form=Form(
        JobForm,
        files={"file": {"type": "array", "items": BINARY, "minItems": 1}, "csv": BINARY, "truths": BINARY},
        needs={"required": ["model"], "oneOf": [{"required": ["file"]}, {"required": ["csv"]}]},
    ),
    responses={202: SubmittedBody, 200: JobOverBody},
    errors=(400, 404, 409, 410, 413, 415, 503),
    headers=("Idempotency-Key", "Prefer", STICKY_HEADER),
)
def submit() -> Response:
    """Accept a job: it is stored before this answers 202, or 200 if it is over within `Prefer: wait=N`.

    `truths` is a table of what is true of images: `file,label`, then a line for each. A job of up to 100 items that is
    over has its results in the answer; one of a table says how that was read. While too many requests wait already,
    nobody waits for this one: 202.
    """
    parts = current_parts()
    key = read_idempotency_key()
    asked, version, items, reading = _read_submission(parts)
    told = Asked(
        source="http",
        client=asking_client().name,
        priority=asked.priority,
        version=asked.version,
        idempotency_key=key,
    )
    accepted = accept(version, items, told)
    accepted = wait_until_over(accepted, read_wait_s(request), place=waiting_place(), database=parts.database)
    table = None if reading is None else TableBody.of(reading)
    body = _over(parts, accepted, table) if accepted.is_over else SubmittedBody.of_submitted(accepted, table)
    response = to_response(body, 200 if accepted.is_over else 202)
    response.headers["Location"] = body.links.self
    return response


def _sticky() -> str:
    """Of a canary: a request that is sent again gets the version that it got, as the whole job has one."""
    return request.headers.get(STICKY_HEADER) or request.headers.get("Idempotency-Key", "")


def _over(parts: WebParts, job: Job, table: TableBody | None) -> JobOverBody:
    """A job that is over, with its results if they are few."""
    is_small = job.total <= ITEMS_IN_ANSWER
    items = list_items(parts.database, job.id, limit=ITEMS_IN_ANSWER) if is_small else None
    return JobOverBody.of_over(job, items, parts.task_of(job), table)


@blueprint.get("")
@operation("List jobs, newest first", query=JobsQuery, responses={200: JobsBody}, errors=(400, 503))
def index() -> Response:
    """A page of jobs."""
    query = read_query(JobsQuery)
    found = list_jobs(
        current_parts().database,
        whose=whose(),
        model=query.model,
        state=query.state,
        after=query.after,
        limit=query.limit,
    )
    is_full = len(found) == query.limit
    waiting = waiting_for(current_parts().database, [job.id for job in found if not job.is_over])
    bodies = [JobBody.of(job, waiting.get(job.id)) for job in found]
    return to_response(JobsBody(jobs=bodies, next=found[-1].id if is_full else None))


@blueprint.get("/<uuid:job_id>")
@operation("Show a job", responses={200: JobBody}, errors=(404, 503))
def show(job_id: UUID) -> Response:
    """One job as it stands."""
    database = current_parts().database
    job = get_job(database, job_id, whose=whose())
    waiting = {} if job.is_over else waiting_for(database, [job_id])
    return to_response(JobBody.of(job, waiting.get(job_id)))


@blueprint.delete("/<uuid:job_id>")
@operation("Cancel what has not run", responses={200: JobBody}, errors=(404, 503))
def delete(job_id: UUID) -> Response:
    """Cancel a job's waiting items; what a worker has in hand still finishes, a job that is over stays as it is."""
    cancelled = cancel_job(current_parts().database, job_id, whose=whose(), by=acting())
    return to_response(JobBody.of(cancelled))


def _read_submission(
    parts: WebParts,
) -> tuple[JobRequest | JobForm, ModelVersion, list[NewItem], Reading | None]:
    if request.mimetype == "application/json":
        asked, long_list = read_json_with_list(JobRequest, "inputs")
        version = parts.registry.draw(asked.model, asked.version, sticky=_sticky())
        is_dear = long_list is not None or version.task.inputs.takes_files
        with refusing_what_is_no_json("the body"), parts.checks.place() if is_dear else nullcontext():
            items = items_from_json(version, long_list or [asked.inputs], parts.settings)
        return asked, version, items, None
    if request.mimetype == "multipart/form-data":
        _refuse_texts_for_files()
        if faults := repeated(request.form, request.files):
            raise InvalidInput("; ".join(map(str, faults[:3])), faults)
        form = read_form(JobForm, request.form)
        version = parts.registry.draw(form.model, form.version, sticky=_sticky())
        with parts.checks.place():
            return form, version, *_items_from_form(version, parts)
    detail = f"expected application/json or multipart/form-data, got {request.mimetype or 'no Content-Type'}"
    raise InvalidInput(detail, code="unsupported_media_type")


def _refuse_texts_for_files() -> None:
    """A part without a file name is a text to a form: `curl -F csv=patients.csv` sends the name, not the file."""
    for name in ("csv", "file", "truths"):
        if name in request.form:
            expected = f"a file, a part with a file name (curl: -F {name}=@FILE)"
            raise InvalidInput.at(name, expected, f"a text: {describe(request.form[name])}")


def _items_from_form(version: ModelVersion, parts: WebParts) -> tuple[list[NewItem], Reading | None]:
    unknown = sorted(set(request.files) - {"file", "csv", "truths"})
    tables, images = request.files.getlist("csv"), request.files.getlist("file")
    truths = request.files.get("truths")
    if unknown or bool(tables) == bool(images) or (tables and truths):
        expected = "image files as `file` (repeated), maybe with `truths`, or one table as `csv`"
        got = ", ".join(unknown) or f"{len(images)} × file, {len(tables)} × csv" + (
            ", truths" if truths else ""
        )
        raise InvalidInput(f"expected {expected}, got {got}", (Fault("form", expected, got),))
    if tables:
        return items_from_table(version, tables[0].read(), parts.settings)
    uploads = [Upload(file.filename or "", file.read()) for file in images]
    told = None if truths is None else truths.read()
    return items_from_files(version, uploads, parts.settings, truths=told), None
