"""Jobs with results, made as front doors and workers make them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import update

from production_server.jobs.claim import claim, finish
from production_server.jobs.database import Database
from production_server.jobs.records import Failure, Job, NewItem, NewJob, NewObjects, Success
from production_server.jobs.submit import submit, submit_objects
from production_server.jobs.tables import item
from production_server.models.tasks.bins import bin_of
from production_server.models.tasks.label_sets import to_text
from production_server.storage.objects import Reference

Answer = tuple[str, float] | tuple[tuple[str, ...], float] | float | str
"""A label, or several at once, and the score; a value; or the code of an error."""


def classified(
    database: Database,
    answers: Sequence[Answer],
    *,
    names: Sequence[str] = (),
    model: str = "table",
    version: str = "1",
    source: str = "http",
) -> Job:
    """A job of uploads whose items were finished so, all at once."""
    items = [NewItem(b"[1]", name) for name in names or [f"row {n}" for n in range(len(answers))]]
    new = NewJob(model=model, version=version, items=items, source=source, client="somebody")
    return finished(database, submit(database, new)[0], answers)


def classified_objects(database: Database, urls: Sequence[str], answers: Sequence[Answer]) -> Job:
    """A job of objects in buckets whose items were finished so."""
    references = [Reference(url, "etag", 1) for url in urls]
    job = submit_objects(
        database, NewObjects("picture", "1", references, source="event", client="somebody"), chunk_items=256
    )
    assert job is not None
    return finished(database, job, answers)


def finished(database: Database, job: Job, answers: Sequence[Answer]) -> Job:
    held = claim(database, job.id, 0, job.total, lease_s=60, max_attempts=3)
    assert held is not None
    finish(database, held, [to_result(index, answer) for index, answer in enumerate(answers)])
    return job


def to_result(index: int, answer: Answer) -> Success | Failure:
    if isinstance(answer, str):
        return Failure(index=index, error_code=answer, error_message=f"because of {answer}")
    if isinstance(answer, int | float):
        number = float(answer)
        return Success(index=index, label=None, score=number, output=(answer,), ms=1.0, bin=bin_of(number))
    label, score = answer
    text = to_text(label) if isinstance(label, tuple) else label
    return Success(index=index, label=text, score=score, output=(score,), ms=1.0)


def let_be_finished_at(database: Database, job: Job, moment: float) -> None:
    """Let a job's items have been finished at another time, for searches; counts stay where they are."""
    with database.write() as connection:
        connection.execute(
            update(item)
            .where(item.c.job_id == job.id, item.c.finished_at.is_not(None))
            .values(finished_at=moment)
        )
