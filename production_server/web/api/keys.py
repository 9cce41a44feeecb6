"""/api/keys: who may ask, and for what."""

from __future__ import annotations

from flask import Blueprint, Response

from production_server.access import keys
from production_server.access.records import KeyInfo
from production_server.web.api.key_schemas import (
    KeyBody,
    KeyRequest,
    KeysBody,
    NewKeyBody,
    RotateRequest,
)
from production_server.web.api.operations import operation
from production_server.web.api.requests import read_json, to_response
from production_server.web.edge.flask_door import acting
from production_server.web.edge.parts import current_parts

blueprint = Blueprint("keys", __name__, url_prefix="/api/keys")


@blueprint.post("")
@operation("Make a key", body=KeyRequest, responses={201: NewKeyBody}, errors=(400, 413, 415, 503))
def create() -> Response:
    """Make a key. `key` in the answer is shown this once: only its SHA-256 is stored."""
    asked = read_json(KeyRequest)
    return _made(*keys.create_key(current_parts().database, asked.wanted(), by=acting()))


@blueprint.get("")
@operation("List keys, newest first", responses={200: KeysBody}, errors=(503,))
def index() -> Response:
    """All keys, also those that are revoked or expired."""
    found = keys.list_keys(current_parts().database)
    return to_response(KeysBody(keys=[KeyBody.of(key) for key in found]))


@blueprint.get("/<key_id>")
@operation("Show a key", responses={200: KeyBody}, errors=(404, 503))
def show(key_id: str) -> Response:
    """One key, by its public part: its first twelve characters."""
    return to_response(KeyBody.of(keys.get_key(current_parts().database, key_id)))


@blueprint.delete("/<key_id>")
@operation("Revoke a key", responses={200: KeyBody}, errors=(404, 503))
def revoke(key_id: str) -> Response:
    """Have a key open nothing any more, in every process within a second."""
    return to_response(KeyBody.of(keys.revoke_key(current_parts().database, key_id, by=acting())))


@blueprint.post("/<key_id>/rotate")
@operation(
    "Put a new key in place of one",
    body=RotateRequest,
    responses={201: NewKeyBody},
    errors=(400, 404, 409, 413, 415, 503),
)
def rotate(key_id: str) -> Response:
    """Make a key that may do the same. The one before expires after `overlap_days`, so that nobody has to hurry."""
    overlap_s = read_json(RotateRequest).overlap_s
    return _made(*keys.rotate_key(current_parts().database, key_id, overlap_s=overlap_s, by=acting()))


def _made(made: KeyInfo, text: str) -> Response:
    current_parts().keys.look_if_possible()
    response = to_response(NewKeyBody.of_new(made, text), 201)
    response.headers["Location"] = f"/api/keys/{made.id}"
    return response
