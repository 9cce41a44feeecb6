"""Which question comes next, and to whom. On both databases."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import delete, select, update

from production_server.jobs.database import Database
from production_server.jobs.tables import job, question
from production_server.labels.decisions import decide, undo
from production_server.labels.pool import Pools
from production_server.labels.progress import read_progress
from production_server.labels.questions import Questions
from production_server.labels.records import ItemId, Labeller, NewDecision, Order, Question
from production_server.labels.seen import EVERY
from production_server.models.registry import Registry
from production_server.models.tasks.task import Task
from testing.small_models import write_image_model
from tests.unit.labels.answered import ANNA, BERT, answered
from tests.unit.labels.test_decisions import say

ANNAS_OTHER_WINDOW = Labeller(client="somebody", who="anna", sees_all=False, sitting="two")


@pytest.fixture
def questions(database: Database, small_registry: Registry) -> Questions:
    return Questions(database, small_registry, 10_000, Pools(database, kept_s=0))


@pytest.fixture
def task(small_registry: Registry) -> Task:
    return small_registry.resolve("picture").task


def ask(
    questions: Questions, task: Task, *, by: Labeller = ANNA, order: Order = "margin", count: int = 1
) -> list[ItemId]:
    return [each.item for each in questions.next(task, order, by=by, count=count)]


def answer_all(questions: Questions, task: Task, *, order: Order, count: int) -> list[Question]:
    """Say yes to so many questions, one after the other."""
    asked = []
    for _ in range(count):
        (found,) = questions.next(task, order, by=ANNA)
        say(questions.database, found.item)
        asked.append(found)
    return asked


def test_the_least_sure_answer_comes_first(database: Database, questions: Questions, task: Task) -> None:
    sure, unsure, between = answered(database, [0.99, 0.51, 0.3])

    asked = answer_all(questions, task, order="margin", count=3)

    assert [each.item for each in asked] == [unsure, between, sure]
    assert {each.chosen for each in asked} == {"margin"}
    assert questions.next(task, "margin", by=ANNA) == []


def test_with_a_threshold_the_least_sure_answer_is_the_one_next_to_it(
    database: Database, questions: Questions, small_registry: Registry
) -> None:
    _, next_to_it, _ = answered(database, [0.5, 0.22, 0.01], model="table", labels=("no", "yes"))

    assert ask(questions, small_registry.resolve("table").task) == [next_to_it]


def test_the_newest_answer_comes_first_where_that_is_wanted(
    database: Database, questions: Questions, task: Task
) -> None:
    (old,) = answered(database, [0.51])
    (new,) = answered(database, [0.99])

    assert [each.item for each in answer_all(questions, task, order="newest", count=2)] == [new, old]


def test_every_tenth_question_is_drawn_at_random_and_its_decision_remembers_that(
    database: Database, questions: Questions, task: Task
) -> None:
    answered(database, [0.5 + n / 100 for n in range(EVERY + 5)])

    asked = answer_all(questions, task, order="margin", count=EVERY + 1)

    assert [each.chosen for each in asked] == ["margin"] * (EVERY - 1) + ["random", "margin"]
    with database.read() as connection:
        drawn = connection.execute(select(question.c.is_drawn).where(question.c.chosen == "random")).scalars()
        assert list(drawn)[:1] == [True]


def test_nobody_is_asked_what_somebody_else_has_in_hand(
    database: Database, questions: Questions, task: Task
) -> None:
    answered(database, [0.51, 0.6, 0.7])

    asked = [ask(questions, task, by=by) for by in (ANNA, BERT, ANNAS_OTHER_WINDOW)]

    assert len({which for each in asked for which in each}) == 3
    assert ask(questions, task, by=Labeller(client="somebody", who="carl", sees_all=False)) == []


def test_people_who_ask_in_one_moment_are_asked_different_questions(
    database: Database, questions: Questions, task: Task
) -> None:
    answered(database, [0.51, 0.6, 0.7, 0.8])
    people = [Labeller(client="somebody", who=f"person {n}", sees_all=False) for n in range(4)]

    with ThreadPoolExecutor(4) as pool:
        asked = list(pool.map(lambda who: ask(questions, task, by=who), people))

    assert len({which for each in asked for which in each}) == 4


def test_whoever_asks_again_has_the_same_question_and_the_next_one_behind_it(
    database: Database, questions: Questions, task: Task
) -> None:
    answered(database, [0.51, 0.6, 0.7])

    first = ask(questions, task)
    both = ask(questions, task, count=2)

    assert both[:1] == first and len(set(both)) == 2
    assert ask(questions, task, count=2) == both
    say(database, both[0])
    assert ask(questions, task) == both[1:]


def test_a_question_that_somebody_has_left_comes_back_by_itself(
    database: Database, questions: Questions, task: Task
) -> None:
    answered(database, [0.51])
    left = ask(questions, task)
    assert ask(questions, task, by=BERT) == []

    with database.write() as connection:
        connection.execute(update(question).values(lease_until=question.c.lease_until - 1000))

    assert ask(questions, task, by=BERT) == left
    assert ask(questions, task) == []


def test_a_late_answer_still_tells_how_its_question_was_chosen(
    database: Database, questions: Questions, task: Task
) -> None:
    answered(database, [0.51])
    (which,) = ask(questions, task)
    with database.write() as connection:
        connection.execute(update(question).values(lease_until=0))

    assert say(database, which).chosen == "margin"


def test_what_is_answered_is_asked_no_more_and_what_is_skipped_not_the_same_person(
    database: Database, questions: Questions, task: Task
) -> None:
    first, second = answered(database, [0.51, 0.6])
    say(database, first, kind="ignore")
    say(database, second, kind="skip")

    assert ask(questions, task) == []
    assert ask(questions, task, by=BERT) == [second]


def test_what_is_taken_back_is_asked_next(database: Database, questions: Questions, task: Task) -> None:
    _, second, third = answered(database, [0.51, 0.98, 0.99])
    say(database, third)
    say(database, second)
    ask(questions, task)

    undo(database, "picture", by=ANNA)
    undo(database, "picture", by=ANNA)

    assert ask(questions, task, count=2) == [third, second]


def test_a_second_opinion_is_asked_about_what_others_have_labelled(
    database: Database, questions: Questions, task: Task
) -> None:
    first, _ = answered(database, [0.51, 0.6])
    say(database, first)

    assert ask(questions, task, order="second") == []
    assert ask(questions, task, by=BERT, order="second") == [first]
    assert say(database, first, by=BERT).chosen == "second"
    assert ask(questions, task, by=BERT, order="second") == []


def test_items_of_others_are_asked_only_of_who_may_see_them(
    database: Database, questions: Questions, task: Task
) -> None:
    (which,) = answered(database, [0.51])

    assert ask(questions, task, by=Labeller(client="else", who="eve", sees_all=False)) == []
    assert ask(questions, task, by=Labeller(client="ops", who="root", sees_all=True)) == [which]


def test_an_item_that_was_deleted_meanwhile_is_not_asked(
    database: Database, small_registry: Registry
) -> None:
    questions = Questions(database, small_registry, 10_000, Pools(database, kept_s=1000))
    task = small_registry.resolve("picture").task
    gone, there = answered(database, [0.51]), answered(database, [0.9])
    assert ask(questions, task, by=BERT) == gone

    with database.write() as connection:
        connection.execute(delete(job).where(job.c.id == gone[0].job_id))

    assert ask(questions, task, by=BERT) == there


def test_whoever_has_nothing_left_is_asked_what_was_answered_in_this_moment(
    database: Database, small_registry: Registry
) -> None:
    questions = Questions(database, small_registry, 10_000, Pools(database, kept_s=1000))
    task = small_registry.resolve("picture").task
    assert ask(questions, task) == []

    new = answered(database, [0.51])

    assert ask(questions, task) == new


def test_versions_that_were_taken_away_are_not_asked_about(
    database: Database, questions: Questions, task: Task
) -> None:
    answered(database, [0.51], version="7")

    assert ask(questions, task) == []


def png(pixels: Sequence[Sequence[int]]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.array(pixels, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_near_duplicates_of_what_was_just_answered_come_last(
    database: Database, questions: Questions, task: Task
) -> None:
    stripes = [[0, 255, 0, 255]] * 4
    almost = [[0, 255, 0, 250]] * 4
    other = [[255, 255, 0, 0]] * 4
    first, alike, different = answered(
        database, [0.51, 0.52, 0.9], payloads=[png(stripes), png(almost), png(other)]
    )

    asked = answer_all(questions, task, order="margin", count=3)

    assert [each.item for each in asked] == [first, different, alike]


def test_progress_counts_what_is_left_and_how_fast_it_goes(
    database: Database, questions: Questions, task: Task
) -> None:
    items = answered(database, [0.51, 0.6, 0.7, 0.8])
    say(database, items[0])
    say(database, items[1], kind="skip")
    say(database, items[2], by=BERT)

    progress = read_progress(questions, task, by=ANNA)

    assert (progress.left, progress.is_all) == (1, True)
    assert (progress.mine, progress.per_minute, progress.labelled) == (2, 2, 2)


def test_a_large_pool_tells_that_there_is_more(database: Database, small_registry: Registry) -> None:
    task = small_registry.resolve("picture").task
    answered(database, [0.6] * 103)
    questions = Questions(database, small_registry, 10_000, Pools(database, most=100))

    assert questions.left(task, by=ANNA) == (100, False)


def test_accuracy_is_told_of_what_was_drawn_at_random_alone_and_by_version(
    database: Database, questions: Questions, task: Task
) -> None:
    answered(database, [0.9] * 3)
    for answer in ("bright", "dark", "bright"):
        (found,) = questions.next(task, "random", by=ANNA)
        say(database, found.item, answer)
    (biased,) = answered(database, [0.51])
    say(database, biased, "dark")

    accuracy = read_progress(questions, task, by=ANNA).accuracy

    assert {version: (each.hits, each.of) for version, each in accuracy.items()} == {"1": (2, 3)}
    assert 0.2 < accuracy["1"].low < 2 / 3 < accuracy["1"].high < 1


def test_what_is_drawn_may_have_a_label_already_and_is_not_asked_again(
    database: Database, questions: Questions, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = answered(database, [0.9] * 4)
    for which in items[:3]:
        say(database, which, "dark")
    monkeypatch.setattr("random.random", lambda: 0.99)  # the labelled ones are drawn first

    assert ask(questions, task, order="random") == [items[3]]

    accuracy = read_progress(questions, task, by=ANNA).accuracy
    assert (accuracy["1"].hits, accuracy["1"].of) == (0, 3)


def test_agreement_is_told_of_what_two_have_labelled(
    database: Database, questions: Questions, task: Task
) -> None:
    items = answered(database, [0.9] * 4)
    for which, first, second in zip(items, "aabb", "abbb", strict=True):
        say(database, which, first)
        say(database, which, second, by=BERT)

    agreement = read_progress(questions, task, by=ANNA).agreement

    assert (agreement.items, agreement.equal) == (4, 3)
    assert agreement.kappa == pytest.approx(0.5)


def test_a_word_of_another_version_of_the_model_is_asked_too(database: Database, tmp_path: Path) -> None:
    for version in ("1", "2"):
        write_image_model(tmp_path, version=version)
    registry = Registry([tmp_path])
    questions = Questions(database, registry, 10_000, Pools(database, kept_s=0))
    (old,) = answered(database, [0.6])
    (new,) = answered(database, [0.7], version="2")

    assert ask(questions, registry.resolve("picture").task, count=2) == [old, new]


def test_an_import_is_no_question(database: Database, questions: Questions, task: Task) -> None:
    (which,) = answered(database, [0.9])
    said = NewDecision(model="picture", item=which, kind="label", answer="dark")
    decide(database, said, by=ANNA)

    assert ask(questions, task) == []
