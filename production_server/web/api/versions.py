"""/api/models/<name>/versions, …/channels and …/history: which versions there are, and which of them serve."""

from __future__ import annotations

from flask import Blueprint, Response, request

from production_server.errors import NotFound
from production_server.jobs.rollouts import Rollout
from production_server.learning.promotion import kept_report
from production_server.serving.rollouts import checked
from production_server.web.api.operations import operation
from production_server.web.api.report_schemas import ReportBody
from production_server.web.api.requests import read_json, read_query, read_wait_s, to_response
from production_server.web.api.rollout_schemas import RolloutBody
from production_server.web.api.version_schemas import (
    ChannelBody,
    ChannelsBody,
    EndQuery,
    EventBody,
    HistoryBody,
    HistoryQuery,
    PromotedBody,
    PromoteRequest,
    ReasonQuery,
    RestoreRequest,
    VersionBody,
    VersionsBody,
)
from production_server.web.edge.flask_door import acting, asking_client, waiting_place
from production_server.web.edge.parts import current_parts

blueprint = Blueprint("versions", __name__, url_prefix="/api/models/<name>")


@blueprint.get("/versions")
@operation("List the versions of a model", responses={200: VersionsBody}, errors=(404, 503))
def index(name: str) -> Response:
    """All versions, the newest first: what was measured of each, what names it, and which workers have it."""
    found = current_parts().overview.versions(name)
    return to_response(VersionsBody(versions=[VersionBody.of(state) for state in found]))


@blueprint.get("/versions/<version>")
@operation("Show a version", responses={200: VersionBody}, errors=(404, 503))
def show(name: str, version: str) -> Response:
    """One version, by its number, retired or not."""
    return to_response(VersionBody.of(current_parts().overview.version(name, version)))


@blueprint.get("/versions/<version>/report")
@operation("Show what the gate says of a version", responses={200: ReportBody}, errors=(404,))
def report(name: str, version: str) -> Response:
    """The checks that a version has passed before it came in. One that came by no gate has none: 404."""
    found = kept_report(current_parts().registry.version(name, version))
    if found is None:
        raise NotFound(f"version {version} of {name!r} has no report of the gate", code="report_not_found")
    return to_response(ReportBody.of(found))


@blueprint.delete("/versions/<version>")
@operation(
    "Retire a version, or delete its files",
    query=EndQuery,
    responses={200: VersionBody},
    errors=(400, 404, 409, 503, 507),
)
def end(name: str, version: str) -> Response:
    """Have a version take no new work; jobs that have it are finished. Not while a channel names it.

    With `files=true` the files of a version that is retired are deleted, and it is answered as it was. Its number is
    not given again.
    """
    parts, asked = current_parts(), read_query(EndQuery)
    if not asked.files:
        parts.serving.retire(name, version, reason=asked.reason, by=acting())
        return show(name, version)
    answer = show(name, version)
    parts.serving.delete(name, version, reason=asked.reason, by=acting())
    return answer


@blueprint.post("/versions/<version>/restore")
@operation(
    "Have a retired version take work again",
    body=RestoreRequest,
    responses={200: VersionBody},
    errors=(400, 404, 413, 415, 503),
)
def restore(name: str, version: str) -> Response:
    """Undo that a version was retired."""
    asked = read_json(RestoreRequest)
    current_parts().serving.restore(name, version, reason=asked.reason, by=acting())
    return show(name, version)


@blueprint.get("/channels")
@operation("List the channels of a model", responses={200: ChannelsBody}, errors=(404, 503))
def channels(name: str) -> Response:
    """What each channel names; without being set, `stable` names the newest version."""
    found = current_parts().overview.channels(name)
    return to_response(ChannelsBody(channels=[ChannelBody.of(row) for row in found]))


@blueprint.get("/channels/<channel>")
@operation("Show a channel", responses={200: ChannelBody}, errors=(404, 503))
def channel(name: str, channel: str) -> Response:
    """What a channel names now."""
    return to_response(ChannelBody.of(current_parts().overview.channel(name, channel)))


@blueprint.put("/channels/<channel>")
@operation(
    "Promote a version",
    body=PromoteRequest,
    responses={200: PromotedBody, 202: PromotedBody},
    errors=(400, 404, 409, 410, 413, 415, 503),
    headers=("Prefer",),
)
def promote(name: str, channel: str) -> Response:
    """Have a channel name a version, as soon as every worker has loaded it; all processes know it within two seconds.

    200: it does. 202: some worker has not loaded it yet, also not within `Prefer: wait=N`; the channel moves by itself,
    or the rollout says why not. From the first time on that `stable` is set, a new version serves only when it is
    promoted. It is held against what is stable now; 409 `gate_closed` names what it fails, which `breaking` and
    `despite` override.
    """
    parts = current_parts()
    wanted = read_json(PromoteRequest).wanted(name, channel)
    promoted = parts.serving.promote(wanted, by=acting())
    rollout = None if promoted.rollout is None else _waited_for(promoted.rollout)
    body = PromotedBody.of(promoted, wanted, row=parts.overview.named(name, channel), rollout=rollout)
    response = to_response(body, 202 if rollout is not None and rollout.state == "loading" else 200)
    if rollout is not None:
        response.headers["Location"] = rollout.links.self
    return response


@blueprint.delete("/channels/<channel>")
@operation("Take a channel away", query=ReasonQuery, responses={200: ChannelsBody}, errors=(400, 404, 503))
def remove_channel(name: str, channel: str) -> Response:
    """Have a channel name no version any more; answers with those that are left. `stable` always names one."""
    reason = read_query(ReasonQuery).reason
    current_parts().serving.remove_channel(name, channel, reason=reason, by=acting())
    return channels(name)


@blueprint.get("/history")
@operation("List what was changed", query=HistoryQuery, responses={200: HistoryBody}, errors=(400, 404, 503))
def history(name: str) -> Response:
    """Who changed what of a model's versions and channels, when and why, the latest first."""
    return _history(name)


@blueprint.get("/channels/<channel>/history")
@operation(
    "List what a channel named", query=HistoryQuery, responses={200: HistoryBody}, errors=(400, 404, 503)
)
def channel_history(name: str, channel: str) -> Response:
    """Who had a channel name what, when and why, the latest first."""
    return _history(name, channel=channel)


def _history(name: str, *, channel: str | None = None) -> Response:
    query = read_query(HistoryQuery)
    found = current_parts().overview.history(name, channel=channel, before=query.before, limit=query.limit)
    last = found[-1].id if len(found) == query.limit else None
    return to_response(HistoryBody(events=[EventBody.of(event) for event in found], next=last))


def _waited_for(begun: Rollout) -> RolloutBody:
    """A rollout when it is over, or as long as the client would like to wait.

    Raises:
        Conflict: the channel does not name the version.
    """
    parts = current_parts()
    with waiting_place() as pause:
        found = parts.serving.rollouts.wait(begun.id, seconds=read_wait_s(request), pause=pause)
    waits_for = parts.serving.rollouts.waits_for(checked(found))
    return RolloutBody.of(found, waits_for, may_see_jobs=asking_client().is_admin)
