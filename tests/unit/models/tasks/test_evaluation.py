from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from production_server.jobs.records import Item
from production_server.models.tasks.evaluation import evaluate
from production_server.models.tasks.roc import roc
from production_server.web.pages.charts import MAX_POINTS, roc_chart


def item(expected: str | None, label: str | None, output: Sequence[float] | None = None) -> Item:
    return Item(
        index=0, name=None, expected=expected, outside_training_range=(), state="succeeded" if label else "failed",
        label=label, score=None, output=None if label is None else tuple(output or (0.5, 0.5)), error_code=None,
        error_message=None, ms=None,
    )  # fmt: skip


def test_the_confusion_matrix_counts_true_labels_by_row_and_answers_by_column() -> None:
    pairs = [("no", "no"), ("no", "yes"), ("no", "no"), ("yes", "yes"), ("yes", "no")]

    found = evaluate(("no", "yes"), (item(*pair) for pair in pairs))

    assert found is not None
    assert found.confusion.tolist() == [[2, 1], [1, 1]]
    assert (found.correct, found.compared) == (3, 5)
    assert found.accuracy == pytest.approx(0.6)
    assert found.sensitivity == pytest.approx(1 / 2)
    assert found.specificity == pytest.approx(2 / 3)


def test_items_without_an_answer_or_without_a_true_label_are_not_compared() -> None:
    found = evaluate(("no", "yes"), [item("no", None), item(None, "yes"), item("yes", "yes")])

    assert found is not None
    assert found.compared == 1
    assert found.without_answer == 1


def test_a_job_without_any_true_label_has_no_evaluation() -> None:
    assert evaluate(("no", "yes"), [item(None, "yes")]) is None
    assert evaluate(("no", "yes"), []) is None


def test_with_more_than_two_labels_there_is_no_sensitivity_and_no_curve() -> None:
    found = evaluate(("a", "b", "c"), [item("a", "a", (0.8, 0.1, 0.1)), item("c", "b", (0.1, 0.8, 0.1))])

    assert found is not None
    assert found.accuracy == 0.5
    assert (found.sensitivity, found.specificity, found.roc) == (None, None, None)


def test_answers_of_which_only_the_best_labels_are_kept_are_compared_without_a_curve() -> None:
    kept = [replace(item("a", "a"), output=((0, 0.8),)), replace(item("b", "a"), output=((0, 0.6),))]

    found = evaluate(("a", "b"), kept)

    assert found is not None
    assert (found.accuracy, found.without_answer, found.roc) == (0.5, 0, None)


def test_a_curve_needs_both_classes() -> None:
    found = evaluate(("no", "yes"), [item("yes", "yes"), item("yes", "no")])

    assert found is not None
    assert found.roc is None
    assert found.specificity is None


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_is_the_one_that_scikit_learn_draws_ties_included(seed: int) -> None:
    random = np.random.default_rng(seed)
    is_positive = random.random(300) < 0.3
    scores = np.round(np.clip(random.normal(0.4 + 0.2 * is_positive, 0.2), 0, 1), 2)

    curve = roc(is_positive, scores)

    assert curve is not None
    false_rate, true_rate, thresholds = roc_curve(is_positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.false_positive_rate, false_rate)
    np.testing.assert_allclose(curve.true_positive_rate, true_rate)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    assert curve.auc == pytest.approx(roc_auc_score(is_positive, scores))


def test_the_rates_at_a_threshold_are_those_of_scores_from_it_on() -> None:
    curve = roc(np.array([False, True, False, True]), np.array([0.1, 0.3, 0.3, 0.9]))

    assert curve is not None
    assert curve.at(1.0) == (0.0, 0.0)
    assert curve.at(0.9) == (0.0, 0.5)
    assert curve.at(0.5) == (0.0, 0.5)
    assert curve.at(0.3) == (0.5, 1.0)
    assert curve.at(0.0) == (1.0, 1.0)


def test_a_drawn_curve_goes_from_corner_to_corner_and_marks_the_threshold() -> None:
    curve = roc(np.array([False, True]), np.array([0.2, 0.8]))
    assert curve is not None

    chart = roc_chart(curve, 0.5, side=100)

    assert chart.line == "M0.0 100.0 L0.0 0.0 L100.0 0.0"
    assert chart.mark == (0.0, 0.0)
    chosen = [point for point in chart.points if point.is_chosen]
    assert [(point.threshold, point.sensitivity, point.specificity) for point in chosen] == [(0.5, 1.0, 1.0)]


def test_a_curve_of_many_items_is_drawn_with_few_points() -> None:
    random = np.random.default_rng(1)
    curve = roc(random.random(20_000) < 0.5, random.random(20_000))
    assert curve is not None

    chart = roc_chart(curve, None)

    assert chart.line.count("L") < MAX_POINTS
    assert chart.line.endswith("L240.0 0.0")
    assert chart.mark is None


def test_the_most_frequent_mistakes_come_first() -> None:
    pairs = [("a", "b"), ("b", "c"), ("b", "c"), ("c", "c"), ("a", "a")]
    found = evaluate(("a", "b", "c"), [item(true, label, (0.2, 0.3, 0.5)) for true, label in pairs])

    assert found is not None
    assert found.mistakes(5) == [("b", "c", 2), ("a", "b", 1)]
    assert found.mistakes(1) == [("b", "c", 2)]
