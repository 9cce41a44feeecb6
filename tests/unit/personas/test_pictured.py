"""Faces in their pictures, with who they are."""

from __future__ import annotations

import pytest

from production_server.errors import NotFound
from production_server.jobs.database import Database
from production_server.personas.decisions import decide
from production_server.personas.people import make
from production_server.personas.pictured import faces_in, picture_of, pictures_of
from production_server.personas.records import NewDecision, Said
from tests.unit.personas.pictures import ANNA, answer, face_ids, find_all, learn, seen, somebody, told


def test_people_have_the_word_and_the_classifier_where_they_say_nothing(sqlite_database: Database) -> None:
    job = answer(
        sqlite_database,
        [
            [told(seen(somebody(1), 1)), told(somebody(2))],
            [told(somebody(3)), told(seen(somebody(1), 2))],
            [],
        ],
    )
    find_all(sqlite_database)
    ada_face, stranger, nobody, like_ada = face_ids(sqlite_database)
    ada = make(sqlite_database, "Ada", by=ANNA).id
    _say(sqlite_database, "label", ada_face, ada)
    _say(sqlite_database, "stranger", stranger)
    learn(sqlite_database)

    found = faces_in(sqlite_database, [(job, 0), (job, 1), (job, 2)])

    assert [(each.id, each.place, each.said, each.name, each.is_predicted) for each in found[job, 0]] == [
        (ada_face, 0, "label", "Ada", False),
        (stranger, 1, "stranger", None, False),
    ]
    assert [(each.id, each.said, each.name, each.is_predicted) for each in found[job, 1]] == [
        (nobody, None, None, False),
        (like_ada, None, "Ada", True),
    ]
    assert (job, 2) not in found
    assert pictures_of(sqlite_database, ada, limit=10) == [(job, 1), (job, 0)]
    assert pictures_of(sqlite_database, ada, offset=1, limit=1) == [(job, 0)]
    assert picture_of(sqlite_database, like_ada) == (job, 1)
    with pytest.raises(NotFound, match="no face 999"):
        picture_of(sqlite_database, 999)
    with pytest.raises(NotFound, match="no persona 999"):
        pictures_of(sqlite_database, 999, limit=1)


def _say(database: Database, kind: Said, face: int, persona: int | None = None) -> None:
    decide(database, NewDecision(faces=(face,), kind=kind, persona=persona), by=ANNA)
