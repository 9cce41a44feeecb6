"""/predictions/<job>: how far a job is, its results page by page, and how they compare with what was known."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import lru_cache
from uuid import UUID

from flask import Response, make_response, redirect, render_template, request, url_for

from production_server.access.cancelling import cancel_job
from production_server.jobs.away import waiting_for
from production_server.jobs.database import Database
from production_server.jobs.read import every_item, get_job, get_payloads, list_items
from production_server.jobs.records import Item, Job
from production_server.jobs.scans import SOURCE as SCAN
from production_server.jobs.scans import get_scan
from production_server.labels.records import ItemId
from production_server.models.store import ModelVersion
from production_server.models.tasks.task import Evaluated, Task
from production_server.web.edge.flask_door import acting, whose
from production_server.web.edge.parts import WebParts, current_parts
from production_server.web.edge.protection import KEPT_FOR_GOOD, TO_BE_ASKED_AGAIN
from production_server.web.pages.charts import Chart, chart_of
from production_server.web.pages.label import MOST_KNOWN, labelling_of
from production_server.web.pages.pictures import PICTURE_SIDE, THUMBNAIL_SIDE, Framed, copy_of, frames_of
from production_server.web.pages.progress import progress_of
from production_server.web.pages.shown_results import Result, to_result

PAGE_ITEMS = 100
SEARCHED_FOR_LABELS = 1000
"""A job counts as labelled if one of so many first items came with its true label."""


def show(job_id: UUID) -> Response:
    """A job as it stands, with one page of its items: those after `?after=`."""
    parts = current_parts()
    job = get_job(parts.database, job_id, whose=whose())
    version = parts.version_of(job)
    after = min(max(request.args.get("after", -1, type=int), -1), job.total - 1)
    items = list_items(parts.database, job_id, after=after, limit=PAGE_ITEMS)
    evaluation, chart = _compare(parts, job, version) if after == -1 else (None, None)
    page = render_template(
        "pages/job.html",
        job=job,
        scan=get_scan(parts.database, job_id, whose=None) if job.source == SCAN else None,
        waiting=None if job.is_over else waiting_for(parts.database, [job_id]).get(job_id),
        manifest=None if version is None else version.manifest,
        inputs=parts.task_of(job).inputs,
        progress=progress_of(job, time.time()),
        results=_results(parts, job, version, items, after),
        frames=_frames(parts, job, items),
        after=after,
        page_items=PAGE_ITEMS,
        evaluation=evaluation,
        chart=chart,
        labelling=labelling_of(parts, [ItemId(job_id, item.index) for item in items]),
        labels=parts.task_of(job).choices[:MOST_KNOWN],
        back=request.full_path,
    )
    response = make_response(page)
    if job.is_over:
        response.headers.update(TO_BE_ASKED_AGAIN)
    return response


def cancel(job_id: UUID) -> Response:
    """Cancel what has not run, and show the job."""
    cancel_job(current_parts().database, job_id, whose=whose(), by=acting())
    return make_response(redirect(url_for("pages.job", job_id=job_id), 303))


def show_thumbnail(job_id: UUID, index: int) -> Response:
    """A small copy of an item's image, made anew by the server; inputs never change, so it may be kept for good."""
    return _copy(job_id, index, THUMBNAIL_SIDE)


def show_picture(job_id: UUID, index: int) -> Response:
    """A copy of an item's image for a whole screen, made as thumbnails are."""
    return _copy(job_id, index, PICTURE_SIDE)


def _copy(job_id: UUID, index: int, max_side: int) -> Response:
    parts = current_parts()
    get_job(parts.database, job_id, whose=whose())
    png = copy_of(parts, job_id, index, max_side=max_side)
    return Response(png, mimetype="image/png", headers=dict(KEPT_FOR_GOOD))


def _results(
    parts: WebParts, job: Job, version: ModelVersion | None, items: list[Item], after: int
) -> list[Result]:
    payloads: list[bytes] = []
    if version is not None and version.task.inputs.columns():
        payloads = get_payloads(parts.database, job.id, after=after, limit=len(items))
    known: list[bytes | None] = [*payloads, *[None] * (len(items) - len(payloads))]
    return [to_result(item, job, version, payload) for item, payload in zip(items, known, strict=True)]


def _frames(parts: WebParts, job: Job, items: list[Item]) -> dict[int, list[Framed]]:
    """What is framed in the pictures of items, by their indices."""
    task = parts.task_of(job)
    answered = [(item, item.prediction) for item in items]
    boxes = {(job.id, item.index): task.boxes(each) for item, each in answered if each is not None}
    return {index: framed for (_, index), framed in frames_of(parts, boxes).items()}


def _compare(
    parts: WebParts, job: Job, version: ModelVersion | None
) -> tuple[Evaluated | None, Chart | None]:
    if version is None or not job.is_over:
        return None, None
    first = list_items(parts.database, job.id, limit=SEARCHED_FOR_LABELS)
    if all(item.expected is None for item in first):
        return None, None
    return _compare_once(parts.database, job.id, version.task)


@lru_cache(maxsize=64)
def _compare_once(database: Database, job_id: UUID, task: Task) -> tuple[Evaluated | None, Chart | None]:
    """The comparison of a job that is over, which reads all its items; kept without the points of what is drawn."""
    evaluation = task.evaluate(every_item(database, job_id))
    if evaluation is None:
        return None, None
    return replace(evaluation, roc=None, scatter=None), chart_of(evaluation)
