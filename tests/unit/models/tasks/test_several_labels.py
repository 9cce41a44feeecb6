from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from production_server.errors import InferenceFailed
from production_server.jobs.records import Item
from production_server.models.manifest import read_manifest
from production_server.models.tasks import task_of
from production_server.models.tasks.label_sets import labels_in, to_text
from production_server.models.tasks.several_evaluation import evaluate
from production_server.models.tasks.several_labels import SeveralLabels
from production_server.models.tasks.task import Bar, Prediction, Shown, Task
from testing.small_models import write_tags_model

LABELS = ("cat", "dog", "mug")


def task(folder: Path, **changes: Any) -> Task:
    return task_of(read_manifest(write_tags_model(folder, **changes)))


def predict(task: Task, *rows: list[float]) -> list[Prediction]:
    answers = task.predict({"probabilities": np.array(rows, np.float32)})
    return [each for each in answers if isinstance(each, Prediction)]


def item(expected: tuple[str, ...] | None, answered: tuple[str, ...] | None) -> Item:
    return Item(
        index=0, name=None, expected=None if expected is None else to_text(expected), outside_training_range=(),
        state="failed" if answered is None else "succeeded", label=None if answered is None else to_text(answered),
        score=0.5, output=(), error_code=None, error_message=None, ms=None,
    )  # fmt: skip


def test_each_label_is_an_answer_from_its_own_threshold_on(tmp_path: Path) -> None:
    both, none, edge = predict(task(tmp_path), [0.9, 0.4, 0.8], [0.4, 0.2, 0.89], [0.5, 0.3, 0.9])

    assert [labels_in(each.label) for each in (both, none, edge)] == [("cat", "dog"), (), LABELS]
    assert [each.score for each in (both, none, edge)] == [0.9, 0.89, 0.9]
    assert both.output == (0.9, 0.4, 0.8)


def test_bars_show_all_labels_with_their_thresholds(tmp_path: Path) -> None:
    several = task(tmp_path)
    (answer,) = predict(several, [0.9, 0.4, 0.8])

    assert several.bars(answer) == [
        Bar("cat", 0.9, is_answer=True, threshold=0.5),
        Bar("dog", 0.4, is_answer=True, threshold=0.3),
        Bar("mug", 0.8, is_answer=False, threshold=0.9),
    ]
    assert several.show(answer) == Shown("cat, dog")
    assert [each.label for each in several.best_labels(answer)] == ["cat", "mug", "dog"]


def test_of_many_labels_the_best_are_kept_and_whatever_else_is_an_answer(tmp_path: Path) -> None:
    several = task(tmp_path, top=1)

    (answer,) = predict(several, [0.4, 0.35, 0.8])

    assert answer.output == ((2, 0.8), (1, 0.35))
    assert several.cells(answer) == ["mug", 0.8, "dog", 0.35]
    assert several.columns() == ["label 1", "score 1"]
    assert several.numbers(answer) is None
    assert [bar.is_answer for bar in several.bars(answer)] == [False, True]


def test_more_labels_than_an_index_has_room_for_fail_their_item_alone(tmp_path: Path) -> None:
    several = task(tmp_path, labels=["c" * 900, "d" * 900, "m" * 900])

    kept, failed = several.predict(
        {"probabilities": np.array([[0.9, 0.4, 0.8], [0.9, 0.4, 0.9]], np.float32)}
    )

    assert isinstance(kept, Prediction)
    assert isinstance(failed, InferenceFailed)
    assert "answered 3 labels, of more than 2000 bytes" in str(failed)


