"""/keys: which keys there are, for admins: making one, putting another in its place, revoking it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import Response, make_response, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict

from production_server.access.keys import create_key, list_keys, revoke_key, rotate_key
from production_server.access.records import KeyInfo
from production_server.access.scopes import USUAL, Scope
from production_server.errors import CeleriacError, Conflict, InvalidInput
from production_server.web.api.key_schemas import KeyRequest, RotateRequest
from production_server.web.api.requests import read_form
from production_server.web.edge.flask_door import acting, asking_client
from production_server.web.edge.parts import current_parts
from production_server.web.edge.problems import status_of

SCOPES: Mapping[Scope, str] = {
    Scope.PREDICT: "calls, jobs and scans: submit and cancel them",
    Scope.READ: "jobs, results, statistics, models and pages: look at them",
    Scope.LABEL: "answers: say which ones are right, and what they should be",
    Scope.PERSONAS: "faces of all clients: see them, and say whose they are",
    Scope.MODELS: "models: make versions of files, and say which ones serve: promote, retire and delete them",
    Scope.METRICS: "how the service stands: what a Prometheus asks for",
    Scope.ADMIN: "everything: keys, the audit, and what belongs to all clients",
}
"""What each lets a client do, as people read it."""


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A key, and what its buttons would do."""

    key: KeyInfo
    is_over: bool
    """Whether it opens nothing any more."""
    is_own: bool
    """Whether this page was asked for with it."""
    is_last_admin: bool
    """Whether no other key that is stored lets anybody onto this page."""


def show() -> Response:
    """All keys, and a form that makes one."""
    return _page()


def make() -> Response:
    """Make the key that the form asks for, and show its text, this once; or the form again with what is wrong."""
    is_first = not asking_client().key_id
    try:
        wanted = read_form(KeyRequest, _asked()).wanted()
        made, text = create_key(current_parts().database, wanted, by=acting())
    except InvalidInput as exc:
        return _page(exc, typed=request.form)
    return _made(made, text, is_first=is_first)


def rotate(key_id: str) -> Response:
    """Put a new key in place of one, and show its text, this once."""
    try:
        asked = read_form(RotateRequest, request.form)
        made, text = rotate_key(current_parts().database, key_id, overlap_s=asked.overlap_s, by=acting())
    except (InvalidInput, Conflict) as exc:
        return _page(exc)
    return _made(made, text, replaced=key_id, overlap_days=asked.overlap_days)


def revoke(key_id: str) -> Response:
    """Revoke a key, and show all that there are; or, to whoever has revoked his own, what the door says of that."""
    parts = current_parts()
    revoke_key(parts.database, key_id, by=acting())
    parts.keys.look_again()
    return make_response(redirect(url_for("pages.keys"), 303))


def _asked() -> dict[str, object]:
    """What the form holds; fields that were left empty are not there."""
    fields = {name: request.form.get(name, "").strip() for name in ("name", "client", "expires_in_days")}
    return {name: value for name, value in fields.items() if value or name == "name"} | {
        "scopes": request.form.getlist("scopes")
    }


def _page(error: CeleriacError | None = None, *, typed: MultiDict[str, str] | None = None) -> Response:
    """The page; after an error with its status, and what was typed into the form that makes a key."""
    parts = current_parts()
    keys = _shown(list_keys(parts.database))
    # Without an admin's key among them, keys could only be made on the command line from then on.
    usual = USUAL if asking_client().key_id else (*USUAL, Scope.ADMIN)
    page = render_template(
        "pages/keys.html",
        keys=[key for key in keys if not key.is_over],
        over=[key for key in keys if key.is_over],
        scopes=SCOPES,
        chosen=usual if typed is None else typed.getlist("scopes"),
        typed=typed or {},
        error=error,
        errors={fault.field: fault for fault in error.faults} if isinstance(error, InvalidInput) else {},
        are_brought=bool(parts.settings.api_keys),
    )
    return make_response(page, 200 if error is None else status_of(error))


def _shown(keys: Sequence[KeyInfo]) -> list[ShownKey]:
    at, own = time.time(), asking_client().key_id
    open_ = {
        key.id for key in keys if key.revoked_at is None and not (key.expires_at and key.expires_at <= at)
    }
    admins = {key.id for key in keys if key.id in open_ and Scope.ADMIN in key.scopes}
    return [ShownKey(key, key.id not in open_, key.id == own, admins == {key.id}) for key in keys]


def _made(made: KeyInfo, text: str, **told: object) -> Response:
    current_parts().keys.look_if_possible()
    return make_response(render_template("pages/key_made.html", key=made, text=text, **told), 201)
