"""/api/audit: who did what, and who was not let in."""

from __future__ import annotations

from flask import Blueprint, Response

from production_server.access.audit import list_lines
from production_server.web.api.audit_schemas import AuditBody, AuditQuery, LineBody
from production_server.web.api.operations import operation
from production_server.web.api.requests import read_query, to_response
from production_server.web.edge.parts import current_parts

blueprint = Blueprint("audit", __name__, url_prefix="/api/audit")


@blueprint.get("")
@operation(
    "List what was done, newest first", query=AuditQuery, responses={200: AuditBody}, errors=(400, 503)
)
def index() -> Response:
    """A page of the audit: acts of admins, logins, and requests that were refused."""
    query = read_query(AuditQuery)
    found = list_lines(current_parts().database, query.wanted(), after=query.after, limit=query.limit)
    is_full = len(found) == query.limit
    return to_response(
        AuditBody(lines=[LineBody.of(line) for line in found], next=found[-1].id if is_full else None)
    )
