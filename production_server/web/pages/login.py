"""/login: a key becomes a session, which a browser holds in a cookie that no script can read; /logout ends it."""

from __future__ import annotations

from dataclasses import replace

from flask import Response, make_response, redirect, render_template, request

from production_server.access.records import Client
from production_server.access.refusals import refused_login
from production_server.access.sessions import SESSION_S, end_session, open_session
from production_server.errors import CeleriacError, NotKnownYet, Unauthorized
from production_server.web.edge.door import SESSION_COOKIE, public_part, session_in
from production_server.web.edge.flask_door import acting, count_refusal
from production_server.web.edge.parts import WebParts, current_parts
from production_server.web.edge.problems import REFUSED, retry_headers, status_of

START = "/"


def show() -> Response:
    """The form that asks for a key."""
    return _page()


def enter() -> Response:
    """Open a session for the key in the form, and go on to where its sender wanted to go."""
    parts, key = current_parts(), request.form.get("key", "").strip()
    try:
        client = _find_or_refuse(parts, key)
        parts.limits.allowance_of(client, request.remote_addr or "").enter(brings_body=False)
        session = open_session(parts.database, client, by=acting(client))
    except CeleriacError as exc:
        if status_of(exc) in REFUSED:
            parts.recorder.refuse(
                refused_login(replace(acting(), client="", key_id=public_part(key)), exc.code)
            )
        return _page(exc)
    response = make_response(redirect(local_path(request.form.get("next", START)), 303))
    response.set_cookie(
        SESSION_COOKIE, session, max_age=SESSION_S, httponly=True, samesite="Lax", secure=request.is_secure
    )
    _end_earlier(parts)
    return response


def leave() -> Response:
    """End the session, and forget it."""
    _end_earlier(current_parts())
    response = make_response(redirect(START, 303))
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="Lax", secure=request.is_secure)
    return response


def local_path(wanted: str) -> str:
    """A path of this service, whatever somebody had a form bring."""
    is_local = wanted.startswith("/") and not wanted.startswith("//")
    return wanted if is_local and wanted.isprintable() and "\\" not in wanted else START


def _find_or_refuse(parts: WebParts, key: str) -> Client:
    try:
        return _find(parts, key)
    except Unauthorized:
        count_refusal()
        raise


def _find(parts: WebParts, key: str) -> Client:
    if not key:
        raise Unauthorized("the key is missing")
    found = _find_after_another_look(parts, key)
    if found.session_id:
        raise Unauthorized("the key is none: it is a session's")
    return found


def _find_after_another_look(parts: WebParts, key: str) -> Client:
    try:
        return parts.keys.find(key)
    except NotKnownYet:
        parts.entrance.look_again(request.remote_addr or "")
        return parts.keys.find(key)


def _end_earlier(parts: WebParts) -> None:
    """End the session that the browser had, if it had one."""
    session = session_in(request.headers)
    try:
        client = None if session is None else _find_after_another_look(parts, session)
    except Unauthorized:
        count_refusal()
        return  # It opens nothing anyway.
    except CeleriacError:
        return
    if client is not None and client.session_id:
        end_session(parts.database, client.session_id, by=acting(client))
        # Here at once, in other processes within a second.
        parts.keys.look_again()


def _page(error: CeleriacError | None = None) -> Response:
    wanted = local_path(request.values.get("next", START))
    page = render_template("pages/login.html", error=error, next=wanted)
    response = make_response(page)
    if error is not None:
        response.status_code = status_of(error)
        response.headers.update(retry_headers(error, response.status_code))
    return response
