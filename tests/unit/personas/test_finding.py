"""Faces of finished items become rows, each once."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from sqlalchemy import delete, select

from production_server.jobs.database import Database
from production_server.jobs.records import NewItem, NewJob
from production_server.jobs.submit import submit
from production_server.jobs.tables import face, face_mark
from production_server.personas import finding
from production_server.personas.finding import find_faces
from production_server.personas.records import Embedder
from tests.unit.personas.pictures import (
    FACES,
    answer,
    face_ids,
    find_all,
    finish_some,
    kill_before_commit,
    seen,
    somebody,
    told,
)


def test_each_face_of_a_finished_picture_is_a_row_once(database: Database) -> None:
    one = seen(somebody(1), 1)
    job_id = answer(
        database, [[told(one, side=50, sharpness=7.5), told(seen(somebody(2), 2))], [], [told(one)]]
    )

    assert find_faces(database, [FACES]) == 3
    assert find_faces(database, [FACES]) == 0

    with database.read() as connection:
        rows = connection.execute(select(face).order_by(face.c.id)).all()
    assert [(row.job_id, row.idx, row.place) for row in rows] == [
        (job_id, 0, 0),
        (job_id, 0, 1),
        (job_id, 2, 0),
    ]
    assert (rows[0].model, rows[0].version, rows[0].side, rows[0].sharpness) == ("faces", "1", 50, 7.5)
    assert np.array_equal(np.frombuffer(rows[0].embedding, "<f4"), one)


def test_a_picture_that_is_not_done_is_waited_for_and_holds_up_no_other_job(
    sqlite_database: Database,
) -> None:
    items = [NewItem(b"no picture", None)] * 3
    new = NewJob(model="faces", version="1", items=items, source="http", client="somebody")
    slow, _ = submit(sqlite_database, new)
    finish_some(sqlite_database, slow.id, [[told(somebody(3))]], 2)
    answer(sqlite_database, [[told(somebody(1))]])

    find_all(sqlite_database)
    before = len(face_ids(sqlite_database))
    finish_some(sqlite_database, slow.id, [[told(somebody(1))], [told(somebody(2))]], 0)
    find_all(sqlite_database)

    assert (before, len(face_ids(sqlite_database))) == (1, 4)


def test_a_face_that_was_deleted_does_not_come_back(sqlite_database: Database) -> None:
    answer(sqlite_database, [[told(somebody(1))]])
    find_all(sqlite_database)

    with sqlite_database.write() as connection:
        connection.execute(delete(face))
    find_all(sqlite_database)

    assert face_ids(sqlite_database) == []


def test_what_dies_between_two_batches_goes_on_where_it_was(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "ITEMS_AT_ONCE", 2)
    answer(sqlite_database, [[told(somebody(n))] for n in range(5)])

    find_faces(sqlite_database, [FACES])
    job_id = _only_job(sqlite_database)
    pictures = finding._pictures(sqlite_database, job_id)
    kill_before_commit(
        sqlite_database, lambda connection: finding._read_some(connection, job_id, FACES, pictures)
    )
    find_all(sqlite_database)

    assert len(face_ids(sqlite_database)) == 5


def test_faces_are_those_of_models_that_find_faces_and_bad_ones_are_passed_over(
    sqlite_database: Database,
) -> None:
    answer(sqlite_database, [[told(somebody(1))]], embedder=Embedder("else", "1"))
    short = told(somebody(1)) | {"embedding": base64.b64encode(b"short").decode()}
    endless = told(np.full(128, np.nan, np.float32))
    deleted = told(somebody(1)) | {"embedding": None}
    answer(sqlite_database, [[short, endless, deleted, {}, told(somebody(2))]])

    find_all(sqlite_database)

    with sqlite_database.read() as connection:
        assert [row.place for row in connection.execute(select(face.c.place))] == [4]


def _only_job(database: Database) -> object:
    with database.read() as connection:
        return connection.execute(select(face_mark.c.job_id)).scalar_one()
