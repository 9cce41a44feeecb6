"""/predictions: choose a model, fill in the form that its manifest describes, send it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from uuid import UUID

from flask import Response, current_app, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import RequestEntityTooLarge

from production_server.errors import (
    CeleriacError,
    InvalidInput,
    NotFound,
    TooLarge,
    TooManyRequests,
    Unavailable,
)
from production_server.intake.checking import Upload, items_from_files, items_from_json, items_from_table
from production_server.intake.intake import Asked
from production_server.jobs.priority import SMALL_JOB_ITEMS
from production_server.jobs.read import get_job, get_payload
from production_server.jobs.records import NewItem
from production_server.models.store import ModelVersion
from production_server.web.edge.accepting import accept
from production_server.web.edge.flask_door import asking_client, waiting_place, whose
from production_server.web.edge.forms import repeated
from production_server.web.edge.json_bodies import json_of
from production_server.web.edge.parts import WebParts, current_parts
from production_server.web.edge.problems import retry_headers, status_of
from production_server.web.edge.waits import wait_until_over
from production_server.web.pages.examples import example_items
from production_server.web.pages.fields import PREFIX, read_row, row_fields, typed_values
from production_server.web.pages.shown_faults import shown_faults
from production_server.web.pages.wording import size

SETTLE_S = 0.6
"""How long a small job is waited for before its page is shown, so that most are complete at first sight."""


def show() -> Response:
    """The form; `?model=` and `?version=` choose, `?example=1` and `?from=<job>` fill it in."""
    parts = current_parts()
    names = parts.registry.model_names()
    if not names:
        return make_response(render_template("pages/no_models.html"))
    asked = request.args.get("model")
    chosen = (
        parts.registry.resolve(asked, request.args.get("version"))
        if asked
        else parts.registry.shown(names[0])
    )
    return _render(chosen, typed=_prefilled(parts, chosen))


def submit() -> Response:
    """Accept what the form holds and go to the job's page; or show the form again with what is wrong."""
    parts = current_parts()
    chosen = parts.registry.resolve(request.args.get("model", ""), request.args.get("version"))
    try:
        with parts.checks.place() if request.files else nullcontext():
            items = _read_items(chosen, parts)
    except RequestEntityTooLarge:
        limits = f"at most {size(parts.settings.max_body_bytes)} at once, {_pasted_limit()} of it pasted"
        return _render(chosen, error=TooLarge.at("form", limits, "more"))
    except (InvalidInput, Unavailable) as exc:
        return _render(chosen, typed=request.form, error=exc)
    try:
        accepted = accept(chosen, items, Asked(source="page", client=asking_client().name))
    except (TooManyRequests, Unavailable) as exc:
        return _render(chosen, typed=request.form, error=exc)
    if accepted.total <= SMALL_JOB_ITEMS:
        wait_until_over(accepted, SETTLE_S, place=waiting_place(), database=parts.database)
    return make_response(redirect(url_for("pages.job", job_id=accepted.id), 303))


def _render(
    chosen: ModelVersion, *, typed: Mapping[str, str] | None = None, error: CeleriacError | None = None
) -> Response:
    """The page; after an error with its status, and the error beside the fields."""
    parts = current_parts()
    kind = (typed or {}).get("kind", "row")
    faults = error.faults if isinstance(error, InvalidInput) else ()
    fields = row_fields(chosen.manifest, typed, faults if kind == "row" else ())
    page = render_template(
        "pages/predictions.html",
        chosen=chosen.manifest,
        task=chosen.task,
        version=request.args.get("version"),
        models=[version.manifest for version in parts.registry.stable_versions()],
        fields=fields,
        table_text=(typed or {}).get("table", ""),
        tensors_text=(typed or {}).get("tensors") or example_items(chosen.task),
        error=error,
        faults=[] if error is None else shown_faults(error, fields),
        error_kind=kind,
        max_body_bytes=parts.settings.max_body_bytes,
        max_job_items=parts.settings.max_job_items,
        pasted_limit=_pasted_limit(),
    )
    if error is None:
        return make_response(page)
    status = status_of(error)
    return make_response(page, status, retry_headers(error, status))


def _pasted_limit() -> str:
    """How large a form field may be that is not a file."""
    return size(current_app.config["MAX_FORM_MEMORY_SIZE"])


def _prefilled(parts: WebParts, chosen: ModelVersion) -> dict[str, str]:
    """What the fields hold at first: the manifest's example, or the row of an earlier job of the same model."""
    manifest = chosen.manifest
    if request.args.get("example"):
        return typed_values(manifest, [feature.example for feature in manifest.features])
    earlier = request.args.get("from", type=UUID)
    if earlier is None or not manifest.features:
        return {}
    try:
        if get_job(parts.database, earlier, whose=whose()).model != manifest.name:
            return {}
        values = json.loads(get_payload(parts.database, earlier, 0))
    except (NotFound, ValueError):  # no such job, or an image: the model took images when that job came
        return {}
    return typed_values(manifest, values) if len(values) == len(manifest.features) else {}


def _read_items(chosen: ModelVersion, parts: WebParts) -> list[NewItem]:
    if faults := repeated(request.form, request.files):
        named = [replace(fault, field=fault.field.removeprefix(PREFIX)) for fault in faults]
        raise InvalidInput(f"{chosen.manifest.name}: the form says something twice", named)
    kind = request.form.get("kind")
    if kind == "table":
        return items_from_table(chosen, _table_bytes(), parts.settings)[0]
    if kind == "tensors":
        return items_from_json(chosen, [_pasted_items(request.form.get("tensors", ""))], parts.settings)
    if kind in ("images", "arrays"):
        files = [file for file in request.files.getlist("file") if file.filename]
        uploads = [Upload(file.filename or "", file.read()) for file in files]
        truths = request.files.get("truths")
        told = truths.read() if truths is not None and truths.filename else None
        return items_from_files(chosen, uploads, parts.settings, truths=told)
    if chosen.task.inputs.takes_files:
        raise InvalidInput.at("file", "image files", "none")
    if chosen.task.inputs.takes_tensors:
        raise InvalidInput.at("tensors", "JSON, or a .npz file", "none")
    row, faults = read_row(chosen.manifest, request.form)
    if faults:
        raise InvalidInput(f"{chosen.manifest.name}: values cannot be used", tuple(faults))
    return items_from_json(chosen, [[row]], parts.settings)


def _pasted_items(text: str) -> list[object]:
    """Items that were pasted as JSON: a list of them, or one."""
    value = json_of(text.encode(), "tensors")
    return value if isinstance(value, list) else [value]


def _table_bytes() -> bytes:
    """The uploaded table, or else the pasted one."""
    file = request.files.get("csv")
    if file is not None and file.filename:
        return bytes(file.read())
    return request.form.get("table", "").encode()