def test_a_verdict_compares_whole_sets(tmp_path: Path) -> None:
    several = task(tmp_path)
    (answer,) = predict(several, [0.9, 0.4, 0.8])

    assert several.verdict(to_text(("cat", "dog")), answer).is_right is True
    assert several.verdict(to_text(("cat",)), answer).text == "truly cat"
    assert several.verdict(to_text(()), answer).text == "truly none of its labels"
    assert several.verdict(to_text(("cat", "dog")), None).text == "truly cat, dog"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"thresholds": [0.5, 0.5]}, "thresholds: expected 3"),
        ({"thresholds": [0.5, 0.5, 1.0]}, "above 0 and below 1"),
        ({"labels": ["a|b", "c", "d"]}, "without |"),
        ({"labels": ["a", "a", "b"]}, "must differ"),
        ({"labels": ["a", "é" * 501, "b"]}, "at most 1000 bytes"),
        ({"labels": ["a", " ", "b"]}, "labels: expected names"),
        ({"threshold": {"value": 0.5, "reason": ""}}, "threshold: expected none"),
        ({"quantity": {"name": "a", "label": "A"}}, "quantity: expected none"),
        ({"outputs": [{"name": "probabilities", "shape": [None, 3], "dtype": "int64"}]}, "of a dtype"),
        ({"outputs": [{"name": "probabilities", "shape": [None, 2], "dtype": "float32"}]}, "one probability"),
    ],
)
def test_a_manifest_that_is_none_of_the_task_is_refused(
    tmp_path: Path, changes: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ValueError, match=fault.replace("|", r"\|")):
        task(tmp_path, **changes)


def test_probabilities_need_no_sum_of_one_and_are_shares(tmp_path: Path) -> None:
    several = task(tmp_path)

    assert several.fault_of({"probabilities": np.array([[1.0, 1.0, 0.5]])}) is None
    assert several.fault_of({"probabilities": np.array([[1.0, 2.0, 0.5]])}) == "numbers from 0.5 to 2"


def test_each_label_and_all_are_measured_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(1)
    true, answered = rng.random((200, 3)) < [0.5, 0.2, 0.7], rng.random((200, 3)) < [0.5, 0.3, 0.6]

    def names(row: np.ndarray) -> tuple[str, ...]:
        return tuple(label for label, fits in zip(LABELS, row, strict=True) if fits)

    found = evaluate(LABELS, [item(names(a), names(b)) for a, b in zip(true, answered, strict=True)])

    assert found is not None
    precision, recall, f1, _ = precision_recall_fscore_support(true, answered, average=None)
    told = [(each.precision, each.recall, each.f1) for _, each in found.labels]
    assert told == [pytest.approx(each) for each in zip(precision, recall, f1, strict=True)]
    assert found.micro.f1 == pytest.approx(f1_score(true, answered, average="micro"))
    assert found.macro_f1 == pytest.approx(f1_score(true, answered, average="macro"))
    assert found.exact == int((true == answered).all(axis=1).sum())


def test_items_without_an_answer_are_told_apart_and_labels_that_nobody_has_have_no_f1() -> None:
    found = evaluate(LABELS, [item(("cat",), ("cat", "dog")), item(("cat",), None), item(None, ("mug",))])

    assert found is not None
    assert (found.compared, found.without_answer, found.exact) == (1, 1, 0)
    cat, dog, mug = (each for _, each in found.labels)
    assert (cat.precision, dog.precision, dog.recall) == (1.0, 0.0, None)
    assert mug.f1 is None
    assert found.macro_f1 == 0.5
    assert evaluate(LABELS, [item(None, ("cat",)), item(("cat",), None)]) is None


def test_of_many_labels_the_most_frequent_are_told() -> None:
    labels = tuple(f"label {number}" for number in range(10))
    found = evaluate(labels, [item(labels[:count], ()) for count in range(8)])

    assert found is not None
    assert [label for label, _ in found.most_frequent(3)] == ["label 0", "label 1", "label 2"]
    assert [label for label, _ in found.most_frequent(7)] == list(labels[:7])


def test_the_task_has_a_module_of_its_own(tmp_path: Path) -> None:
    assert isinstance(task(tmp_path), SeveralLabels)


def test_a_loss_is_the_share_of_labels_that_are_wrong_either_way(tmp_path: Path) -> None:
    several = task(tmp_path)
    (answer,) = predict(several, [0.9, 0.4, 0.1])

    lost = [several.loss(answer, to_text(truth)) for truth in (("cat", "dog"), ("cat",), ("mug",), ())]

    assert lost == pytest.approx([0, 1 / 3, 1, 2 / 3])
    assert several.loss_is_share
