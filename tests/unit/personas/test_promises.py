"""How many strangers get a name is what somebody says: set, tried and set back."""

from __future__ import annotations

import pytest

from production_server.access.audit import Wanted, every_line
from production_server.errors import InvalidInput, NotFound
from production_server.jobs.database import Database
from production_server.personas.classifiers import read_classifiers
from production_server.personas.decisions import decide
from production_server.personas.people import make, merge, remove, rename, split
from production_server.personas.promises import set_promise
from production_server.personas.records import Classifier, Embedder, NewDecision
from production_server.personas.trying import try_promises
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

PEOPLE, EACH = 15, 4


@pytest.fixture
def crowded(sqlite_database: Database) -> Database:
    """Two of four faces of each of 15 people are labelled; the others are more or less like them."""
    pictures = [
        [told(seen(somebody(p), 100 * p + n, spread=0.02 if n < 2 else 0.04 + 0.01 * p))]
        for p in range(PEOPLE)
        for n in range(EACH)
    ]
    answer(sqlite_database, pictures)
    find_all(sqlite_database)
    ids = face_ids(sqlite_database)
    for p in range(PEOPLE):
        who = make(sqlite_database, f"P{p}", by=ANNA).id
        faces = tuple(ids[p * EACH : p * EACH + 2])
        decide(sqlite_database, NewDecision(faces=faces, kind="label", persona=who), by=ANNA)
    learn(sqlite_database)
    return sqlite_database


def judging(database: Database) -> Classifier:
    (only,) = read_classifiers(database)[0]
    return only


def named(database: Database) -> set[int]:
    return {face_id for face_id, (who, _, _) in verdicts(database).items() if who is not None}


def test_more_strangers_mean_more_names_and_set_back_the_verdicts_are_those_from_before(
    crowded: Database,
) -> None:
    before, few = verdicts(crowded), named(crowded)

    set_promise(crowded, "faces", 5, by=BERT)
    learn(crowded)
    many, loose = named(crowded), judging(crowded)
    set_promise(crowded, "faces", 100, by=ANNA)
    learn(crowded)

    assert few < many
    assert (loose.one_in, loose.promised and loose.promised.who) == (5, "bert")
    assert verdicts(crowded) == before


def test_what_is_tried_is_what_comes_of_it_and_changes_nothing(crowded: Database) -> None:
    before = named(crowded)

    tries = try_promises(crowded, FACES, [5, 1_000], limit=100)
    unchanged = named(crowded)
    set_promise(crowded, "faces", 5, by=ANNA)
    learn(crowded)

    assert unchanged == before
    assert tries.would_gain
    assert {each.id for each in tries.between} == named(crowded) - before
    cosines = [each.cosine or 0 for each in tries.between]
    assert cosines == sorted(cosines, reverse=True)
    loose, strict = tries.tried
    assert (loose.named, tries.now_named) == (len(named(crowded)), len(before))
    assert strict.threshold > tries.now.threshold > loose.threshold == judging(crowded).threshold
    assert loose.promise == judging(crowded).promise
    back = try_promises(crowded, FACES, [100], limit=100)
    assert [each.id for each in back.between] == [each.id for each in tries.between]
    assert not back.would_gain


@pytest.mark.parametrize("one_in", [1, 10_001])
def test_what_nobody_can_promise_is_refused(crowded: Database, one_in: int) -> None:
    with pytest.raises(InvalidInput, match="one_in: expected 2 to 10000"):
        set_promise(crowded, "faces", one_in, by=ANNA)
    with pytest.raises(InvalidInput, match="one_in"):
        try_promises(crowded, FACES, [one_in], limit=10)


@pytest.mark.parametrize("name", ["nothing", "", "a\0b", "a" * 1000])
def test_what_is_no_model_that_has_found_faces_can_promise_nothing(database: Database, name: str) -> None:
    with pytest.raises(NotFound, match="has found faces"):
        set_promise(database, name, 50, by=ANNA)


def test_nothing_is_tried_of_a_version_that_nothing_judges(crowded: Database) -> None:
    with pytest.raises(NotFound, match="nothing judges faces of faces/2"):
        try_promises(crowded, Embedder("faces", "2"), [50], limit=10)


def test_the_audit_tells_who_changed_personas_and_names_none(database: Database) -> None:
    answer(database, [[told(somebody(1))]])
    find_all(database)
    ada, bob = (make(database, name, by=ANNA).id for name in ("Ada", "Bob"))

    rename(database, ada, "Eva", by=BERT)
    rename(database, ada, "Eva", by=BERT)
    merge(database, ada, bob, by=ANNA)
    split(database, ada, by=ANNA)
    set_promise(database, "faces", 50, by=ANNA)
    set_promise(database, "faces", 50, by=ANNA)
    remove(database, ada, by=ANNA)

    lines = list(every_line(database, Wanted()))[::-1]
    assert [(each.act, each.object, each.before, each.after) for each in lines] == [
        ("persona.made", str(ada), None, None),
        ("persona.made", str(bob), None, None),
        ("persona.renamed", str(ada), None, None),
        ("persona.merged", str(ada), None, {"into": bob}),
        ("persona.split", str(ada), {"into": bob}, None),
        ("promise.set", "faces", {"one_in": 100}, {"one_in": 50}),
        ("persona.deleted", str(ada), {"faces": 0}, None),
    ]
