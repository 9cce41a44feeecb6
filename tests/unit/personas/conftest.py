from __future__ import annotations

import pytest

from production_server.jobs.database import Database
from tests.unit.personas.pictures import answer, face_ids, find_all, somebody, told


@pytest.fixture
def faces(database: Database) -> list[int]:
    """Three faces, of three people."""
    answer(database, [[told(somebody(n))] for n in range(3)])
    find_all(database)
    return face_ids(database)
