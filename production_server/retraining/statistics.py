"""How trainings go, in numbers: what there is of runs, how long the latest takes, and what they have not seen yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from sqlalchemy import and_, func, select

from production_server.jobs.database import Database, now
from production_server.jobs.tables import decision, training_run
from production_server.labels.standing import is_word
from production_server.retraining.runs import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStatistics:
    """Of all models, by their names."""

    runs: Mapping[tuple[str, str], int]
    """By model and state; of a model with runs there is every state."""
    latest_s: Mapping[str, float]
    """How long the latest run has taken, or takes by now."""
    new_labels: Mapping[str, int]
    """Decided since the latest run began, or ever."""


def training_statistics(database: Database) -> TrainingStatistics:
    """Counts them.

    Raises:
        Unavailable: the database does not answer.
    """
    took = (func.coalesce(training_run.c.ended_at, now()) - training_run.c.began_at).label("took")
    newest_first = (training_run.c.began_at.desc(), training_run.c.id.desc())
    place = func.row_number().over(partition_by=training_run.c.model, order_by=newest_first).label("place")
    runs_of_models = select(training_run.c.model, training_run.c.label_mark, took, place).subquery()
    latest = select(*runs_of_models.c["model", "label_mark", "took"]).where(runs_of_models.c.place == 1)
    by_state = select(training_run.c.model, training_run.c.state, func.count())
    by_state = by_state.group_by(training_run.c.model, training_run.c.state)
    marks = latest.subquery()
    unseen = (
        select(decision.c.model, func.count())
        .outerjoin(marks, marks.c.model == decision.c.model)
        .where(and_(is_word(), decision.c.id > func.coalesce(marks.c.label_mark, 0)))
        .group_by(decision.c.model)
    )
    with database.read() as connection:
        counted = {(model, state): count for model, state, count in connection.execute(by_state)}
        latest_s = {model: float(seconds) for model, _, seconds in connection.execute(latest)}
        new_labels = {model: int(count) for model, count in connection.execute(unseen)}
    models = {model for model, _ in counted}
    runs = {
        (model, state): counted.get((model, state), 0) for model in models for state in get_args(RunState)
    }
    return TrainingStatistics(runs=runs, latest_s=latest_s, new_labels=new_labels)
