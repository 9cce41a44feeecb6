"""Saying who faces are: all at once or nothing, never against what was said, and back without limit."""

from __future__ import annotations

import pytest

from production_server.errors import Conflict, InvalidInput, NotFound
from production_server.jobs.database import Database
from production_server.personas.decisions import decide, undo
from production_server.personas.people import list_personas, make, merge, read_name, remove, rename, split
from production_server.personas.records import NewDecision
from tests.unit.personas.pictures import ANNA, BERT, of


def counts(database: Database) -> dict[str, int]:
    return {each.name: each.labelled for each in list_personas(database)}


def test_many_faces_are_decided_at_once_and_undone_at_once(database: Database, faces: list[int]) -> None:
    ada = make(database, "Ada", by=ANNA).id

    made = decide(database, of("label", *faces, faces[0], persona=ada), by=ANNA)
    before = counts(database)
    undone = undo(database, by=ANNA)

    assert [each.face for each in made] == faces
    assert len({each.batch for each in made}) == 1
    assert (before, counts(database)) == ({"Ada": 3}, {"Ada": 0})
    assert {each.replaces for each in undone} == {each.id for each in made}
    with pytest.raises(NotFound, match="no decision that counts"):
        undo(database, by=ANNA)


def test_the_last_word_counts_and_undoing_it_brings_back_the_one_before(
    database: Database, faces: list[int]
) -> None:
    ada, bob = (make(database, name, by=ANNA).id for name in ("Ada", "Bob"))
    decide(database, of("label", faces[0], persona=ada), by=ANNA)

    (second,) = decide(database, of("label", faces[0], persona=bob), by=BERT)
    last = counts(database)
    undo(database, by=BERT, decision_id=second.id)

    assert (last, counts(database)) == ({"Ada": 0, "Bob": 1}, {"Ada": 1, "Bob": 0})
    with pytest.raises(Conflict, match="undone already"):
        undo(database, by=BERT, decision_id=second.id)
    with pytest.raises(NotFound, match="no decision"):
        undo(database, by=ANNA, decision_id=second.id)


def test_what_is_said_twice_is_kept_once(database: Database, faces: list[int]) -> None:
    ada = make(database, "Ada", by=ANNA).id
    decide(database, of("label", faces[0], persona=ada), by=ANNA)

    assert decide(database, of("label", faces[0], persona=ada), by=BERT) == []


def test_a_contradiction_is_refused_as_a_whole(database: Database, faces: list[int]) -> None:
    ada = make(database, "Ada", by=ANNA).id
    decide(database, of("reject", faces[1], persona=ada), by=ANNA)

    with pytest.raises(Conflict, match=f"face {faces[1]} is persona {ada}") as refused:
        decide(database, of("label", *faces, persona=ada), by=BERT)

    assert refused.value.code == "face_contradicted"
    assert counts(database) == {"Ada": 0}


def test_an_undo_that_would_contradict_is_refused(database: Database, faces: list[int]) -> None:
    ada = make(database, "Ada", by=ANNA).id
    decide(database, of("label", faces[0], persona=ada), by=ANNA)
    (nobody,) = decide(database, of("stranger", faces[0]), by=ANNA)
    decide(database, of("reject", faces[0], persona=ada), by=ANNA)

    with pytest.raises(Conflict, match="undo one of them first"):
        undo(database, by=ANNA, decision_id=nobody.id)


def test_personas_that_a_face_tells_apart_are_not_merged(database: Database, faces: list[int]) -> None:
    ada, bob = (make(database, name, by=ANNA).id for name in ("Ada", "Bob"))
    decide(database, of("label", faces[0], persona=ada), by=ANNA)
    decide(database, of("reject", faces[0], persona=bob), by=ANNA)

    with pytest.raises(Conflict, match="undo one of them first"):
        merge(database, ada, bob, by=ANNA)

    assert set(counts(database)) == {"Ada", "Bob"}


def test_what_is_said_of_a_merged_persona_counts_for_the_other(database: Database, faces: list[int]) -> None:
    ada, bob = (make(database, name, by=ANNA).id for name in ("Ada", "Bob"))
    decide(database, of("label", faces[0], persona=ada), by=ANNA)

    merge(database, ada, bob, by=ANNA)
    decide(database, of("label", faces[1], persona=ada), by=ANNA)

    assert counts(database) == {"Bob": 2}
    assert rename(database, bob, "Ada", by=ANNA).name == "Ada"
    with pytest.raises(Conflict, match="is called"):
        split(database, ada, by=ANNA)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (of("label", 1), InvalidInput),
        (of("stranger", 1, persona=1), InvalidInput),
        (of("stranger"), InvalidInput),
        (of("stranger", *range(501)), InvalidInput),
        (of("stranger", 10**6), NotFound),
        (of("label", 1, persona=10**6), NotFound),
    ],
)
def test_what_cannot_be_meant_is_refused(
    sqlite_database: Database, said: NewDecision, error: type[Exception]
) -> None:
    with pytest.raises(error):
        decide(sqlite_database, said, by=ANNA)


def test_a_label_for_a_face_that_was_deleted_meanwhile_says_so(database: Database, faces: list[int]) -> None:
    ada, bob = (make(database, name, by=ANNA).id for name in ("Ada", "Bob"))
    decide(database, of("label", faces[0], persona=ada), by=ANNA)

    remove(database, ada, with_faces=True, by=ANNA)

    with pytest.raises(NotFound, match="may have been deleted"):
        decide(database, of("label", faces[0], persona=bob), by=ANNA)
    with pytest.raises(NotFound, match="may have been deleted"):
        decide(database, of("label", faces[1], persona=ada), by=ANNA)


@pytest.mark.parametrize("name", ["", "  ", "a" * 101, "a\nb", "a\0"])
def test_names_that_cannot_be_shown_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="name: expected"):
        read_name(name)
