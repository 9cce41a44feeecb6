"""What people said is learnt, and all faces are judged by it; taking it back gives what was before."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import Connection, func, select

from production_server.jobs.database import Database
from production_server.jobs.tables import face, item, persona_classifier, persona_decision, verdict
from production_server.personas import learning
from production_server.personas.classifiers import latest, read_classifiers
from production_server.personas.decisions import decide, undo
from production_server.personas.learner import Learner
from production_server.personas.learning import judge_some, relearn
from production_server.personas.people import make, merge, remove, split
from production_server.personas.records import Change, Embedder, NewDecision, Said
from tests.unit.personas.pictures import (
    ANNA,
    FACES,
    answer,
    face_ids,
    find_all,
    judge_all,
    kill_before_commit,
    learn,
    seen,
    somebody,
    told,
    verdicts,
)


def crowd(database: Database, people: int = 3, each: int = 4) -> list[list[int]]:
    """Faces of people, found; of each person the ids."""
    answer(database, [[told(seen(somebody(p), 100 * p + n))] for p in range(people) for n in range(each)])
    find_all(database)
    ids = face_ids(database)
    return [ids[start : start + each] for start in range(0, len(ids), each)]


def say(database: Database, kind: Said, *faces: int, persona: int | None = None) -> None:
    decide(database, NewDecision(faces=faces, kind=kind, persona=persona), by=ANNA)


def told_changes(database: Database) -> list[Change]:
    return [each.change for each in read_classifiers(database)[0]]


def names(database: Database) -> dict[int, int | None]:
    return {face_id: each[0] for face_id, each in verdicts(database).items()}


def test_one_label_names_the_other_faces_of_that_person(database: Database) -> None:
    ada, bob, _ = crowd(database)
    who = make(database, "Ada", by=ANNA).id

    say(database, "label", ada[0], persona=who)
    learn(database)

    assert names(database) == dict.fromkeys(ada[1:], who) | {
        face_id: None for face_id in names(database) if face_id not in ada
    }
    assert [str(each) for each in told_changes(database)] == ["3 faces changed, 3 gained a name, 0 lost one"]
    assert bob[0] in names(database)


def test_undo_gives_exactly_the_verdicts_from_before(database: Database) -> None:
    ada, bob, _ = crowd(database)
    who, other = (make(database, name, by=ANNA).id for name in ("Ada", "Bob"))
    say(database, "label", ada[0], persona=who)
    learn(database)
    before = verdicts(database)

    say(database, "label", ada[1], bob[0], persona=other)
    learn(database)
    assert verdicts(database) != before
    undo(database, by=ANNA)
    learn(database)

    assert verdicts(database) == before


def test_without_any_label_left_nothing_is_said_of_faces(sqlite_database: Database) -> None:
    ada, *_ = crowd(sqlite_database)
    say(sqlite_database, "label", ada[0], persona=make(sqlite_database, "Ada", by=ANNA).id)
    learn(sqlite_database)

    undo(sqlite_database, by=ANNA)
    learn(sqlite_database)

    assert verdicts(sqlite_database) == {}
    assert str(told_changes(sqlite_database)[0]) == "3 faces changed, 0 gained a name, 3 lost one"


def test_a_no_holds_at_once_and_through_every_relearning(database: Database) -> None:
    ada, *_ = crowd(database)
    who = make(database, "Ada", by=ANNA).id
    say(database, "label", ada[0], persona=who)
    learn(database)

    say(database, "reject", ada[1], persona=who)
    at_once = names(database)
    for face_id in ada[2:]:
        say(database, "label", face_id, persona=who)
        learn(database)
        assert names(database).get(ada[1]) is None

    assert ada[1] not in at_once
    assert ada[1] not in verdicts(database)  # There is nobody else that it could be like.


def test_new_faces_are_judged_by_the_classifier_that_there_is(sqlite_database: Database) -> None:
    ada, *_ = crowd(sqlite_database)
    who = make(sqlite_database, "Ada", by=ANNA).id
    say(sqlite_database, "label", ada[0], persona=who)
    learn(sqlite_database)
    told_before = told_changes(sqlite_database)

    answer(sqlite_database, [[told(seen(somebody(0), 999))]])
    find_all(sqlite_database)
    judge_all(sqlite_database)

    assert names(sqlite_database)[face_ids(sqlite_database)[-1]] == who
    assert told_changes(sqlite_database) == told_before


def test_faces_of_another_version_are_never_compared(sqlite_database: Database) -> None:
    ada, *_ = crowd(sqlite_database)
    newer = Embedder("faces", "2")
    answer(sqlite_database, [[told(seen(somebody(0), 999))]], embedder=newer)
    find_all(sqlite_database, FACES, newer)
    say(sqlite_database, "label", *ada, persona=make(sqlite_database, "Ada", by=ANNA).id)
    learn(sqlite_database)

    assert face_ids(sqlite_database)[-1] not in verdicts(sqlite_database)


@pytest.mark.parametrize("bad", [{"side": 39}, {"sharpness": 19.9}])
def test_blurred_and_tiny_faces_are_labelled_and_not_learnt_from(
    sqlite_database: Database, bad: dict[str, int]
) -> None:
    answer(sqlite_database, [[told(seen(somebody(0), 1), **bad)], [told(seen(somebody(0), 2))]])
    find_all(sqlite_database)
    poor, good = face_ids(sqlite_database)

    say(sqlite_database, "label", poor, persona=make(sqlite_database, "Ada", by=ANNA).id)
    learn(sqlite_database)

    assert good not in verdicts(sqlite_database)


def test_what_is_killed_between_chunks_goes_on_and_judges_each_face_once(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "FACES_AT_ONCE", 5)
    ada, *_ = crowd(sqlite_database)
    say(sqlite_database, "label", ada[0], persona=make(sqlite_database, "Ada", by=ANNA).id)
    relearn(sqlite_database)

    half = judge_some(sqlite_database)
    kill_before_commit(sqlite_database, _judge_next)
    judge_all(sqlite_database)

    assert half is not None
    assert not half.is_done
    assert len(verdicts(sqlite_database)) == 11
    assert str(told_changes(sqlite_database)[0]) == "3 faces changed, 3 gained a name, 0 lost one"


def test_a_persona_deleted_between_chunks_is_in_nothing_afterwards(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "FACES_AT_ONCE", 2)
    ada, bob, _ = crowd(database)
    who, other = (make(database, name, by=ANNA).id for name in ("Ada", "Bob"))
    say(database, "label", ada[0], persona=who)
    say(database, "label", bob[0], persona=other)
    relearn(database)
    judge_some(database)

    remove(database, who, by=ANNA)
    judge_all(database)
    learn(database)

    with database.read() as connection:
        classifiers = connection.execute(select(persona_classifier)).all()
        decided = set(connection.execute(select(persona_decision.c.persona_id)).scalars())
    assert [each.personas for each in classifiers] == [[other], [other]]
    assert {len(each.means) for each in classifiers} == {512}
    assert decided == {other}
    assert {nearest for _, nearest, _ in verdicts(database).values()} == {other}


def test_a_persona_is_deleted_with_its_faces_and_what_tells_them_apart(database: Database) -> None:
    ada, bob, _ = crowd(database)
    who = make(database, "Ada", by=ANNA).id
    say(database, "label", ada[0], persona=who)
    learn(database)

    assert remove(database, who, with_faces=True, by=ANNA) == 4

    with database.read() as connection:
        outputs = connection.execute(select(item.c.output).order_by(item.c.idx)).scalars().all()
        left = connection.execute(select(func.count()).select_from(verdict)).scalar_one()
    assert [output[0]["embedding"] is None for output in outputs] == [True] * 4 + [False] * 8
    assert len(face_ids(database)) == 8
    assert left == 0
    assert bob[0] in face_ids(database)


def test_merged_personas_are_one_and_are_two_again_when_split(sqlite_database: Database) -> None:
    ada, bob, _ = crowd(sqlite_database)
    who, other = (make(sqlite_database, name, by=ANNA).id for name in ("Ada", "Bob"))
    say(sqlite_database, "label", ada[0], persona=who)
    say(sqlite_database, "label", bob[0], persona=other)
    learn(sqlite_database)
    before = verdicts(sqlite_database)

    merge(sqlite_database, who, other, by=ANNA)
    learn(sqlite_database)
    merged = {each[1] for each in verdicts(sqlite_database).values()}
    split(sqlite_database, who, by=ANNA)
    learn(sqlite_database)

    assert merged == {other}
    assert verdicts(sqlite_database) == before


def test_a_step_learns_when_enough_was_said_and_nothing_when_nothing_was(sqlite_database: Database) -> None:
    learner = Learner(sqlite_database, lambda: [FACES])
    people = crowd(sqlite_database, people=1, each=11)
    while learner.step():
        pass
    who = make(sqlite_database, "Ada", by=ANNA).id

    say(sqlite_database, "label", *people[0][:9], persona=who)
    is_early = learner.step()
    say(sqlite_database, "label", people[0][9], persona=who)
    while learner.step():
        pass

    assert not is_early
    assert names(sqlite_database) == {people[0][10]: who}


def _judge_next(connection: Connection) -> None:
    (row,) = latest(connection)
    learning._judge(connection, row, learning._next_faces(connection, row))


def test_what_another_process_has_just_learnt_is_not_learnt_again(sqlite_database: Database) -> None:
    ada, *_ = crowd(sqlite_database)
    say(sqlite_database, "label", ada[0], persona=make(sqlite_database, "Ada", by=ANNA).id)

    relearn(sqlite_database)
    before = told_changes(sqlite_database)
    relearn(sqlite_database)

    assert told_changes(sqlite_database) == before


def test_embeddings_are_kept_as_they_were(sqlite_database: Database) -> None:
    crowd(sqlite_database, people=1, each=1)

    with sqlite_database.read() as connection:
        kept = connection.execute(select(face.c.embedding)).scalar_one()

    assert np.array_equal(np.frombuffer(kept, "<f4"), seen(somebody(0), 0))
