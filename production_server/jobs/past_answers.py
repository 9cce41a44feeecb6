"""What a version answered of late in jobs, with the inputs: to see what another one answers to the same."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, select

from production_server.jobs.item_times import recent_jobs
from production_server.jobs.read import frozen
from production_server.jobs.tables import item, item_input
from production_server.models.tasks.task import Prediction


@dataclass(frozen=True, slots=True)
class PastAnswer:
    """An input as it is stored, and what was answered to it."""

    job_id: UUID
    index: int
    payload: bytes
    prediction: Prediction


def past_answers(connection: Connection, model: str, version: str, *, most: int) -> list[PastAnswer]:
    """The latest answers of a version, by the age of their jobs; of inputs that lie in buckets there are none."""
    found: list[PastAnswer] = []
    for job_id in recent_jobs(connection, model).get(version, ()):
        found += _of_job(connection, job_id, most - len(found))
        if len(found) >= most:
            break
    return found


def _of_job(connection: Connection, job_id: UUID, most: int) -> list[PastAnswer]:
    columns = (item.c.idx, item.c.label, item.c.score, item.c.output, item_input.c.payload)
    is_same = (item_input.c.job_id == item.c.job_id) & (item_input.c.idx == item.c.idx)
    query = select(*columns).select_from(item.join(item_input, is_same))
    query = query.where(item.c.job_id == job_id, item.c.state == "succeeded").order_by(item.c.idx).limit(most)
    return [
        PastAnswer(job_id, row.idx, bytes(row.payload), Prediction(row.label, row.score, frozen(row.output)))
        for row in connection.execute(query)
    ]
