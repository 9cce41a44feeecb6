"""Pictures with faces of people: items that a model of the task `faces` might have answered, with embeddings drawn."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import Connection, select

from production_server.jobs.claim import claim, finish
from production_server.jobs.database import Database
from production_server.jobs.records import NewItem, NewJob, Success
from production_server.jobs.submit import submit
from production_server.jobs.tables import face, verdict
from production_server.personas.finding import find_faces
from production_server.personas.learning import judge_some, relearn
from production_server.personas.records import Embedder, NewDecision, Said, Sayer

FACES = Embedder("faces", "1")
ANNA = Sayer("somebody", "anna")
BERT = Sayer("somebody", "bert")


def somebody(seed: int) -> np.ndarray:
    """What is at the centre of a person's embeddings: float32 [128], of length 1."""
    drawn = np.random.default_rng(seed).normal(size=128)
    made: np.ndarray = (drawn / np.linalg.norm(drawn)).astype(np.float32)
    return made


def seen(person: np.ndarray, seed: int, *, spread: float = 0.02) -> np.ndarray:
    """A face of somebody: near to the centre, and of length 1."""
    drawn = person + np.random.default_rng(seed).normal(size=128) * spread
    made: np.ndarray = (drawn / np.linalg.norm(drawn)).astype(np.float32)
    return made


def told(embedding: np.ndarray, *, side: int = 90, sharpness: float = 200.0) -> dict[str, Any]:
    """A face as a job's answer has it."""
    return {
        "box": [0.1, 0.1, 0.5, 0.6],
        "landmarks": [[0.2, 0.2], [0.4, 0.2], [0.3, 0.3], [0.2, 0.4], [0.4, 0.4]],
        "score": 0.99,
        "side": side,
        "sharpness": sharpness,
        "embedding": base64.b64encode(embedding.astype("<f4").tobytes()).decode(),
    }


def answer(
    database: Database,
    pictures: Sequence[Sequence[dict[str, Any]]],
    *,
    embedder: Embedder = FACES,
    client: str = "somebody",
) -> UUID:
    """A finished job with so many pictures, each with its faces; returns its id."""
    model, version = embedder
    items = [NewItem(b"no picture", f"{n}.png") for n in range(len(pictures))]
    job, _ = submit(database, NewJob(model=model, version=version, items=items, source="http", client=client))
    finish_some(database, job.id, pictures, 0)
    return job.id


def finish_some(
    database: Database, job_id: UUID, pictures: Sequence[Sequence[dict[str, Any]]], start: int
) -> None:
    """Answer some of a job's items, from `start` on."""
    held = claim(database, job_id, start, start + len(pictures), lease_s=60, max_attempts=3)
    assert held is not None
    done = [
        Success(
            index=start + n,
            label=f"{len(found)} faces" if found else "no face",
            score=0.99,
            output=tuple(found),
            ms=1.0,
        )
        for n, found in enumerate(pictures)
    ]
    finish(database, held, done)


def find_all(database: Database, *embedders: Embedder) -> None:
    while find_faces(database, embedders or (FACES,)):
        pass


def learn(database: Database) -> None:
    """Learn, and judge all faces."""
    relearn(database)
    judge_all(database)


def judge_all(database: Database) -> None:
    while judge_some(database) is not None:
        pass


def kill_before_commit(database: Database, act: Callable[[Connection], object]) -> None:
    """Act in a transaction that is never committed."""

    class Killed(Exception):
        pass

    with suppress(Killed), database.write() as connection:
        act(connection)
        raise Killed


def of(kind: Said, *faces: int, persona: int | None = None) -> NewDecision:
    """What somebody says of faces."""
    return NewDecision(faces=faces, kind=kind, persona=persona)


def face_ids(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.execute(select(face.c.id).order_by(face.c.job_id, face.c.id)).scalars())


def verdicts(database: Database) -> dict[int, tuple[int | None, int, float]]:
    """What is said of each face: whose it is, whom it is most like, and how much."""
    with database.read() as connection:
        rows = connection.execute(select(verdict)).all()
    return {row.face_id: (row.persona_id, row.nearest_id, row.cosine) for row in rows}
