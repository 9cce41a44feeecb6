from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from production_server.jobs.records import Item
from production_server.models.manifest import read_manifest
from production_server.models.tasks import task_of
from production_server.models.tasks.regression import Regression, shown_value
from production_server.models.tasks.regression_evaluation import evaluate
from production_server.models.tasks.task import Bar, Prediction, Shown, Verdict
from production_server.web.pages.charts import scatter_chart
from testing.small_models import write_quantity_model


def task(folder: Path, **changes: Any) -> Regression:
    found = task_of(read_manifest(write_quantity_model(folder, **changes)))
    assert isinstance(found, Regression)
    return found


def with_output(dtype: str, shape: tuple[int | None, ...] = (None, 1)) -> dict[str, Any]:
    return {"outputs": [{"name": "value", "shape": shape, "dtype": dtype}]}


def item(expected: str | None, answer: float | None) -> Item:
    return Item(
        index=0, name=None, expected=expected, outside_training_range=(),
        state="failed" if answer is None else "succeeded", label=None, score=answer,
        output=None if answer is None else (answer,), error_code=None, error_message=None, ms=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("dtype", "value", "kept"),
    [
        ("float16", 0.1, 0.099975586),
        ("float32", 0.1, 0.1),
        ("uint8", 255, 255),
        ("float64", 1e308, 1e308),
        ("float64", 1e-320, 1e-320),
        ("float64", 0.1 + 0.2, 0.30000000000000004),
        ("int64", 2**53 + 1, 2**53 + 1),
        ("uint64", 2**64 - 1, 2**64 - 1),
        ("int64", -(2**63), -(2**63)),
    ],
)
def test_a_value_is_kept_with_all_its_digits(tmp_path: Path, dtype: str, value: Any, kept: Any) -> None:
    regression = task(tmp_path, **with_output(dtype))

    (answer,) = regression.predict({"value": np.array([[value]], dtype)})

    assert answer.output == (kept,)
    assert type(answer.output[0]) is type(kept)
    assert json.loads(json.dumps(answer.output)) == [kept]
    assert (answer.label, answer.score) == (None, float(kept))
    assert regression.cells(answer) == [kept]


def test_an_output_may_have_no_second_dimension(tmp_path: Path) -> None:
    regression = task(tmp_path, **with_output("float32", (None,)))

    answers = regression.predict({"value": np.array([1.5, 2.5], np.float32)})

    assert [each.output for each in answers] == [(1.5,), (2.5,)]
    assert regression.results({"value": np.array([1.5, 2.5], np.float32)}) == [1.5, 2.5]


def test_a_value_is_shown_with_its_unit_and_where_it_lies_in_its_range(tmp_path: Path) -> None:
    regression = task(tmp_path)
    (answer, beyond) = regression.predict({"value": np.array([[25.123456], [130]], np.float32)})

    assert regression.answers == "Area, in m²"
    assert regression.show(answer) == Shown("25.1235 m²")
    (bar,) = regression.bars(answer)
    assert (bar.label, round(bar.share, 6), bar.text) == ("0 to 100 m²", 0.251235, "")
    assert regression.bars(beyond) == [
        Bar("outside 0 to 100 m²", 1.0, is_answer=True, threshold=None, text="")
    ]
    assert regression.columns() == ["predicted area (m²)"]


def test_without_a_range_there_is_no_bar_and_without_a_unit_none_is_told(tmp_path: Path) -> None:
    regression = task(tmp_path, quantity={"name": "area", "label": "Area", "maximum": 3})
    (answer,) = regression.predict({"value": np.array([[2]], np.float32)})

    assert regression.bars(answer) == []
    assert regression.show(answer) == Shown("2")
    assert regression.columns() == ["predicted area"]


def test_a_range_may_be_wider_than_a_double_is_large(tmp_path: Path) -> None:
    most = sys.float_info.max
    regression = task(
        tmp_path,
        quantity={"name": "a", "label": "A", "minimum": -most, "maximum": most},
        **with_output("float64"),
    )
    (answer,) = regression.predict({"value": np.array([[0.0]])})

    assert [bar.share for bar in regression.bars(answer)] == [0.5]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.0, "0"), (-0.0, "-0"), (7, "7"), (1234567.89, "1234568"), (0.000123456789, "0.000123457"),
        (151.326, "151.326"), (150.0, "150"), (1e-5, "1e-05"), (1e15, "1e+15"), (1e308, "1e+308"),
        (2**64 - 1, "18446744073709551615"), (-12.5, "-12.5"), (999999.96, "1000000"), (10**300, "1e+300"),
    ],
)  # fmt: skip
def test_values_are_told_in_as_many_digits_as_people_read(value: float, text: str) -> None:
    assert shown_value(value) == text


def test_a_verdict_says_how_far_it_is_from_the_truth(tmp_path: Path) -> None:
    regression = task(tmp_path)
    answer = Prediction(None, 12.0, (12.0,))

    assert regression.verdict("13", answer) == Verdict("truly 13 m², 1 too low")
    assert regression.verdict("10.5", answer) == Verdict("truly 10.5 m², 1.5 too high")
    assert regression.verdict("12", answer) == Verdict("truly 12 m²")
    assert regression.verdict("13", None) == Verdict("truly 13 m²")
    whole = Prediction(None, float(2**53 + 1), (2**53 + 1,))
    assert regression.verdict(str(2**53), whole) == Verdict(f"truly {2**53} m², 1 too high")


