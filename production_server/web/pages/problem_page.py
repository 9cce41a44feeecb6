"""The page that people see instead of an error: what went wrong, and where to go from there."""

from __future__ import annotations

from flask import Response, render_template

from production_server.web.edge.problems import Problem


def render_problem(problem: Problem) -> Response:
    """A problem as a page of its own. Reaches neither the database nor the model store: they may be the problem."""
    return Response(render_template("pages/problem.html", problem=problem), problem.status)
