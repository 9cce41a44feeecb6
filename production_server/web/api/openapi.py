"""/openapi.json: the OpenAPI 3.1 document, made from the routes, the notes beside them and the schemas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Flask, Response, current_app, json
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from production_server.web.api.operations import Answer, Operation, operation_of
from production_server.web.api.requests import may_be_left_out
from production_server.web.api.schemas import MAX_INDEX, ProblemBody
from production_server.web.edge.headers import STICKY_HEADER
from production_server.web.edge.needs import scopes_for

blueprint = Blueprint("openapi", __name__)

REFERENCE = "#/components/schemas/{model}"
_HEADERS: dict[str, dict[str, Any]] = {
    "Idempotency-Key": {
        "description": "makes a repeated request safe: the same key and body get the same job",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    },
    "Prefer": {
        "description": "wait=N: answer when the job is over, or after N seconds (at most 60); "
        "a job of up to 100 items that is over has its results in the answer",
        "schema": {"type": "string", "examples": ["wait=10"]},
    },
    STICKY_HEADER: {
        "description": "a text of your own: what comes with the same one gets the same version while a canary is tried",
        "schema": {"type": "string"},
    },
    "Last-Event-ID": {
        "description": "go on after this event",
        "schema": {"type": "string", "pattern": "^[0-9]{1,9}$"},
    },
}


_PARAMETER = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?(\w+)>")
"""In a path: what it is, where that is said, and its name."""
_PATH_SCHEMAS: dict[str, dict[str, Any]] = {
    "": {"type": "string", "pattern": "^[^/]+$"},
    "uuid": {"type": "string", "format": "uuid"},
    "int": {"type": "integer", "minimum": 0, "maximum": MAX_INDEX},
}
_PROOFS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "a key, unless the service has none"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "a key, too"},
}


@blueprint.get("/openapi.json")
def show() -> Response:
    """The document that describes this API."""
    return Response(json.dumps(build_document(current_app)), mimetype="application/json")


def build_document(app: Flask) -> dict[str, Any]:
    """The OpenAPI document of all noted operations of `app`."""
    found = sorted(_operations(app), key=lambda entry: (entry[0].rule, entry[1]))
    paths: dict[str, dict[str, Any]] = {}
    for rule, method, noted, doc in found:
        paths.setdefault(_path(rule), {})[method.lower()] = _describe(rule, method, noted, doc)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Celeriac",
            "version": "1",
            "description": "Jobs of predictions and their models.",
        },
        "paths": paths,
        "components": {"schemas": _schemas(noted for _, _, noted, _ in found), "securitySchemes": _PROOFS},
    }


def _operations(app: Flask) -> Iterator[tuple[Rule, str, Operation, str]]:
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        noted = operation_of(view)
        if noted is not None:
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield rule, method, noted, view.__doc__ or ""


def _path(rule: Rule) -> str:
    return _PARAMETER.sub(r"{\2}", rule.rule)


def _describe(rule: Rule, method: str, noted: Operation, doc: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": noted.summary,
        "description": doc.strip(),
        "operationId": f"{rule.endpoint}.{method.lower()}",
        "parameters": [*_path_parameters(rule), *_query_parameters(noted), *_header_parameters(noted)],
        "responses": _responses(noted),
    }
    needed = scopes_for(rule.endpoint)
    if needed:
        described["security"] = [{"bearer": []}, {"header": []}]
        described["description"] += f" Needs a key with the scope `{'` or `'.join(needed)}`."
        described["responses"] |= _problems(
            (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
        )
    if noted.body is not None or noted.form is not None:
        is_needed = noted.body is None or not may_be_left_out(noted.body)
        described["requestBody"] = {"required": is_needed, "content": _request_content(noted)}
    return described


def _path_parameters(rule: Rule) -> Iterator[dict[str, Any]]:
    for kind, name in _PARAMETER.findall(rule.rule):
        yield {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS[kind]}


def _query_parameters(noted: Operation) -> Iterator[dict[str, Any]]:
    if noted.query is not None:
        for name, schema in noted.query.model_json_schema()["properties"].items():
            # A query string has no null: an optional parameter is one that may be left out.
            options = [option for option in schema.pop("anyOf", []) if option.get("type") != "null"]
            schema.pop("default", None) if options else None
            yield {
                "name": name,
                "in": "query",
                "required": False,
                "schema": {**schema, **(options or [{}])[0]},
            }


def _header_parameters(noted: Operation) -> Iterator[dict[str, Any]]:
    for name in noted.headers:
        yield {"name": name, "in": "header", "required": False, **_HEADERS[name]}


def _request_content(noted: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if noted.body is not None:
        content["application/json"] = {"schema": _reference(noted.body)}
    if noted.form is not None:
        schema = {
            "type": "object",
            "properties": noted.form.fields.model_json_schema()["properties"] | noted.form.files,
            "additionalProperties": False,
            **noted.form.needs,
        }
        content["multipart/form-data"] = {"schema": schema}
    return content


def _responses(noted: Operation) -> dict[str, Any]:
    answers = {str(status): _response(status, answer) for status, answer in noted.responses.items()}
    # 405 and 500 are not listed: no request that follows this document gets them.
    return answers | _problems(noted.errors)


def _problems(statuses: Iterable[int]) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": _reference(ProblemBody)}}
    return {
        str(int(status)): {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }


def _response(status: int, answer: Answer) -> dict[str, Any]:
    schema: dict[str, Any] = _reference(answer) if not isinstance(answer, str) else {"type": "string"}
    media_type = answer if isinstance(answer, str) else "application/json"
    return {"description": HTTPStatus(status).phrase, "content": {media_type: {"schema": schema}}}


def _reference(model: type[BaseModel] | None) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=model.__name__)} if model else {}


def _schemas(operations: Iterator[Operation]) -> dict[str, Any]:
    received: set[type[BaseModel]] = set()
    answered: set[type[BaseModel]] = {ProblemBody}
    for noted in operations:
        received |= {noted.body} if noted.body else set()
        answered |= {answer for answer in noted.responses.values() if not isinstance(answer, str)}
    models = [(model, "validation") for model in received] + [(model, "serialization") for model in answered]
    models.sort(key=lambda entry: entry[0].__name__)
    _, document = models_json_schema(models, ref_template=REFERENCE)  # type: ignore[arg-type]  # literals, sorted
    schemas: dict[str, Any] = document["$defs"]
    return schemas
