"""/events/s3: what buckets tell of, as they send it."""

from __future__ import annotations

import hashlib
import hmac

from flask import Blueprint, Response, request

from production_server.errors import NotFound, Unauthorized, Unavailable
from production_server.sources.object_events import read_events
from production_server.web.api.event_schemas import EventsBody
from production_server.web.api.operations import operation
from production_server.web.api.requests import read_body, to_response
from production_server.web.edge.flask_door import count_refusal
from production_server.web.edge.parts import current_parts

blueprint = Blueprint("events", __name__)

BEFORE_503_S = 1.0
SIGNATURE_HEADER = "X-Hub-Signature-256"


@blueprint.post("/events/s3", provide_automatic_options=False)
@operation(
    "Take notifications of a bucket",
    responses={200: EventsBody, 202: EventsBody},
    errors=(400, 401, 404, 410, 413, 415, 429, 503),
)
def take() -> Response:
    """Make items of the objects that are told of, as the rules in EVENTS_FILE say; 202 if there are new ones.

    The body is one of AWS S3 (also wrapped by SNS or SQS), EventBridge, Ceph, MinIO, or CloudEvents. What comes twice
    changes nothing. One event that cannot be taken is told in the answer, and keeps those beside it from nothing.
    EVENTS_TOKEN proves who sends: as a bearer token, as the password of basic authentication, as
    `?token=`, or as the key of an HMAC-SHA256 of the body in `X-Hub-Signature-256: sha256=…`.
    """
    parts = current_parts()
    if not parts.notifications.rules:
        raise NotFound("this service takes no events: EVENTS_FILE names no rules", code="events_not_taken")
    body = read_body()
    if not _is_authentic(parts.settings.events_token, body):
        count_refusal()
        raise Unauthorized("the request does not prove that it knows EVENTS_TOKEN")
    headers = {name.lower(): value for name, value in request.headers.items()}
    read = read_events(body, headers)
    # The entrance, which sees to it for all others, lets anybody in here.
    parts.standings.look_if_unknown()
    try:
        taken = parts.notifications.take(read)
    except Unavailable:
        # A store that is told so at once asks again at once, thousands of times a second; Ceph may trip over that.
        with parts.waits.place() as wait:
            wait(BEFORE_503_S)
        raise
    return to_response(EventsBody.of(taken), 202 if taken.jobs else 200)


@blueprint.route("/events/s3", methods=["OPTIONS"])
def agree() -> Response:
    """Let a sender of CloudEvents send, if it knows EVENTS_TOKEN: Azure's Event Grid asks before it does.

    github.com/cloudevents/spec, http-webhook.md, 4: abuse protection.
    """
    answer = Response(headers={"Allow": "OPTIONS, POST"})
    origin = request.headers.get("WebHook-Request-Origin")
    parts = current_parts()
    if not (origin and parts.notifications.rules):
        return answer
    if _is_authentic(parts.settings.events_token, b""):
        answer.headers["WebHook-Allowed-Origin"] = origin
        answer.headers["WebHook-Allowed-Rate"] = "*"
    else:
        count_refusal()
    return answer


def _is_authentic(secret: str, body: bytes) -> bool:
    signature = request.headers.get(SIGNATURE_HEADER)
    if signature is not None:
        expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(signature.encode(), expected.encode())
    return any(hmac.compare_digest(given.encode(), secret.encode()) for given in _given())


def _given() -> list[str]:
    """What a request offers as the token."""
    authorization = request.authorization
    offered = [request.args.get("token")]
    if authorization is not None:
        offered += [authorization.token, authorization.password]
    return [given for given in offered if given]
