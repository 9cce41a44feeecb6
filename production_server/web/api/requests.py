"""Reading requests: JSON, forms and headers become checked values, or an error that names the field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import TypeVar

from flask import Request, Response, request
from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge

from production_server.errors import MAX_FAULTS, InvalidInput
from production_server.json_pieces import LongList, read_with_long_list
from production_server.shown import describe
from production_server.validation import faults_of
from production_server.web.edge.json_bodies import check_charset, json_of, refusing_what_is_no_json

MAX_WAIT_S = 60
MAX_MEMBERS = 100
"""Far more members than any body has: a body of millions would get a fault, and memory, for each of them."""
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])")

M = TypeVar("M", bound=BaseModel)


def read_json(model: type[M]) -> M:
    """The request's JSON body, checked; where nothing in it has to be said, there may be none at all.

    Raises:
        InvalidInput: it is not JSON (code `malformed_json`), not said to be (`unsupported_media_type`: what a page
            can send without asking first never is), or not what `model` describes.
        RequestEntityTooLarge: it is over the server's limit.
    """
    if may_be_left_out(model) and not request.mimetype and not read_body():
        return model()
    if request.mimetype != "application/json":
        got = request.mimetype or "no Content-Type"
        raise InvalidInput(f"expected application/json, got {got}", code="unsupported_media_type")
    return _checked(model, json_of(read_body(), "the body"), "body")


def may_be_left_out(model: type[BaseModel]) -> bool:
    """Whether a body has nothing that has to be said."""
    return not any(field.is_required() for field in model.model_fields.values())


def read_json_with_list(model: type[M], name: str) -> tuple[M, LongList | None]:
    """The request's JSON body, checked; its member `name` beside it, to be read piece by piece, if that is a long list.

    Raises:
        InvalidInput, RequestEntityTooLarge: as `read_json`.
    """
    data = read_body()
    with refusing_what_is_no_json("the body"):
        value, long_list = read_with_long_list(data, name)
    return _checked(model, value, "body"), long_list


def read_body() -> bytes:
    """The request's whole body, of JSON.

    Raises:
        InvalidInput: its Content-Type says that it is another text.
        RequestEntityTooLarge: it is over the request's limit.
    """
    data, limit = request.get_data(cache=False), request.max_content_length
    # Without a Content-Length, Werkzeug cuts the body off at the limit and says nothing.
    if request.content_length is None and limit is not None and len(data) >= limit:
        raise RequestEntityTooLarge
    check_charset(request.content_type or "", data)
    return data


def read_form(model: type[M], form: Mapping[str, object]) -> M:
    """The fields of a form that are not files, checked.

    Raises:
        InvalidInput: they are not what `model` describes.
    """
    return _checked(model, dict(form), "form")


def read_query(model: type[M]) -> M:
    """The query string, checked; a parameter that comes twice is refused.

    Raises:
        InvalidInput: it is not what `model` describes.
    """
    arguments: MultiDict[str, str] = request.args
    for name, values in arguments.lists():
        if len(values) > 1:
            raise InvalidInput.at(name, "one value", str(len(values)))
    return _checked(model, arguments.to_dict(), "query")


def read_idempotency_key() -> str | None:
    """The Idempotency-Key header, if there is one.

    Raises:
        InvalidInput: it is empty, too long, or holds other characters than printable ASCII.
    """
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidInput.at(
            "Idempotency-Key", "1 to 255 printable ASCII characters without spaces", describe(key)
        )
    return key


def read_wait_s(from_request: Request) -> int:
    """How long a client would like to wait (`Prefer: wait=N`, RFC 7240), at most `MAX_WAIT_S`; 0 if it would not."""
    match = _WAIT.search(from_request.headers.get("Prefer", ""))
    return min(int(match.group(1)), MAX_WAIT_S) if match else 0


def to_response(body: BaseModel, status: int = 200) -> Response:
    """A JSON response."""
    return Response(body.model_dump_json(by_alias=True), status, mimetype="application/json")


def _checked(model: type[M], value: object, where: str) -> M:
    if isinstance(value, dict) and len(value) > MAX_MEMBERS:
        raise InvalidInput.at(where, f"at most {MAX_MEMBERS} members", str(len(value)))
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        faults = tuple(islice(faults_of(exc, whole=where), MAX_FAULTS))
        raise InvalidInput("; ".join(map(str, faults[:3])), faults) from exc
