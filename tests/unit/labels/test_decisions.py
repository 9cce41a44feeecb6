"""Decisions: who said what of which item, what counts, and what is taken back. On both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import delete, func, select

from production_server.errors import Conflict, InvalidInput, NotFound
from production_server.jobs.database import Database
from production_server.jobs.tables import decision, job
from production_server.labels.decisions import decide, list_decisions, undo
from production_server.labels.records import Decision, ItemId, Labeller, NewDecision, Said
from production_server.labels.standing import current
from tests.unit.labels.answered import ANNA, BERT, STRANGER, answered

MODEL = "picture"


def say(
    database: Database,
    which: ItemId,
    answer: str | None = None,
    *,
    kind: Said = "label",
    by: Labeller = ANNA,
    key: str | None = None,
    choices: tuple[str, ...] = (),
) -> Decision:
    said = NewDecision(
        model=MODEL, item=which, kind=kind, answer=answer, choices=choices, idempotency_key=key
    )
    return decide(database, said, by=by)[0]


def label_of(database: Database, which: ItemId) -> str | None:
    found = current(database, [which]).get(which)
    return None if found is None else found.answer


def rows(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(decision)).scalar_one())


def test_a_decision_tells_who_said_what_of_which_answer_and_what_it_replaces(database: Database) -> None:
    (which,) = answered(database, [0.9])

    first = say(database, which)
    second = say(database, which, "dark", by=BERT)

    assert (first.answer, first.predicted, first.score, first.version) == ("bright", "bright", 0.9, "1")
    assert (first.who, first.kind, first.chosen, first.replaces) == ("anna", "label", "direct", None)
    assert (second.who, second.replaces) == ("bert", first.id)
    assert label_of(database, which) == "dark"


def test_an_undo_is_a_row_and_what_was_said_before_counts_again(database: Database) -> None:
    (which,) = answered(database, [0.9])
    first = say(database, which)
    second = say(database, which, "dark")

    taken_back = undo(database, MODEL, by=ANNA)

    assert (taken_back.kind, taken_back.replaces, taken_back.answer) == ("undo", second.id, "dark")
    assert label_of(database, which) == "bright"
    assert undo(database, MODEL, by=ANNA).replaces == first.id
    assert label_of(database, which) is None
    assert [each.kind for each in list_decisions(database, MODEL, whose=None, limit=9)] == [
        "undo", "undo", "label", "label",
    ]  # fmt: skip


def test_undoing_goes_back_without_limit_and_no_further_than_there_is(database: Database) -> None:
    items = answered(database, [0.9] * 12)
    for which in items:
        say(database, which)

    for which in reversed(items):
        assert undo(database, MODEL, by=ANNA).item == which

    with pytest.raises(NotFound) as refused:
        undo(database, MODEL, by=ANNA)
    assert refused.value.code == "decision_not_found"


def test_nobody_undoes_what_somebody_else_has_said(database: Database) -> None:
    (which,) = answered(database, [0.9])
    made = say(database, which)

    with pytest.raises(NotFound):
        undo(database, MODEL, by=BERT)
    with pytest.raises(NotFound):
        undo(database, MODEL, by=BERT, decision_id=made.id)

    assert label_of(database, which) == "bright"


def test_a_decision_is_undone_once(database: Database) -> None:
    (which,) = answered(database, [0.9])
    made = say(database, which)
    undo(database, MODEL, by=ANNA, decision_id=made.id)

    with pytest.raises(Conflict) as refused:
        undo(database, MODEL, by=ANNA, decision_id=made.id)

    assert refused.value.code == "decision_undone"


def test_undoing_at_once_undoes_different_decisions(database: Database) -> None:
    items = answered(database, [0.9] * 4)
    for which in items:
        say(database, which)

    with ThreadPoolExecutor(4) as pool:
        undone = list(pool.map(lambda _: undo(database, MODEL, by=ANNA).item, range(4)))

    assert sorted(undone) == sorted(items)


def test_the_same_request_sent_twice_is_one_decision(database: Database) -> None:
    (which,) = answered(database, [0.9])

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: say(database, which, "dark", key="once"), range(4)))

    assert len({each.id for each in made}) == 1 == rows(database)


def test_a_key_that_comes_with_something_else_is_a_conflict(database: Database) -> None:
    (which,) = answered(database, [0.9])
    say(database, which, "dark", key="once")

    with pytest.raises(Conflict):
        say(database, which, "bright", key="once")


def test_an_undo_sent_twice_undoes_one(database: Database) -> None:
    first, second = answered(database, [0.9, 0.8])
    say(database, first)
    say(database, second)

    undo(database, MODEL, by=ANNA, idempotency_key="once")
    undo(database, MODEL, by=ANNA, idempotency_key="once")

    assert label_of(database, first) == "bright"


def test_of_two_labels_what_is_not_the_one_is_the_other(database: Database) -> None:
    (which,) = answered(database, [0.9])

    made = say(database, which, kind="reject", choices=("dark", "bright"))

    assert (made.kind, made.answer) == ("label", "dark")


def test_of_more_labels_a_rejection_says_which_one_it_is_not(database: Database) -> None:
    (which,) = answered(database, [0.9])

    made = say(database, which, kind="reject", choices=("dark", "bright", "grey"))

    assert (made.kind, made.answer) == ("reject", "bright")


def test_skipping_leaves_what_was_said_before(database: Database) -> None:
    (which,) = answered(database, [0.9])
    say(database, which, "dark")

    say(database, which, kind="skip", by=BERT)

    assert label_of(database, which) == "dark"


@pytest.mark.parametrize("which", ["another client's", "of no job", "of another model"])
def test_an_item_that_is_not_there_for_somebody_has_no_label(database: Database, which: str) -> None:
    (there,) = answered(database, [0.9], model="table" if which == "of another model" else MODEL)
    asked = ItemId(uuid4(), 0) if which == "of no job" else there

    with pytest.raises(NotFound) as refused:
        say(database, asked, "dark", by=STRANGER if which == "another client's" else ANNA)

    assert refused.value.code == "item_not_found"


def test_an_item_that_was_deleted_meanwhile_has_no_label_and_leaves_no_decision(database: Database) -> None:
    (which,) = answered(database, [0.9])
    say(database, which)
    with database.write() as connection:
        connection.execute(delete(job).where(job.c.id == which.job_id))

    with pytest.raises(NotFound):
        say(database, which, "dark")

    assert rows(database) == 0


def test_two_people_at_once_both_are_remembered_one_after_the_other(database: Database) -> None:
    (which,) = answered(database, [0.9])

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda who: say(database, which, "dark", by=who), (ANNA, BERT)))

    first, second = sorted(made, key=lambda each: each.id)
    assert (first.replaces, second.replaces) == (None, first.id)


def test_right_or_wrong_needs_an_answer(database: Database) -> None:
    from tests.unit.jobs.test_jobs import accept

    waiting = accept(database, 1)

    with pytest.raises(InvalidInput):
        decide(
            database,
            NewDecision(model=waiting.model, item=ItemId(waiting.id, 0), kind="label"),
            by=Labeller(client=waiting.client, who="anna", sees_all=True),
        )