@pytest.mark.parametrize("text", ["", "nan", "inf", "1e400", "large", "1_000", "0x10", "١٢"])
def test_what_is_no_finite_number_cannot_be_true(tmp_path: Path, text: str) -> None:
    assert task(tmp_path).read_truth(text) is None


@pytest.mark.parametrize("text", ["13", "-1.5e-7", "1e308", "9007199254740993", "+3", ".5"])
def test_a_true_value_is_kept_as_it_was_written(tmp_path: Path, text: str) -> None:
    assert task(tmp_path).read_truth(text) == text


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (with_output("float32", (None, 2)), "outputs: expected one number"),
        (with_output("string"), "outputs: expected one number"),
        ({"quantity": None}, "quantity: expected the name"),
        ({"labels": ["a", "b"]}, "labels, threshold"),
        ({"top": 1}, "labels, threshold"),
        ({"thresholds": [0.5]}, "labels, threshold"),
        (
            {"quantity": {"name": "a", "label": "A", "minimum": 2, "maximum": 1}},
            "a minimum that is not above",
        ),
    ],
)
def test_a_manifest_that_is_none_of_the_task_is_refused(
    tmp_path: Path, changes: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        task(tmp_path, **changes)


def test_errors_are_measured_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(1)
    true = rng.normal(150, 40, 300)
    answered = true + rng.normal(0, 10, 300)

    found = evaluate(
        [item(repr(a), b) for a, b in zip(true.tolist(), answered.tolist(), strict=True)], unit="kg"
    )

    assert found is not None
    assert found.mae == pytest.approx(mean_absolute_error(true, answered))
    assert found.rmse == pytest.approx(root_mean_squared_error(true, answered))
    assert found.r2 == pytest.approx(r2_score(true, answered))


def test_items_without_an_answer_or_a_true_value_are_not_compared() -> None:
    found = evaluate([item("1", None), item(None, 3.0), item("1", 2.0)], unit=None)

    assert found is not None
    assert (found.compared, found.without_answer, found.mae, found.r2) == (1, 1, 1.0, None)
    assert evaluate([item(None, 3.0), item("1", None)], unit=None) is None


def test_errors_of_huge_values_are_no_infinity() -> None:
    found = evaluate([item("1e300", 2e300), item("-1e300", -1e300)], unit=None)

    assert found is not None
    assert found.mae == pytest.approx(5e299)
    assert found.rmse == pytest.approx(7.0710678e299)
    assert found.r2 == pytest.approx(0.5)


def test_the_plot_has_one_scale_for_both_and_a_dot_for_points_that_fall_on_each_other() -> None:
    found = evaluate([item("0", 10.0), *[item("100", 100.0)] * 9], unit="kg")
    assert found is not None and found.scatter is not None

    chart = scatter_chart(found.scatter)

    assert chart.ticks == (
        (0.0, "0"), (48.0, "20"), (96.0, "40"), (144.0, "60"), (192.0, "80"), (240.0, "100"),
    )  # fmt: skip
    # 10 of 100, to the next dot; ten times the same is one dot, of the strongest shade.
    assert chart.shades == ("M0 216h0", "", "", "M240 0h0")
    assert [(row.range, row.items, row.answered, row.error) for row in chart.rows] == [
        ("0 to 20", 1, "10", "10"), ("80 to 100", 9, "100", "0"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "pairs",
    [
        [("5", 5.0)],
        [("0", 0.0), ("0", 0.0)],
        [("-1.7e308", 1.7e308), ("1.7e308", -1.7e308)],
        [("5e-324", 0.0), ("0", 5e-324)],
        [("1e300", 1e-300), ("-3", 7.0)],
    ],
)
def test_odd_values_are_drawn_within_the_square(pairs: list[tuple[str, float]]) -> None:
    found = evaluate([item(*pair) for pair in pairs], unit=None)
    assert found is not None and found.scatter is not None

    chart = scatter_chart(found.scatter)

    numbers = [
        int(number) for dots in chart.shades for dot in dots.split("M")[1:] for number in dot[:-2].split()
    ]
    assert numbers and all(0 <= number <= 240 for number in numbers)
    assert all(0 <= place <= 240 for place, _ in chart.ticks)
    assert sum(row.items for row in chart.rows) == len(pairs)


def test_two_tasks_of_one_manifest_are_equal(tmp_path: Path) -> None:
    one = task(tmp_path)

    assert one == task_of(one.manifest)
    assert replace(Prediction(None, 1.0, (1.0,)), bin=None) == Prediction(None, 1.0, (1.0,))


@pytest.mark.parametrize(("truth", "lost"), [("2.5", 0.0), ("4", 1.5), ("-1e3", 1002.5)])
def test_a_loss_is_how_far_the_value_is_from_the_true_one(tmp_path: Path, truth: str, lost: float) -> None:
    regression = task(tmp_path)
    (answer,) = regression.predict({"value": np.array([[2.5]], np.float32)})

    assert isinstance(answer, Prediction)
    assert regression.loss(answer, truth) == lost
    assert not regression.loss_is_share
