"""What was said of a face holds for the same face as another version finds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select, update

from production_server.errors import Conflict, NotFound
from production_server.jobs.database import Database
from production_server.jobs.tables import face, item_input, item_reference, persona_decision
from production_server.personas.boxes import overlaps, pairs
from production_server.personas.decisions import decide, undo
from production_server.personas.people import list_personas, make, merge, remove, split
from production_server.personas.records import Embedder, NewDecision, Said
from production_server.personas.shown import list_decisions
from production_server.personas.standing import Standing, standing
from tests.unit.personas.pictures import (
    ANNA,
    BERT,
    FACES,
    answer,
    face_ids,
    find_all,
    learn,
    seen,
    somebody,
    told,
    verdicts,
)

NEWER = Embedder("faces", "2")
LEFT, RIGHT = [0.1, 0.1, 0.4, 0.5], [0.6, 0.1, 0.9, 0.5]
LEFT_AGAIN, RIGHT_AGAIN = [0.12, 0.1, 0.42, 0.52], [0.58, 0.12, 0.9, 0.5]


def at(box: Sequence[float], person: int, seed: int = 0) -> dict[str, Any]:
    return told(seen(somebody(person), seed)) | {"box": list(box)}


def send(database: Database, *pictures: tuple[str, Sequence[dict[str, Any]]], by: Embedder) -> list[int]:
    """Have pictures, each by what is in its file, answered with these faces; returns the faces' new ids."""
    before = face_ids(database)
    job = answer(database, [found for _, found in pictures], embedder=by)
    with database.write() as connection:
        for idx, (file, _) in enumerate(pictures):
            its = (item_input.c.job_id == job, item_input.c.idx == idx)
            connection.execute(update(item_input).where(*its).values(payload=file.encode()))
    find_all(database, FACES, NEWER)
    return sorted(set(face_ids(database)) - set(before))


def say(database: Database, kind: Said, *faces: int, persona: int | None = None) -> None:
    decide(database, NewDecision(faces=faces, kind=kind, persona=persona), by=ANNA)


def stands(database: Database, face_id: int) -> tuple[str | None, int | None, set[int]]:
    with database.read() as connection:
        each = standing(connection, persona_decision.c.face_id == face_id).get(face_id, Standing())
    return each.is_what, each.persona, set(each.refused)


def test_all_that_stands_is_said_of_the_next_versions_faces_and_learnt_without_new_labels(
    database: Database,
) -> None:
    ada, bob = (make(database, name, by=ANNA).id for name in ("Ada", "Bob"))
    old_left, old_right = send(database, ("a", [at(LEFT, 1), at(RIGHT, 2)]), by=FACES)
    say(database, "label", old_left, persona=ada)
    say(database, "reject", old_left, persona=bob)
    say(database, "stranger", old_right)

    # The next version finds them in another order, and one more.
    extra = at([0.1, 0.6, 0.2, 0.9], 1, 7)
    new_right, new_left, more = send(
        database, ("a", [at(RIGHT_AGAIN, 12), at(LEFT_AGAIN, 11), extra]), by=NEWER
    )
    (other,) = send(database, ("b", [at(LEFT_AGAIN, 11, 5)]), by=NEWER)
    learn(database)

    assert stands(database, new_left) == ("label", ada, {bob})
    assert stands(database, new_right) == ("stranger", None, set())
    assert stands(database, more) == stands(database, other) == (None, None, set())
    assert verdicts(database)[other][0] == ada
    origins = {each.id: each.origin for each in list_decisions(database, limit=100)}
    carried = [each for each in list_decisions(database, limit=100) if each.origin is not None]
    assert {each.face for each in carried} == {new_left, new_right}
    assert all(origins[each.origin or 0] is None for each in carried)
    assert {each.who for each in carried} == {"anna"}


def test_an_undo_takes_back_what_was_carried_over_and_nothing_else_is_undone_first(
    database: Database,
) -> None:
    ada, bob = (make(database, name, by=ANNA).id for name in ("Ada", "Bob"))
    (old,) = send(database, ("a", [at(LEFT, 1)]), by=FACES)
    say(database, "label", old, persona=ada)
    say(database, "label", old, persona=bob)
    (new,) = send(database, ("a", [at(LEFT_AGAIN, 1)]), by=NEWER)
    assert stands(database, new) == ("label", bob, set())

    (undone,) = undo(database, by=ANNA)

    assert undone.face == old
    assert stands(database, old) == stands(database, new) == ("label", ada, set())
    undo(database, by=ANNA)
    assert stands(database, old) == stands(database, new) == (None, None, set())
    with pytest.raises(NotFound, match="no decision that counts"):
        undo(database, by=ANNA)


