"""Problem responses (RFC 9457): the only place where errors become HTTP status codes."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus

from flask import Flask, Response, json, request
from werkzeug.exceptions import HTTPException

from production_server.descriptors import EXHAUSTED
from production_server.errors import (
    MISTAKE,
    BrokenVersion,
    CeleriacError,
    Conflict,
    DeadlineExceeded,
    Fault,
    Forbidden,
    Foreign,
    GateClosed,
    InferenceFailed,
    InvalidInput,
    NotFound,
    ObjectUnusable,
    StorageUnavailable,
    StoreNotWritable,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    VersionRetired,
)
from production_server.web.edge.parts import current_parts
from production_server.web.edge.rate_fields import fields_of_refusal

log = logging.getLogger(__name__)

# The first class that fits decides, so subclasses stand before their parents.
STATUS = (
    (GateClosed, HTTPStatus.CONFLICT),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (InvalidInput, HTTPStatus.BAD_REQUEST),
    (Unauthorized, HTTPStatus.UNAUTHORIZED),
    (Foreign, HTTPStatus.FORBIDDEN),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (TooManyRequests, HTTPStatus.TOO_MANY_REQUESTS),
    (NotFound, HTTPStatus.NOT_FOUND),
    (VersionRetired, HTTPStatus.GONE),
    (Conflict, HTTPStatus.CONFLICT),
    # An item's input that lies in a bucket, asked for by a page.
    (ObjectUnusable, HTTPStatus.NOT_FOUND),
    (StorageUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (DeadlineExceeded, HTTPStatus.GATEWAY_TIMEOUT),
    (BrokenVersion, HTTPStatus.SERVICE_UNAVAILABLE),
    (StoreNotWritable, HTTPStatus.INSUFFICIENT_STORAGE),
    # What fails alone, not only in a batch, fails because of its numbers.
    (InferenceFailed, HTTPStatus.UNPROCESSABLE_ENTITY),
)
STATUS_BY_CODE = {
    "unsupported_media_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "request_timeout": HTTPStatus.REQUEST_TIMEOUT,
}
RETRY_AFTER_S = 5
REFUSED = frozenset((HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN))
"""What the audit tells of."""
CHALLENGE = "Bearer"
"""How whoever was not let in (401) may prove who he is."""
API_PREFIXES = ("/api/", "/events/", "/livez", "/readyz", "/metrics", "/openapi.json")
PROTOCOL_PREFIXES = ("/v1/", "/v2")
"""Under these an error is an object with `error`, as both inference protocols have it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, for people (title, detail, faults) and for programs (status, code)."""

    status: int
    code: str
    title: str
    detail: str
    faults: tuple[Fault, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The members of RFC 9457, section 3.1, with `code` and `faults` as extensions."""
        return {"type": "about:blank", **asdict(self), "faults": [asdict(fault) for fault in self.faults]}


def register_problem_handlers(
    app: Flask, render_page: Callable[[Problem], Response], *, note_refusal: Callable[[str], None]
) -> None:
    """Answer every error with a problem: JSON under the API's paths, what `render_page` makes elsewhere.

    `note_refusal` is told the code of each that refuses.
    """

    def respond(problem: Problem, original: Exception) -> Response:
        if problem.status in REFUSED:
            note_refusal(problem.code)
        if request.path.startswith(PROTOCOL_PREFIXES):
            response = _to_protocol_error(problem)
        elif request.path.startswith(API_PREFIXES):
            response = _to_response(problem)
        else:
            response = _page_or_json(problem, render_page)
        response.headers.update(retry_headers(original, problem.status))
        if problem.status == HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = CHALLENGE
        allowed = getattr(original, "valid_methods", None)
        if allowed:
            response.headers["Allow"] = ", ".join(allowed)
        return response

    app.register_error_handler(CeleriacError, lambda exc: respond(_from_error(exc), exc))
    app.register_error_handler(HTTPException, lambda exc: respond(_from_http(exc), exc))
    app.register_error_handler(Exception, lambda exc: respond(_from_bug(exc), exc))


def _page_or_json(problem: Problem, render_page: Callable[[Problem], Response]) -> Response:
    try:
        return render_page(problem)
    except OSError:
        return _to_response(problem)  # No file can be opened, that of the page neither.


def retry_headers(error: Exception, status: int) -> dict[str, str]:
    """When a client may ask again, as the headers of its answer say."""
    if isinstance(error, TooManyRequests):
        return fields_of_refusal(error)
    return {"Retry-After": str(RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}


def status_of(exc: CeleriacError) -> HTTPStatus:
    """The status that an error is answered with."""
    by_class = (status for kind, status in STATUS if isinstance(exc, kind))
    return STATUS_BY_CODE.get(exc.code) or next(by_class, HTTPStatus.INTERNAL_SERVER_ERROR)


def _from_error(exc: CeleriacError) -> Problem:
    status = status_of(exc)
    faults = exc.faults if isinstance(exc, InvalidInput) else ()
    return Problem(status.value, exc.code, status.phrase, str(exc), faults)


def _from_http(exc: HTTPException) -> Problem:
    """Flask's own errors: an unknown path, a method that a path does not take, a body over the limit."""
    status = HTTPStatus(exc.code or 500)
    code = re.sub(r"[^a-z]+", "_", status.phrase.lower()).strip("_")
    detail = exc.description or status.phrase
    if status == HTTPStatus.NOT_FOUND:
        detail = f"not found: there is nothing at {request.path}"
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        limit = request.max_content_length or current_parts().settings.max_body_bytes
        code, detail = TooLarge.code, f"the request body is over the server's limit of {limit} bytes"
    return Problem(status.value, code, status.phrase, detail)


def _from_bug(exc: Exception) -> Problem:
    if isinstance(exc, OSError) and exc.errno in EXHAUSTED:
        log.error("%s %s: %s", request.method, request.path, exc)
        return _from_error(
            Unavailable(f"the server has no room: {os.strerror(exc.errno)}", code="overloaded")
        )
    log.error("%s %s failed", request.method, request.path, exc_info=exc)
    detail = MISTAKE
    return Problem(500, CeleriacError.code, HTTPStatus(500).phrase, detail)


def _to_response(problem: Problem) -> Response:
    return Response(json.dumps(problem.to_json()), problem.status, mimetype="application/problem+json")


def _to_protocol_error(problem: Problem) -> Response:
    body = {"error": problem.detail, "code": problem.code}
    return Response(json.dumps(body), problem.status, mimetype="application/json")
