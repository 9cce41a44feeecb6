"""/imports: a form that takes the file of a model; a page for each import: how far it is, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from flask import Response, make_response, redirect, render_template, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge

from production_server.errors import (
    CeleriacError,
    InvalidInput,
    NotFound,
    StoreNotWritable,
    TooLarge,
    Unavailable,
)
from production_server.jobs.imports import get_import, list_imports
from production_server.models.tasks import TASKS
from production_server.web.api.import_schemas import ImportBody
from production_server.web.api.imports import accept_sent, waits_for
from production_server.web.api.sent_imports import sent_form
from production_server.web.edge.flask_door import whose
from production_server.web.edge.parts import WebParts, current_parts
from production_server.web.edge.problems import retry_headers, status_of
from production_server.web.edge.protection import TO_BE_ASKED_AGAIN
from production_server.web.pages.wording import size

SHOWN = 20
NAMES: Mapping[str, str] = {
    "name": "Name",
    "file": "File",
    "url": "Address of the file",
    "weights": "Weights",
    "weights_url": "Address of the weights",
    "sample": "Sample",
    "sample_url": "Address of the sample",
    "title": "Title",
    "task": "Task",
    "labels": "Labels",
    "features": "Columns",
    "target": "Target column",
    "quantity": "Quantity",
    "unit": "Unit",
    "describe": "Description",
}
"""What fields are called here."""
DESPITE: Mapping[str, str] = {
    "metrics": "answer worse",
    "latency": "take much longer",
    "memory": "need much more memory",
}
"""What each check of the gate that may fail says."""


def show() -> Response:
    """The form, and the latest imports."""
    return _page()


def submit() -> Response:
    """Accept the file in the form, and go to its import's page; or show the form again with what is wrong."""
    typed: MultiDict[str, str] = MultiDict()
    try:
        with sent_form() as sent:
            typed = sent.fields
            accepted = accept_sent(current_parts(), sent)
    except RequestEntityTooLarge:
        return _page(TooLarge.at("file", f"at most {_most()} at once", "more"))
    except (InvalidInput, StoreNotWritable, Unavailable) as exc:
        return _page(exc, typed)
    return make_response(redirect(url_for("pages.imported", import_id=accepted.id), 303))


def show_one(import_id: UUID) -> Response:
    """One import as it stands."""
    parts = current_parts()
    found = get_import(parts.database, import_id, whose=whose())
    body = ImportBody.of(found, waits_for=waits_for(parts, found))
    page = render_template(
        "pages/imported.html", names=NAMES, found=found, body=body, serves=_serves(parts, body)
    )
    response = make_response(page)
    if found.is_over:
        response.headers.update(TO_BE_ASKED_AGAIN)
    return response


def _serves(parts: WebParts, body: ImportBody) -> bool:
    """Whether what came of an import serves as stable, or will as soon as every worker has loaded it."""
    try:
        return body.version is not None and parts.registry.next_stable(body.model) == body.version
    except NotFound:
        return False


def cancel(import_id: UUID) -> Response:
    """Have the file become no version, and show the import."""
    current_parts().imports.cancel(import_id, whose=whose())
    return make_response(redirect(url_for("pages.imported", import_id=import_id), 303))


def _most() -> str:
    return size(current_parts().settings.import_file_bytes)


def _page(error: CeleriacError | None = None, typed: MultiDict[str, str] | None = None) -> Response:
    parts = current_parts()
    page = render_template(
        "pages/imports.html",
        names=NAMES,
        tasks=sorted(TASKS),
        most=_most(),
        imports=list_imports(parts.database, whose=whose(), limit=SHOWN),
        typed=MultiDict() if typed is None else typed,
        despite=DESPITE,
        error=error,
        errors={fault.field: fault for fault in error.faults} if isinstance(error, InvalidInput) else {},
    )
    response = make_response(page)
    if error is not None:
        response.status_code = status_of(error)
        response.headers.update(retry_headers(error, response.status_code))
    return response
