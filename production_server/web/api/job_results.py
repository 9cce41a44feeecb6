"""/api/jobs/<id>/results: pages, downloads, and the stream of events."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import takewhile
from uuid import UUID

from flask import Blueprint, Response, request

from production_server.access.records import Client
from production_server.errors import InvalidInput, Unavailable
from production_server.jobs.database import Database
from production_server.jobs.item_body import ItemBody
from production_server.jobs.read import every_item, get_job, get_payloads, list_items
from production_server.jobs.records import Item, Job
from production_server.models.tasks.label_sets import written
from production_server.models.tasks.task import Task
from production_server.web.api.downloads import csv_line, download
from production_server.web.api.operations import operation
from production_server.web.api.requests import read_query, to_response
from production_server.web.api.schemas import JobBody, ResultsBody, ResultsQuery
from production_server.web.edge.flask_door import asking_client, whose
from production_server.web.edge.parts import WebParts, current_parts

blueprint = Blueprint("results", __name__, url_prefix="/api/jobs/<uuid:job_id>")

PAGE = 1000
IN_BUCKETS = {"scan", "event"}
"""Sources of jobs whose inputs lie in buckets: a name would not say which one."""
NOTHING_YET = ""
"""What a stream says for the server to ask again after a while (PEP 3333)."""
RECONNECT_MS = 2000
"""When a client asks again that found too many others waiting, or a server that stops."""
KEEP_ALIVE_S = 15


@blueprint.get("/results")
@operation(
    "List a job's items in order", query=ResultsQuery, responses={200: ResultsBody}, errors=(400, 404, 503)
)
def page(job_id: UUID) -> Response:
    """A page of items with what is known of them so far."""
    query, parts = read_query(ResultsQuery), current_parts()
    job = get_job(parts.database, job_id, whose=whose())
    items = list_items(parts.database, job_id, after=query.after, limit=query.limit)
    is_last = not job.is_growing and (not items or items[-1].index == job.total - 1)
    following = items[-1].index if items else query.after
    task = parts.task_of(job)
    body = ResultsBody(
        results=[ItemBody.of(item, job.version, task) for item in items],
        next=None if is_last else following,
    )
    return to_response(body)


@blueprint.get("/results.csv")
@operation("Download all items as CSV", responses={200: "text/csv"}, errors=(404, 503))
def as_csv(job_id: UUID) -> Response:
    """The whole job as a table, streamed: rows of numbers that went in, answers as the task tells them, errors."""
    parts = current_parts()
    job = get_job(parts.database, job_id, whose=whose())
    return download(_csv_lines(parts, job), "text/csv", f"{job.model}-{job.id}.csv")


@blueprint.get("/results.json")
@operation("Download all items as JSON", responses={200: ResultsBody}, errors=(404, 503))
def as_json(job_id: UUID) -> Response:
    """The whole job as one JSON document, streamed."""
    parts = current_parts()
    job = get_job(parts.database, job_id, whose=whose())
    return download(_json_pieces(parts, job), "application/json", f"{job.model}-{job.id}.json")


@blueprint.get("/events")
@operation(
    "Follow a job's items as they finish",
    responses={200: "text/event-stream"},
    errors=(400, 404, 503),
    headers=("Last-Event-ID",),
)
def events(job_id: UUID) -> Response:
    """Server-sent events: `item` with each item in order (id: its index), then `job` when it is over.

    While too many requests wait already, the stream ends after what there is; an EventSource connects again by itself.
    """
    parts = current_parts()
    job = get_job(parts.database, job_id, whose=whose())
    stream = _event_stream(parts, asking_client(), job, _read_last_event_id(job))
    # nginx keeps an answer back until it has 4 kB of it, unless it is told not to.
    headers = {"X-Accel-Buffering": "no"}
    return Response(stream, mimetype="text/event-stream", headers=headers)


def _read_last_event_id(job: Job) -> int:
    text = request.headers.get("Last-Event-ID", "")
    if not text:
        return -1
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) < job.total):
        raise InvalidInput.at("Last-Event-ID", "the id of an event of this stream", repr(text[:40]))
    return int(text)


def _event_stream(parts: WebParts, client: Client, job: Job, after: int) -> Iterator[str]:
    """Items as a growing prefix: one that finishes early waits for those before it, so that an id says all.

    It ends with the key of its client: that is not asked for again.
    """
    quiet_since = time.monotonic()
    task = parts.task_of(job)
    # The head of an answer leaves with its first bytes: a client learns at once that it is connected.
    yield f"retry: {RECONNECT_MS}\n\n"
    with parts.streams.place() as may_wait:
        while parts.keys.still_hold(client):
            try:
                job = get_job(parts.database, job.id, whose=None)
                finished = _finished_prefix(parts.database, job, after)
            except Unavailable:
                finished = []  # A database that is back goes on where it was.
            for item in finished:
                after = item.index
                data = ItemBody.of(item, job.version, task).model_dump_json()
                yield f"id: {after}\nevent: item\ndata: {data}\n\n"
            if after == job.total - 1 and not job.is_growing:
                yield f"event: job\ndata: {JobBody.of(job).model_dump_json()}\n\n"
                return
            if finished:
                quiet_since = time.monotonic()
                continue
            if time.monotonic() - quiet_since > KEEP_ALIVE_S:
                quiet_since = time.monotonic()
                yield ": still working\n\n"
            if not may_wait(0):
                return
            yield NOTHING_YET


def _finished_prefix(database: Database, job: Job, after: int) -> list[Item]:
    """The items behind `after` that are done, up to the first one that is not; at most a page of them."""
    items = list_items(database, job.id, after=after, limit=PAGE)
    return list(takewhile(lambda item: item.state not in ("queued", "running"), items))


def _json_pieces(parts: WebParts, job: Job) -> Iterator[str]:
    task = parts.task_of(job)
    yield '{"results": [\n'
    for position, item in enumerate(every_item(parts.database, job.id)):
        yield (",\n" if position else "") + ItemBody.of(item, job.version, task).model_dump_json()
    yield '\n], "next": null}\n'


def _csv_lines(parts: WebParts, job: Job) -> Iterator[str]:
    task = parts.task_of(job)
    columns = task.columns()
    place = "url" if job.source in IN_BUCKETS else "name"
    answers = ["state", "label", "score", *columns]
    yield csv_line(["index", *(task.inputs.columns() or [place]), *answers, "expected", "outside_training_range",
                     "error_code", "error_message"])  # fmt: skip
    after = -1
    while items := list_items(parts.database, job.id, after=after, limit=PAGE):
        inputs = _csv_inputs(parts.database, job, task, items)
        yield "".join(
            csv_line(_csv_cells(item, cells, _answer_cells(item, task, len(columns))))
            for item, cells in zip(items, inputs, strict=True)
        )
        after = items[-1].index


def _csv_inputs(database: Database, job: Job, task: Task, items: list[Item]) -> list[list[object]]:
    if not task.inputs.columns():
        return [[item.url or item.name or ""] for item in items]
    payloads = get_payloads(database, job.id, after=items[0].index - 1, limit=len(items))
    return [task.inputs.cells(payload) for payload in payloads]


def _answer_cells(item: Item, task: Task, width: int) -> list[object]:
    """What belongs below the task's columns: empty cells without a result."""
    cells = [] if item.prediction is None else task.cells(item.prediction)
    return [*cells, *[""] * width][:width]


def _csv_cells(item: Item, inputs: list[object], answers: list[object]) -> list[object]:
    answer = [item.state, written(item.label or ""), "" if item.score is None else item.score, *answers]
    outside = " ".join(item.outside_training_range)
    error = [item.error_code or "", item.error_message or ""] if item.state == "failed" else ["", ""]
    return [item.index, *inputs, *answer, written(item.expected or ""), outside, *error]
