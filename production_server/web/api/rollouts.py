"""/api/models/<name>/rollouts, …/canary and …/rollback: versions on their way to a channel, and back."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response

from production_server.jobs.rollouts import Rollout
from production_server.web.api.operations import operation
from production_server.web.api.requests import read_json, to_response
from production_server.web.api.rollout_schemas import CanaryBody, RollbackRequest, RolloutBody, RolloutsBody
from production_server.web.api.schemas import MAX_PAGE
from production_server.web.api.version_schemas import ChannelBody
from production_server.web.edge.flask_door import acting, asking_client
from production_server.web.edge.parts import current_parts

blueprint = Blueprint("rollouts", __name__, url_prefix="/api/models/<name>")


@blueprint.post("/channels/<channel>/rollback")
@operation(
    "Go back to the version before",
    body=RollbackRequest,
    responses={200: ChannelBody},
    errors=(400, 404, 409, 410, 413, 415, 503),
)
def roll_back(name: str, channel: str) -> Response:
    """Have a channel name at once what it named before. Asked a second time it goes back one further."""
    parts, asked = current_parts(), read_json(RollbackRequest)
    parts.serving.roll_back(name, channel, reason=asked.reason, expected=asked.expected, by=acting())
    return to_response(ChannelBody.of(parts.overview.channel(name, channel)))


@blueprint.get("/canary")
@operation("Show how the canary does", responses={200: CanaryBody}, errors=(404, 503))
def canary(name: str) -> Response:
    """What the canary and stable answered since the canary has its share, and what that says.

    One that does worse is taken back by itself; one that does as well waits until somebody promotes it.
    """
    return to_response(CanaryBody.of(current_parts().serving.canaries.named(name)))


@blueprint.get("/rollouts")
@operation("List rollouts", responses={200: RolloutsBody}, errors=(404, 503))
def index(name: str) -> Response:
    """The latest promotions: those that wait until workers have loaded a version, and what became of the others."""
    parts = current_parts()
    found = parts.overview.rollouts(name, limit=MAX_PAGE)
    waits_for = parts.serving.rollouts.waits_for
    return to_response(RolloutsBody(rollouts=[_told(each, waits_for(each)) for each in found]))


@blueprint.get("/rollouts/<uuid:rollout_id>")
@operation("Show a rollout", responses={200: RolloutBody}, errors=(404, 503))
def show(name: str, rollout_id: UUID) -> Response:
    """One promotion as it stands."""
    parts = current_parts()
    found = parts.overview.rollout(name, rollout_id)
    return to_response(_told(found, parts.serving.rollouts.waits_for(found)))


def _told(found: Rollout, waits_for: list[str]) -> RolloutBody:
    return RolloutBody.of(found, waits_for, may_see_jobs=asking_client().is_admin)
