"""Which items a new version answers again: those with a label, and the latest without one."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import exists, literal, or_, select, update

from production_server.jobs.again import SOURCE, begin_again, choose_again
from production_server.jobs.database import Database
from production_server.jobs.job_row import uuid7
from production_server.jobs.series import Chosen, find_series
from production_server.jobs.tables import item, item_input, item_reference, job, training_run
from production_server.labels.sets import LabelSet, labels_of_set
from production_server.retraining.runs import RunClaim, TrainingRun


def choose(database: Database, held: RunClaim, labelled: LabelSet, *, most: int) -> RunClaim | None:
    """Note which items the run's version is to answer, and begin its job; None: somebody else has the run.

    Raises:
        Unavailable: the database does not answer; nothing was noted.
    """
    run = held.run
    known = {each.item: each.label for each in labels_of_set(database, labelled)}
    job_id = uuid7()
    with database.write(may_take_long=True) as connection:
        mine = (training_run.c.id == run.id) & (training_run.c.lease_token == held.token)
        noted = update(training_run).where(mine, training_run.c.answer_job.is_(None))
        row = connection.execute(noted.values(answer_job=job_id).returning(training_run)).one_or_none()
        if row is None:
            return None
        has_input = or_(
            *(
                exists(select(literal(1)).where(each.c.job_id == item.c.job_id, each.c.idx == item.c.idx))
                for each in (item_input, item_reference)
            )
        )
        asked = find_series(connection, Chosen(model=run.model))
        latest = (
            select(item.c.job_id, item.c.idx)
            .join(job, job.c.id == item.c.job_id)
            # What was answered again before has its first answer, too.
            .where(item.c.finished_at.is_not(None), item.c.series_id.in_(asked), item.c.state == "succeeded")
            .where(has_input, job.c.source != SOURCE)
            .order_by(item.c.finished_at.desc())
            .limit(most + len(known))
        )
        unlabelled = [
            (each.job_id, each.idx)
            for each in connection.execute(latest)
            if (each.job_id, each.idx) not in known
        ]
        chosen: list[tuple[UUID, int, str | None]] = [(*which, label) for which, label in known.items()]
        chosen += [(*which, None) for which in unlabelled[:most]]
        choose_again(connection, run.id, chosen)
        begin_again(connection, job_id, model=run.model, version=str(run.version), client=run.client)
    return RunClaim(TrainingRun.of(row), held.token)
