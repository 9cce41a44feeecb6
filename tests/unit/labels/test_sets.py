"""Labels as they stand, files that bring some, and sets of them. On both databases."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import delete

from production_server.errors import Conflict, Fault, InvalidInput, NotFound
from production_server.jobs.database import Database
from production_server.jobs.tables import job
from production_server.labels.bringing import bring
from production_server.labels.decisions import undo
from production_server.labels.files import Line, Told
from production_server.labels.labelled import every_label
from production_server.labels.records import ItemId, Label
from production_server.labels.sets import (
    LabelSet,
    check_is_whole,
    get_set,
    labels_of_set,
    list_sets,
    make_set,
)
from production_server.labels.standing import current
from production_server.models.registry import Registry
from production_server.models.tasks.task import Task
from tests.unit.jobs.results import classified_objects
from tests.unit.labels.answered import ANNA, BERT, STRANGER, answered
from tests.unit.labels.test_decisions import say


@pytest.fixture
def task(small_registry: Registry) -> Task:
    return small_registry.resolve("picture").task


def labels(database: Database, whose: str | None = None) -> list[Label]:
    return list(every_label(database, "picture", whose=whose))


def keep(database: Database, name: str = "first") -> LabelSet:
    return make_set(database, name, "picture", whose=None, client="somebody")


def test_labels_are_the_last_that_stand_and_neither_rejections_nor_ignored(database: Database) -> None:
    first, second, third, fourth = answered(database, [0.9] * 4)
    say(database, first, "dark")
    say(database, first, "bright", by=BERT)
    say(database, second, kind="ignore")
    say(database, third, kind="reject", choices=("a", "b", "c"))
    say(database, fourth, "dark")
    undo(database, "picture", by=ANNA)

    (only,) = labels(database)

    assert (only.item, only.label, only.who, only.name) == (first, "bright", "bert", "item 0.png")
    assert labels(database, "else") == []


def test_lines_become_decisions_and_the_bad_ones_are_told(database: Database, task: Task) -> None:
    items = answered(database, [0.9, 0.2])
    lines: list[Line] = [
        Told("line 2", "dark", items[0]),
        Fault("line 3", "a label", "none"),
        Told("line 4", "purple", items[1]),
        Told("line 5", "dark", ItemId(uuid4(), 0)),
        Told("line 6", "bright", name="item 1.png"),
        Told("line 7", "dark", items[0]),
    ]

    brought = bring(database, task, lines, by=ANNA, is_new=False)

    assert (brought.stored, brought.unchanged, brought.refused) == (2, 0, 4)
    assert [each.field for each in brought.faults] == ["line 3", "line 4", "line 5", "line 7"]
    found = current(database, items)
    assert [found[each].answer for each in items] == ["dark", "bright"]
    assert {(each.chosen, each.who, each.predicted) for each in found.values()} == {
        ("import", "anna", "bright"),
        ("import", "anna", "dark"),
    }


def test_a_file_that_is_sent_again_changes_nothing(database: Database, task: Task) -> None:
    items = answered(database, [0.9, 0.2])
    lines = [Told(f"line {n}", "dark", each) for n, each in enumerate(items)]
    bring(database, task, lines, by=ANNA, is_new=False)

    again = bring(database, task, lines, by=ANNA, is_new=False)
    others = bring(database, task, lines, by=BERT, is_new=False)

    assert (again.stored, again.unchanged) == (0, 2)
    assert (others.stored, others.unchanged) == (2, 0)


def test_an_address_means_the_latest_item_of_it(database: Database, task: Task) -> None:
    old = classified_objects(database, ["s3://a/b.png"], [("dark", 0.9)])
    new = answered(database, [0.9])

    brought = bring(
        database,
        task,
        [Told("line 2", "bright", url="s3://a/b.png"), Told("line 3", "bright", url="s3://a/c.png")],
        by=ANNA,
        is_new=False,
    )

    assert (brought.stored, brought.refused) == (1, 1)
    assert list(current(database, [ItemId(old.id, 0), *new])) == [ItemId(old.id, 0)]


def test_nobody_labels_items_of_others_by_a_file(database: Database, task: Task) -> None:
    (which,) = answered(database, [0.9])

    brought = bring(
        database,
        task,
        [Told("line 2", "dark", which), Told("line 3", "dark", name="item 0.png")],
        by=STRANGER,
        is_new=False,
    )

    assert (brought.stored, brought.refused) == (0, 2)


def test_a_set_stays_as_it_was_and_its_digest_is_of_inputs_and_labels_alone(database: Database) -> None:
    payloads = [b"one", b"two"]
    first, second = answered(database, [0.9, 0.9], payloads=payloads)
    say(database, first, "dark")
    say(database, second, "bright")
    kept = keep(database)

    say(database, first, "bright")
    changed = keep(database, "changed")
    again = answered(database, [0.9, 0.9], payloads=payloads[::-1])
    for which in (first, second):
        say(database, which, kind="ignore")
    say(database, again[0], "bright")
    say(database, again[1], "dark")
    same = keep(database, "same")

    assert [each.label for each in labels_of_set(database, kept)] == ["dark", "bright"]
    assert kept.items == 2 and kept.digest == same.digest != changed.digest
    check_is_whole(database, kept)
    assert [each.name for each in list_sets(database, whose=None, limit=10)] == ["same", "changed", "first"]


def test_a_set_is_made_once_under_a_name_that_it_can_have(database: Database) -> None:
    with pytest.raises(InvalidInput, match="a model with labels"):
        keep(database)
    say(database, answered(database, [0.9])[0])
    keep(database)

    with pytest.raises(Conflict) as refused:
        keep(database)
    assert refused.value.code == "label_set_exists"
    with pytest.raises(InvalidInput):
        keep(database, "../x")


def test_a_set_is_its_clients(database: Database) -> None:
    say(database, answered(database, [0.9])[0])
    keep(database)

    assert get_set(database, "first", whose="somebody").items == 1
    with pytest.raises(NotFound) as refused:
        get_set(database, "first", whose="else")
    assert refused.value.code == "label_set_not_found"


def test_a_set_whose_items_were_deleted_is_no_whole_one(database: Database) -> None:
    say(database, answered(database, [0.9])[0])
    gone = answered(database, [0.9])[0]
    say(database, gone)
    kept = keep(database)
    with database.write() as connection:
        connection.execute(delete(job).where(job.c.id == gone.job_id))

    with pytest.raises(Conflict, match="1 of 2 items were deleted"):
        check_is_whole(database, kept)
