"""/api/training-runs: models that are trained again from their labels."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response

from production_server.retraining.by_hand import begin as begin_run
from production_server.retraining.by_hand import cancel as cancel_run
from production_server.retraining.by_hand import resume as resume_run
from production_server.retraining.runs import get_run, list_runs
from production_server.web.api.operations import operation
from production_server.web.api.requests import read_json, read_query, to_response
from production_server.web.api.training_schemas import (
    TrainingBody,
    TrainingRequest,
    TrainingsBody,
    TrainingsQuery,
)
from production_server.web.edge.flask_door import acting
from production_server.web.edge.parts import current_parts

blueprint = Blueprint("trainings", __name__, url_prefix="/api/training-runs")


@blueprint.post("")
@operation(
    "Train a model again", body=TrainingRequest, responses={202: TrainingBody}, errors=(400, 409, 415, 503)
)
def begin() -> Response:
    """Begin a run now, whatever its policy waits for."""
    parts, asked = current_parts(), read_json(TrainingRequest)
    body = TrainingBody.of(begin_run(parts.database, parts.policies, asked.model, by=acting()))
    response = to_response(body, 202)
    response.headers["Location"] = body.links.self
    return response


@blueprint.get("")
@operation(
    "List training runs, newest first",
    query=TrainingsQuery,
    responses={200: TrainingsBody},
    errors=(400, 503),
)
def index() -> Response:
    """A page of runs."""
    query = read_query(TrainingsQuery)
    found = list_runs(current_parts().database, model=query.model, after=query.after, limit=query.limit)
    is_full = len(found) == query.limit
    bodies = [TrainingBody.of(run) for run in found]
    return to_response(TrainingsBody(runs=bodies, next=found[-1].id if is_full else None))


@blueprint.get("/<uuid:run_id>")
@operation("Show a training run", responses={200: TrainingBody}, errors=(404, 503))
def show(run_id: UUID) -> Response:
    """One run as it stands."""
    return to_response(TrainingBody.of(get_run(current_parts().database, run_id)))


@blueprint.get("/<uuid:run_id>/log")
@operation("Show what a training has written", responses={200: "text/plain"}, errors=(404, 503))
def log(run_id: UUID) -> Response:
    """The end of it: at most 64 KiB."""
    run = get_run(current_parts().database, run_id)
    return Response(run.log, content_type="text/plain; charset=utf-8")


@blueprint.delete("/<uuid:run_id>")
@operation("Cancel a training run", responses={200: TrainingBody}, errors=(404, 503))
def cancel(run_id: UUID) -> Response:
    """Have it not go on; one that is over stays as it is, and so does a version that it has published."""
    return to_response(TrainingBody.of(cancel_run(current_parts().database, run_id, by=acting())))


@blueprint.post("/<uuid:run_id>/resume")
@operation("Go on with a training run", responses={200: TrainingBody}, errors=(404, 409, 503))
def resume(run_id: UUID) -> Response:
    """Have one that failed, or was cancelled, go on at the step at which it was."""
    return to_response(TrainingBody.of(resume_run(current_parts().database, run_id, by=acting())))
