"""How far labelling is: what is left, how fast it goes, how good the model is, and how far people agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from production_server.jobs.database import Database, now
from production_server.jobs.read import belongs_to
from production_server.jobs.tables import decision, job, question
from production_server.labels.measures import Share, kappa, wilson
from production_server.labels.questions import Questions
from production_server.labels.records import ItemId, Labeller
from production_server.labels.standing import is_of, is_standing, is_word
from production_server.models.tasks.task import Task

RATE_OVER_S = 60.0
MOST_LOOKED_AT = 20_000
"""Decisions, the latest, of which accuracy and agreement are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Items that two people have labelled, and how many of these they call the same."""

    items: int
    equal: int
    kappa: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far it is; `is_all`: `left` are all there are, not only the latest."""

    left: int
    is_all: bool
    labelled: int
    """Items that have an answer of somebody."""
    mine: int
    """Decisions of whoever asks that still count."""
    per_minute: int
    """… of the last minute."""
    accuracy: Mapping[str, Share]
    """By version: how many answers are right of those that were drawn at random and have an answer of somebody."""
    agreement: Agreement


def read_progress(questions: Questions, task: Task, *, by: Labeller) -> Progress:
    """Read how far it is for somebody.

    Raises:
        Unavailable: the database does not answer.
    """
    left, is_all = questions.left(task, by=by)
    model, database = task.manifest.name, questions.database
    with database.read() as connection:
        items = select(decision.c.job_id, decision.c.idx).join(job, job.c.id == decision.c.job_id)
        items = items.where(decision.c.model == model, is_word(), *belongs_to(job, by.whose)).distinct()
        labelled = connection.execute(select(func.count()).select_from(items.subquery())).scalar_one()
        is_his = (decision.c.model == model, decision.c.who == by.who, decision.c.client == by.client)
        own = select(func.count()).select_from(decision).where(*is_his, is_standing())
        mine = connection.execute(own).scalar_one()
        recent = connection.execute(own.where(decision.c.at > now() - RATE_OVER_S)).scalar_one()
        return Progress(
            left=left,
            is_all=is_all,
            labelled=labelled,
            mine=mine,
            per_minute=recent,
            accuracy=_accuracy(connection, model, by.whose),
            agreement=_agreement(connection, model, by.whose),
        )


def read_accuracy(database: Database, model: str, *, whose: str | None) -> Mapping[str, Share]:
    """How many answers are right, by version, as far as those tell it that were drawn at random.

    Raises:
        Unavailable: the database does not answer.
    """
    with database.read() as connection:
        return _accuracy(connection, model, whose)


def _accuracy(connection: Connection, model: str, whose: str | None) -> dict[str, Share]:
    query = (
        select(decision.c.job_id, decision.c.idx, decision.c.version, decision.c.kind)
        .add_columns(decision.c.answer, decision.c.predicted)
        .join(question, is_of(question.c))
        .join(job, job.c.id == decision.c.job_id)
        .where(question.c.model == model, question.c.is_drawn, is_word(), *belongs_to(job, whose))
        .order_by(decision.c.id.desc())
        .limit(MOST_LOOKED_AT)
    )
    seen: set[ItemId] = set()
    counts: dict[str, list[bool]] = {}
    for row in connection.execute(query):
        which = ItemId(row.job_id, row.idx)
        # The latest word about an item counts; of what shows nothing no answer is right or wrong.
        is_told = row.kind == "label" or (row.kind == "reject" and row.answer == row.predicted)
        if which not in seen and is_told and row.predicted is not None:
            counts.setdefault(row.version, []).append(row.kind == "label" and row.answer == row.predicted)
        seen.add(which)
    return {version: wilson(sum(each), len(each)) for version, each in sorted(counts.items())}


def _agreement(connection: Connection, model: str, whose: str | None) -> Agreement:
    """Of each item that several have labelled, the first two people's last labels."""
    shared = (
        select(decision.c.job_id, decision.c.idx)
        .join(job, job.c.id == decision.c.job_id)
        .where(decision.c.model == model, decision.c.kind == "label", is_standing(), *belongs_to(job, whose))
        .group_by(decision.c.job_id, decision.c.idx)
        .having(func.count(decision.c.who.distinct()) > 1)
        .limit(MOST_LOOKED_AT)
        .subquery()
    )
    query = (
        select(decision.c.job_id, decision.c.idx, decision.c.who, decision.c.answer)
        .join(shared, is_of(shared.c))
        .where(decision.c.kind == "label", is_standing())
        .order_by(decision.c.id)
    )
    said: dict[ItemId, dict[str, str]] = {}
    for row in connection.execute(query):
        said.setdefault(ItemId(row.job_id, row.idx), {})[row.who] = row.answer
    # In the order of their names, so that it is the same two whose answers are compared.
    pairs = [(each[first], each[second]) for each in said.values() for first, second in [sorted(each)[:2]]]
    return Agreement(
        items=len(pairs), equal=sum(first == second for first, second in pairs), kappa=kappa(pairs)
    )
