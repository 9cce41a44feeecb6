"""/api/labels/<name>: what people say of a model's items, and what they are asked next."""

from __future__ import annotations

from flask import Blueprint, Response

from production_server.labels.decisions import list_decisions, undo
from production_server.labels.progress import read_progress
from production_server.web.api.label_schemas import (
    DecisionBody,
    DecisionRequest,
    DecisionsBody,
    DecisionsQuery,
    NextQuery,
    ProgressBody,
    QuestionBody,
    QuestionsBody,
    SittingQuery,
)
from production_server.web.api.labelling import (
    decide_as_asked,
    labeller,
    row_of,
    task_to_label,
)
from production_server.web.api.operations import operation
from production_server.web.api.requests import read_idempotency_key, read_json, read_query, to_response
from production_server.web.edge.flask_door import whose
from production_server.web.edge.parts import current_parts

blueprint = Blueprint("labels", __name__, url_prefix="/api/labels/<name>")


@blueprint.get("")
@operation("Show how far labelling is", responses={200: ProgressBody}, errors=(400, 404, 503))
def progress(name: str) -> Response:
    """How much is left, how fast it goes, how good the model's answers are, and how far people agree."""
    parts = current_parts()
    found = read_progress(parts.questions, task_to_label(parts, name), by=labeller())
    return to_response(ProgressBody.of(found))


@blueprint.get("/next")
@operation("Ask for questions", query=NextQuery, responses={200: QuestionsBody}, errors=(400, 404, 503))
def ask(name: str) -> Response:
    """Items for you to label, which nobody else is asked about for five minutes; asked again, the same ones."""
    parts, query = current_parts(), read_query(NextQuery)
    task = task_to_label(parts, name)
    found = parts.questions.next(task, query.order, by=labeller(query.sitting), count=query.count)
    bodies = []
    for each in found:
        its_task = parts.registry.task_of(name, each.version)
        bodies.append(QuestionBody.of(each, its_task, row_of(parts, each, its_task)))
    return to_response(QuestionsBody(questions=bodies))


@blueprint.get("/decisions")
@operation(
    "List decisions, newest first",
    query=DecisionsQuery,
    responses={200: DecisionsBody},
    errors=(400, 404, 503),
)
def index(name: str) -> Response:
    """A page of what people said of this model's items, undone or not."""
    parts, query = current_parts(), read_query(DecisionsQuery)
    task_to_label(parts, name)
    found = list_decisions(parts.database, name, whose=whose(), before=query.before, limit=query.limit)
    is_full = len(found) == query.limit
    return to_response(
        DecisionsBody(
            decisions=[DecisionBody.of(each) for each in found], next=found[-1].id if is_full else None
        )
    )


@blueprint.post("/decisions")
@operation(
    "Say what an item is",
    body=DecisionRequest,
    responses={201: DecisionBody, 200: DecisionBody},
    errors=(400, 404, 409, 413, 415, 503),
    headers=("Idempotency-Key",),
)
def decide(name: str) -> Response:
    """Store a decision; 200 if it was stored under this `Idempotency-Key` before. What others have said stays."""
    parts, key = current_parts(), read_idempotency_key()
    made, is_new = decide_as_asked(parts, name, read_json(DecisionRequest), key=key)
    return to_response(DecisionBody.of(made), 201 if is_new else 200)


@blueprint.delete("/decisions/last")
@operation(
    "Undo your last decision",
    query=SittingQuery,
    responses={200: DecisionBody},
    errors=(400, 404, 409, 503),
    headers=("Idempotency-Key",),
)
def undo_last(name: str) -> Response:
    """Take back what you have said last that still counts; its item is your next question."""
    return _undo(name, None)


@blueprint.delete("/decisions/<int(max=2147483647):number>")
@operation(
    "Undo a decision of yours",
    query=SittingQuery,
    responses={200: DecisionBody},
    errors=(400, 404, 409, 503),
    headers=("Idempotency-Key",),
)
def undo_one(name: str, number: int) -> Response:
    """Take one decision back; its item is your next question."""
    return _undo(name, number)


def _undo(name: str, number: int | None) -> Response:
    parts, query = current_parts(), read_query(SittingQuery)
    task_to_label(parts, name)
    made = undo(
        parts.database,
        name,
        by=labeller(query.sitting),
        decision_id=number,
        idempotency_key=read_idempotency_key(),
    )
    return to_response(DecisionBody.of(made))
