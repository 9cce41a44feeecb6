"""Who labels, and what for: what the API and the pages ask alike."""

from __future__ import annotations

import json

from production_server.jobs.read import get_job, get_payload
from production_server.labels.answers import check_takes_labels, read_answer
from production_server.labels.decisions import decide
from production_server.labels.records import Decision, Labeller, NewDecision, Question
from production_server.models.tasks.task import Task
from production_server.web.api.label_schemas import DecisionRequest
from production_server.web.edge.flask_door import asking_client
from production_server.web.edge.parts import WebParts


def labeller(sitting: str = "") -> Labeller:
    """The person whose request is being handled: people of one client are told apart by the names of their keys."""
    client = asking_client()
    return Labeller(
        client=client.name, who=client.key_name or client.name, sees_all=client.is_admin, sitting=sitting
    )


def task_to_label(parts: WebParts, model: str) -> Task:
    """The task of a model that people may label for.

    Raises:
        NotFound: there is no such model. InvalidInput: it has no labels to choose from.
    """
    task = parts.registry.shown(model).task
    check_takes_labels(task)
    return task


def decide_as_asked(
    parts: WebParts, model: str, asked: DecisionRequest, *, key: str | None
) -> tuple[Decision, bool]:
    """Store what somebody says; returns it, and whether it is new.

    Raises:
        NotFound, InvalidInput, Conflict, Unavailable: as `decide`.
    """
    task = task_to_label(parts, model)
    answer = None if asked.label is None else _answer(parts, task, asked, asked.label)
    said = NewDecision(
        model=model,
        item=asked.item,
        kind=asked.kind,
        answer=answer,
        choices=task.choices,
        idempotency_key=key,
    )
    return decide(parts.database, said, by=labeller(asked.sitting))


def _answer(parts: WebParts, task: Task, asked: DecisionRequest, label: str) -> str:
    """A label that the version has which has answered the item, or that the model has now."""
    job = get_job(parts.database, asked.job, whose=labeller().whose)
    its_task = parts.task_of(job)
    known = its_task.read_truth(label) if job.model == task.manifest.name and its_task.choices else None
    return known or read_answer(task, label, is_new=asked.new)


def row_of(parts: WebParts, asked: Question, task: Task) -> dict[str, float] | None:
    """What of a row went in, by feature; None for what is no row."""
    names = task.inputs.columns()
    if not names:
        return None
    values = json.loads(get_payload(parts.database, *asked.item))
    return dict(zip(names, values, strict=True))
