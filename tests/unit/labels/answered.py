"""Models with answered items, and people who label them."""

from __future__ import annotations

from collections.abc import Sequence

from production_server.jobs.claim import claim, finish
from production_server.jobs.database import Database
from production_server.jobs.records import Job, NewItem, NewJob, Success
from production_server.jobs.submit import submit
from production_server.labels.records import ItemId, Labeller

ANNA = Labeller(client="somebody", who="anna", sees_all=False)
BERT = Labeller(client="somebody", who="bert", sees_all=False)
STRANGER = Labeller(client="else", who="eve", sees_all=False)


def answered(
    database: Database,
    scores: Sequence[float],
    *,
    model: str = "picture",
    version: str = "1",
    payloads: Sequence[bytes] = (),
    labels: tuple[str, str] = ("dark", "bright"),
) -> list[ItemId]:
    """Items of a model with two labels, each with the probability of the second one."""
    items = [NewItem(payloads[n] if payloads else b"no image", f"item {n}.png") for n in range(len(scores))]
    new = NewJob(model=model, version=version, items=items, source="http", client="somebody")
    job = submit(database, new)[0]
    return finish_all(database, job, scores, labels)


def finish_all(
    database: Database, job: Job, scores: Sequence[float], labels: tuple[str, str]
) -> list[ItemId]:
    held = claim(database, job.id, 0, job.total, lease_s=60, max_attempts=3)
    assert held is not None
    finish(
        database,
        held,
        [
            Success(
                index=index,
                label=labels[score >= 0.5],
                score=max(score, 1 - score),
                output=(1 - score, score),
                ms=1.0,
            )
            for index, score in enumerate(scores)
        ],
    )
    return [ItemId(job.id, index) for index in range(len(scores))]
