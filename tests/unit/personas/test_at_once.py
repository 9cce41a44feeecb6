"""Several people and processes at the same moment: about one face, one that is being deleted, one persona."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TypeVar

import pytest
from sqlalchemy import select

from production_server.access.audit import Notes, noting
from production_server.access.records import Actor
from production_server.errors import Conflict, NotFound
from production_server.jobs.database import Database
from production_server.jobs.tables import face, persona_classifier, persona_decision
from production_server.learning.persona_means import Labelled, PersonaMeans, fit
from production_server.personas import learning, people
from production_server.personas.decisions import decide
from production_server.personas.learning import relearn
from production_server.personas.people import make, remove
from production_server.personas.records import Decision
from production_server.personas.standing import standing
from tests.unit.personas.pictures import (
    ANNA,
    BERT,
    learn,
    of,
    verdicts,
)

T = TypeVar("T")


def at_once(*acts: Callable[[], T]) -> list[Future[T]]:
    """What came of acts that begin at the same moment."""
    ready = threading.Barrier(len(acts))

    def begin(act: Callable[[], T]) -> T:
        ready.wait(timeout=10)
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [pool.submit(begin, act) for act in acts]


def test_of_two_people_at_once_the_later_one_has_the_word_and_knows_the_other(
    database: Database, faces: list[int]
) -> None:
    ada, bob = (make(database, name, by=ANNA).id for name in ("Ada", "Bob"))

    done = at_once(
        lambda: decide(database, of("label", faces[0], persona=ada), by=ANNA),
        lambda: decide(database, of("label", faces[0], persona=bob), by=BERT),
    )

    first, second = sorted((each.result()[0] for each in done), key=lambda made: made.id)
    with database.read() as connection:
        told_now = standing(connection)[faces[0]]
    assert (first.replaces, second.replaces) == (None, first.id)
    assert (told_now.persona, told_now.decision) == (second.persona, second.id)


def test_of_a_yes_and_a_no_at_once_one_is_refused(database: Database, faces: list[int]) -> None:
    ada = make(database, "Ada", by=ANNA).id

    done = at_once(
        lambda: decide(database, of("label", *faces, persona=ada), by=ANNA),
        lambda: decide(database, of("reject", faces[1], persona=ada), by=BERT),
    )

    errors = [each.exception() for each in done]
    assert len([each for each in errors if isinstance(each, Conflict)]) == 1
    assert errors.count(None) == 1
    with database.read() as connection:
        told_now = standing(connection)
    assert (told_now[faces[1]].persona == ada) != (ada in told_now[faces[1]].refused)


def test_a_label_for_a_face_that_is_being_deleted_is_refused_or_deleted_with_it(
    database: Database, faces: list[int]
) -> None:
    ada, bob = (make(database, name, by=ANNA).id for name in ("Ada", "Bob"))
    decide(database, of("label", faces[0], persona=ada), by=ANNA)

    def label() -> list[Decision]:
        return decide(database, of("stranger", *faces[:2]), by=BERT)

    removed, said = at_once(lambda: remove(database, ada, by=ANNA, with_faces=True), label)

    error = said.exception()
    with database.read() as connection:
        left = set(connection.execute(select(face.c.id)).scalars())
        decided = set(connection.execute(select(persona_decision.c.face_id)).scalars())
    if error is None:  # It was no face of Ada's any more when she was deleted.
        assert (removed.result(), left, decided) == (0, set(faces), set(faces[:2]))
    else:
        assert isinstance(error, NotFound)
        assert (removed.result(), left, decided) == (1, set(faces[1:]), set())
    assert make(database, "Ada", by=ANNA).id not in (ada, bob)


def test_a_persona_that_is_deleted_while_a_classifier_is_made_is_not_in_it(
    database: Database, faces: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob = (make(database, name, by=ANNA).id for name in ("Ada", "Bob"))
    decide(database, of("label", faces[0], persona=ada), by=ANNA)
    decide(database, of("label", faces[1], persona=bob), by=ANNA)
    is_fitting, is_removing = threading.Event(), threading.Event()

    def slow_fit(labelled: Labelled, *, strangers_named: float) -> PersonaMeans:
        is_fitting.set()
        assert is_removing.wait(timeout=10)
        return fit(labelled, strangers_named=strangers_named)

    def delete() -> int:
        assert is_fitting.wait(timeout=10)
        return remove(database, ada, by=ANNA)

    def tell_and_note(by: Actor) -> AbstractContextManager[Notes]:
        is_removing.set()
        return noting(by)

    monkeypatch.setattr(learning, "fit", slow_fit)
    monkeypatch.setattr(people, "noting", tell_and_note)

    for each in at_once(lambda: relearn(database), delete):
        each.result()

    with database.read() as connection:
        (made,) = connection.execute(select(persona_classifier)).all()
    assert made.personas == [bob]
    assert len(made.means) == 512
    monkeypatch.setattr(learning, "fit", fit)
    learn(database)
    assert {nearest for _, nearest, _ in verdicts(database).values()} == {bob}
