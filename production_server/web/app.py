"""The app factories, above all rooms: a Flask app around given parts, and what stands in front of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from production_server.web.api import (
    audit,
    events,
    faces,
    health,
    imports,
    job_results,
    jobs,
    keys,
    label_files,
    label_sets,
    labels,
    models,
    openapi,
    personas,
    rollouts,
    scans,
    sent_imports,
    stats,
    streams,
    trainings,
    versions,
)
from production_server.web.edge.bodies import Bodies, Judge, LargeForms, PlainBodies
from production_server.web.edge.bridge import Bridge
from production_server.web.edge.door import Asking, asking_of
from production_server.web.edge.flask_door import asking_allowance, note_refusal, pass_entrance
from production_server.web.edge.forms import StrictFormRequest
from production_server.web.edge.headers import headers_of
from production_server.web.edge.parts import EXTENSION, WebParts, current_parts
from production_server.web.edge.problems import register_problem_handlers, status_of
from production_server.web.edge.protection import PAGE_HEADERS, usual_headers
from production_server.web.edge.rate_fields import fields_of
from production_server.web.edge.request_scope import ROUTE, RequestScope
from production_server.web.edge.sizes import most_body_bytes
from production_server.web.interactive import metadata
from production_server.web.interactive.front import Bounds, Front
from production_server.web.interactive.open_inference import OpenInference
from production_server.web.interactive.tensorflow_serving import TensorFlowServing
from production_server.web.pages import blueprint as pages
from production_server.web.pages import render_problem

MAX_FIELD_BYTES = 8 * 2**20
"""The largest form field that is not a file (a pasted table); Werkzeug keeps these in memory."""
APART = ("/livez", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready")
"""What watches over the service asks here, above all when it is busy or stuck."""


def create_app(parts: WebParts) -> Flask:
    """A Flask app that serves the API and the pages; opens no connection."""
    app = Flask(__name__, static_folder=None)
    app.request_class = StrictFormRequest
    app.config.update(
        MAX_CONTENT_LENGTH=parts.settings.max_body_bytes,
        MAX_FORM_PARTS=parts.settings.max_job_items + 100,
        MAX_FORM_MEMORY_SIZE=MAX_FIELD_BYTES,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it
    app.extensions[EXTENSION] = parts
    for blueprint in (
        jobs.blueprint,
        job_results.blueprint,
        scans.blueprint,
        stats.blueprint,
        streams.blueprint,
        trainings.blueprint,
        events.blueprint,
        models.blueprint,
        imports.blueprint,
        versions.blueprint,
        rollouts.blueprint,
        labels.blueprint,
        label_files.blueprint,
        label_sets.blueprint,
        personas.blueprint,
        faces.blueprint,
        keys.blueprint,
        audit.blueprint,
        health.blueprint,
        openapi.blueprint,
        metadata.blueprint,
        pages,
    ):
        app.register_blueprint(blueprint)
    register_problem_handlers(app, render_page=render_problem, note_refusal=note_refusal)
    app.after_request(_add_security_headers)
    app.after_request(_add_rate_fields)
    app.before_request(_note_start)
    app.before_request(pass_entrance)
    app.after_request(_count_request)
    plain = PlainBodies(app.wsgi_app, limit=parts.settings.max_body_bytes)
    app.wsgi_app = RequestScope(plain, parts.tracing)  # type: ignore[method-assign]  # Flask's own advice
    return app


def create_front(parts: WebParts) -> Front:
    """The whole web process as an ASGI application: inference on the event loop, the Flask app in threads."""
    settings, app = parts.settings, create_app(parts)
    large = LargeForms(
        limit=sent_imports.most_bytes(settings),
        takes=sent_imports.is_sent_with,
        begin=partial(sent_imports.begin_form, parts.imports),
    )
    judge = Judge(
        most_bytes=partial(_most_bytes, app, settings.max_body_bytes),
        is_wanted=partial(_is_let_in, app, parts.entrance.would_let_in),
        is_let_in=partial(_is_let_in, app, parts.entrance.will_let_in),
    )
    bodies = Bodies(limit=settings.max_body_bytes, judge=judge, large=large)
    return Front(
        [OpenInference(parts.registry, status_of), TensorFlowServing(parts.registry, status_of)],
        Bridge(app, threads=settings.web_threads, bodies=bodies, apart=APART),
        entrance=parts.entrance,
        proxies=parts.proxies,
        caller=parts.caller,
        metrics=parts.metrics,
        tracing=parts.tracing,
        bounds=Bounds(body_bytes=settings.max_call_bytes, timeout_s=settings.call_timeout_s),
    )


def _is_let_in(app: Flask, lets_in: Callable[[Asking], bool], scope: Mapping[str, Any]) -> bool:
    """Whether Flask will do anything with a request: it says itself why not."""
    operation = _operation_of(app, scope)
    return operation is not None and lets_in(asking_of(operation, scope, headers_of(scope)))


def _most_bytes(app: Flask, largest: int, scope: Mapping[str, Any]) -> int:
    """The longest body that Flask takes of a request."""
    return most_body_bytes(_operation_of(app, scope), largest=largest)


def _operation_of(app: Flask, scope: Mapping[str, Any]) -> str | None:
    """What a request asks for; None: nothing that there is."""
    try:
        operation, _ = app.url_map.bind("").match(scope["path"], scope["method"])
    except HTTPException:
        return None
    return str(operation)


def _note_start() -> None:
    g.began_at = time.perf_counter()


def _count_request(response: Response) -> Response:
    # A path that is none has no endpoint; its text is the client's, and there is no end of those.
    endpoint = request.endpoint or "none"
    request.environ[ROUTE] = request.url_rule.rule if request.url_rule else ""
    seconds = time.perf_counter() - g.began_at
    current_parts().metrics.request_answered(request.method, endpoint, response.status_code, seconds=seconds)
    return response


def _add_rate_fields(response: Response) -> Response:
    if "allowance" in g:
        for name, value in fields_of(asking_allowance()).items():
            response.headers.setdefault(name, value)
    return response


def _add_security_headers(response: Response) -> Response:
    for name, value in {**PAGE_HEADERS, **usual_headers(request.scheme, request.headers)}.items():
        response.headers.setdefault(name, value)
    return response
