"""The page that people see instead of an error: what went wrong, and where to go from there."""

from __future__ import annotations

from flask import Response, render_template, request

from production_server.access.scopes import Scope
from production_server.web.edge.flask_door import asker
from production_server.web.edge.needs import NEEDS, scopes_for
from production_server.web.edge.problems import Problem


def render_problem(problem: Problem) -> Response:
    """A problem as a page of its own. Reaches neither the database nor the model store: they may be the problem."""
    page = render_template("pages/problem.html", problem=problem, lacking=_lacking())
    return Response(page, problem.status)


def _lacking() -> Scope | None:
    """The scope that whoever asks has not, and would need; None: that is not what is wrong."""
    client, endpoint = asker(), request.endpoint or ""
    needed = scopes_for(endpoint) if endpoint in NEEDS else ()
    return needed[0] if client is not None and needed and not any(map(client.may, needed)) else None