def test_what_is_said_later_of_either_face_holds_for_both_and_the_last_word_counts(
    database: Database,
) -> None:
    ada, bob = (make(database, name, by=ANNA).id for name in ("Ada", "Bob"))
    (old,) = send(database, ("a", [at(LEFT, 1)]), by=FACES)
    (new,) = send(database, ("a", [at(LEFT_AGAIN, 1)]), by=NEWER)

    say(database, "label", new, persona=ada)
    first = stands(database, old)
    decide(database, NewDecision(faces=(old,), kind="label", persona=bob), by=BERT)

    assert first == ("label", ada, set())
    assert stands(database, new) == stands(database, old) == ("label", bob, set())
    with pytest.raises(Conflict, match="undo one of them first"):
        say(database, "reject", new, persona=bob)
    say(database, "not_a_face", new)
    say(database, "reject", new, persona=bob)
    assert stands(database, old) == ("not_a_face", None, {bob})


def test_a_no_holds_for_every_later_version_and_for_who_was_merged(database: Database) -> None:
    ada, bob = (make(database, name, by=ANNA).id for name in ("Ada", "Bob"))
    (old,) = send(database, ("a", [at(LEFT, 1)]), by=FACES)
    say(database, "reject", old, persona=ada)
    merge(database, ada, bob, by=ANNA)

    (new,) = send(database, ("a", [at(LEFT_AGAIN, 1)]), by=NEWER)
    merged = stands(database, new)
    split(database, ada, by=ANNA)

    assert merged == (None, None, {bob})
    assert stands(database, new) == (None, None, {ada})


def test_nothing_is_carried_between_faces_of_one_version_or_of_other_pictures(
    sqlite_database: Database,
) -> None:
    ada = make(sqlite_database, "Ada", by=ANNA).id
    (old,) = send(sqlite_database, ("a", [at(LEFT, 1)]), by=FACES)
    say(sqlite_database, "label", old, persona=ada)

    (again,) = send(sqlite_database, ("a", [at(LEFT, 1)]), by=FACES)
    elsewhere, other = send(sqlite_database, ("a", [at(RIGHT, 1)]), ("b", [at(LEFT, 1)]), by=NEWER)

    for each in (again, elsewhere, other):
        assert stands(sqlite_database, each) == (None, None, set())


def test_who_is_deleted_with_the_faces_does_not_come_back_by_the_next_version(
    sqlite_database: Database,
) -> None:
    ada = make(sqlite_database, "Ada", by=ANNA).id
    (old,) = send(sqlite_database, ("a", [at(LEFT, 1)]), by=FACES)
    say(sqlite_database, "label", old, persona=ada)
    (new,) = send(sqlite_database, ("a", [at(LEFT_AGAIN, 1)]), by=NEWER)
    assert [each.labelled for each in list_personas(sqlite_database)] == [2]

    gone = remove(sqlite_database, ada, by=ANNA, with_faces=True)

    assert gone == 2
    assert not {old, new} & set(face_ids(sqlite_database))
    with sqlite_database.read() as connection:
        assert connection.execute(select(persona_decision)).all() == []


def test_pictures_in_buckets_are_told_by_where_they_lie_and_what_they_were(sqlite_database: Database) -> None:
    send(sqlite_database, ("a", [at(LEFT, 1)]), by=FACES)
    for etag in ("one", "one", "two"):
        job = answer(sqlite_database, [[at(LEFT, 1)]], embedder=NEWER)
        with sqlite_database.write() as connection:
            connection.execute(item_input.delete().where(item_input.c.job_id == job))
            place = {"url": "s3://photos/a.jpg", "etag": etag, "size_bytes": 7}
            connection.execute(item_reference.insert().values(job_id=job, idx=0, **place))
    job = answer(sqlite_database, [[at(LEFT, 1)]], embedder=NEWER)
    with sqlite_database.write() as connection:
        connection.execute(item_input.delete().where(item_input.c.job_id == job))
    find_all(sqlite_database, FACES, NEWER)

    with sqlite_database.read() as connection:
        sent, one, same, two, unknown = connection.execute(
            select(face.c.picture).order_by(face.c.id)
        ).scalars()
    assert one == same
    assert len({sent, one, two}) == 3
    assert unknown is None


def test_boxes_are_paired_one_to_one_and_the_best_first() -> None:
    near, nearer = [0.0, 0.0, 0.9, 1.0], [0.0, 0.0, 0.95, 1.0]

    assert pairs([[0, 0, 1, 1]], [near, nearer]) == [(0, 1)]
    assert pairs([[0, 0, 1, 1], near], [near, nearer]) == [(1, 0), (0, 1)]
    assert pairs([[0, 0, 1, 1]], [[0, 0, 0.49, 1], [2, 2, 3, 3]]) == []
    assert pairs([], [near]) == []


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ([0, 0, 1, 1], [0, 0, 1, 1], 1.0),
        ([0, 0, 1, 1], [0.5, 0, 1.5, 1], 1 / 3),
        ([0, 0, 1, 1], [1, 0, 2, 1], 0.0),
        ([0, 0, 0, 0], [0, 0, 0, 0], 0.0),
    ],
)
def test_overlap_is_intersection_over_union(
    one: Sequence[float], other: Sequence[float], share: float
) -> None:
    assert overlaps([one], [other]).tolist() == [[pytest.approx(share)]]
