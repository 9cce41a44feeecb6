"""The latest classifier that the service has made of what people said, and real embeddings to try it on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import select

from production_server.jobs.tables import face
from production_server.personas.classifiers import latest, to_means
from production_server.personas.records import Embedder
from production_server.training.errors import DataError
from production_server.training.service_database import service_database

if TYPE_CHECKING:
    from collections.abc import Mapping

    from production_server.learning.persona_means import PersonaMeans

DIMENSIONS = 128
MOST_FACES = 10_000
"""That are compared, the latest ones."""


@dataclass(frozen=True)
class Learnt:
    """A classifier of means, and faces of the version whose embeddings it judges."""

    number: int
    embedder: Embedder
    means: PersonaMeans
    embeddings: np.ndarray
    """float32 [n, 128], of length 1; at least one."""


def read_learnt(of: str | None = None, *, environment: Mapping[str, str] = os.environ) -> Learnt:
    """The latest classifier, or that of a version, such as `faces/1`.

    Raises:
        DataError: there is none, or it knows nobody. SettingsError: the environment holds values that cannot be used.
    """
    with service_database(environment) as (database, _), database.read() as connection:
        rows = [row for row in latest(connection) if of in (None, f"{row.model}/{row.version}")]
        if not rows or not rows[-1].personas:
            whose = "faces" if of is None else f"faces of {of}"
            raise DataError(f"no classifier of {whose} knows anybody: label some on /personas")
        row = rows[-1]
        embedder = Embedder(row.model, row.version)
        query = select(face.c.embedding).where(face.c.model == row.model, face.c.version == row.version)
        query = query.order_by(face.c.id.desc()).limit(MOST_FACES)
        found = np.frombuffer(b"".join(connection.execute(query).scalars()), "<f4")
        return Learnt(row.number, embedder, to_means(row), found.reshape(-1, DIMENSIONS))
