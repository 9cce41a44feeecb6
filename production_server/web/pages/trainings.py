"""/training-runs: models that are trained again; a page for each run: how far it is, and what it has changed."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from flask import Response, make_response, redirect, render_template, request, url_for

from production_server.errors import Conflict, InvalidInput
from production_server.retraining import by_hand
from production_server.retraining.runs import STEPS, get_run, list_runs
from production_server.web.api.training_schemas import TrainingBody
from production_server.web.edge.flask_door import acting
from production_server.web.edge.parts import WebParts, current_parts
from production_server.web.edge.problems import status_of
from production_server.web.edge.protection import TO_BE_ASKED_AGAIN

SHOWN = 50
MOST_NAME = 64
DOING = {
    "freeze": "Keeping the labels as they stand",
    "train": "Training",
    "import": "Making a version of it",
    "roll_out": "Rolling it out",
    "answer": "Answering again",
    "done": "Done",
}
"""What each step is called here."""


@dataclass(frozen=True, slots=True)
class Training:
    """What other pages tell of the trainings of a model."""

    model: str
    latest: TrainingBody | None
    has_policy: bool

    def __bool__(self) -> bool:
        return self.latest is not None or self.has_policy

    @property
    def said(self) -> str:
        """What is being done of the latest run, in words."""
        if self.latest is None:
            return ""
        return self.latest.doing or DOING[self.latest.step].lower()


def training_of(parts: WebParts, model: str) -> Training:
    """What there is to tell of it; false: nothing."""
    latest = list_runs(parts.database, model=model, limit=1)
    return Training(model, TrainingBody.of(latest[0]) if latest else None, model in parts.policies)


def show() -> Response:
    """The latest runs, and the models that can be trained; `?model=`: of one."""
    return _page(request.args.get("model", "")[:MOST_NAME])


def show_one(run_id: UUID) -> Response:
    """One run as it stands."""
    run = get_run(current_parts().database, run_id)
    place = STEPS.index(run.step)
    page = render_template(
        "pages/training.html", run=run, body=TrainingBody.of(run), doing=DOING, steps=STEPS, place=place
    )
    response = make_response(page)
    if run.is_over:
        response.headers.update(TO_BE_ASKED_AGAIN)
    return response


def begin() -> Response:
    """Begin a run, and go to its page; or show the list again with why not."""
    parts = current_parts()
    try:
        run = by_hand.begin(parts.database, parts.policies, request.form.get("model", ""), by=acting())
    except (InvalidInput, Conflict) as exc:
        return _page(error=exc)
    return make_response(redirect(url_for("pages.training", run_id=run.id), 303))


def cancel(run_id: UUID) -> Response:
    """Have a run not go on, and show it."""
    by_hand.cancel(current_parts().database, run_id, by=acting())
    return make_response(redirect(url_for("pages.training", run_id=run_id), 303))


def resume(run_id: UUID) -> Response:
    """Have a run go on, and show it."""
    by_hand.resume(current_parts().database, run_id, by=acting())
    return make_response(redirect(url_for("pages.training", run_id=run_id), 303))


def _page(model: str = "", *, error: InvalidInput | Conflict | None = None) -> Response:
    parts = current_parts()
    runs = [TrainingBody.of(run) for run in list_runs(parts.database, model=model or None, limit=SHOWN)]
    page = render_template(
        "pages/trainings.html",
        runs=runs,
        model=model,
        policies=sorted(parts.policies),
        doing=DOING,
        error=error,
    )
    response = make_response(page)
    if error is not None:
        response.status_code = status_of(error)
    return response
