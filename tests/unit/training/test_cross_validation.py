from __future__ import annotations

import numpy as np
import pytest

from production_server.training.cross_validation import (
    OutOfFold,
    choose_threshold,
    cross_validate,
    measure,
)

OUTCOME = np.array([0, 1] * 30, np.int32)


def test_each_row_is_scored_once_per_repeat_by_a_model_that_never_saw_it() -> None:
    trained_with: list[set[int]] = []

    def predict(train: np.ndarray, held_out: np.ndarray) -> np.ndarray:
        assert not set(train) & set(held_out)
        trained_with.append(set(train) | set(held_out))
        return held_out / 100

    found = cross_validate(OUTCOME, predict, folds=5, repeats=2, seed=1, advance=lambda _: None)

    assert found.scores.shape == (2, 60)
    assert np.allclose(found.scores, np.arange(60) / 100)
    assert len(trained_with) == 10
    assert all(rows == set(range(60)) for rows in trained_with)


def test_folds_hold_the_same_share_of_each_outcome() -> None:
    found = cross_validate(
        OUTCOME,
        lambda _, held_out: np.zeros(len(held_out)),
        folds=5,
        repeats=1,
        seed=1,
        advance=lambda _: None,
    )

    assert [OUTCOME[found.folds[0] == fold].mean() for fold in range(5)] == [0.5] * 5


def test_a_perfect_score_measures_as_one() -> None:
    scores = np.tile(OUTCOME * 0.8 + 0.1, (2, 1))
    folds = np.tile(np.arange(60) // 2 % 3, (2, 1))

    values = measure(OUTCOME, OutOfFold(scores, folds))

    assert all(len(each) == 6 for each in values.values())
    assert {name: each.mean() for name, each in values.items()} == pytest.approx(
        {"roc_auc": 1.0, "accuracy": 1.0, "sensitivity": 1.0, "specificity": 1.0, "brier": 0.01}
    )


def test_the_threshold_of_a_fold_does_not_depend_on_its_own_outcomes() -> None:
    generator = np.random.default_rng(2)
    scores = generator.uniform(size=(1, 60))
    folds = (np.arange(60) // 2 % 3)[None]
    flipped = OUTCOME.copy()
    flipped[folds[0] == 0] = 1 - flipped[folds[0] == 0]

    before = measure(OUTCOME, OutOfFold(scores, folds))
    after = measure(flipped, OutOfFold(scores, folds))

    assert after["accuracy"][0] == pytest.approx(1 - before["accuracy"][0])


def test_the_threshold_parts_the_outcomes_best() -> None:
    scores = np.array([[0.1, 0.2, 0.3, 0.35, 0.9, 0.8]])
    outcome = np.array([0, 0, 0, 1, 1, 1])

    assert 0.3 < choose_threshold(outcome, scores) <= 0.35
