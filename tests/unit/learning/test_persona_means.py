"""Who a face is: by the means of labelled ones, with a promise of how few strangers get a name."""

from __future__ import annotations

import numpy as np
import pytest

from production_server.learning.likenesses import groups
from production_server.learning.persona_means import (
    FIRST_THRESHOLD,
    Labelled,
    fit,
    judge,
    likeness_to_own,
)

WIDTH = 128


def unit(vectors: np.ndarray) -> np.ndarray:
    found: np.ndarray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return found


def people(count: int, *, faces: int, seed: int, spread: float = 0.016) -> tuple[np.ndarray, np.ndarray]:
    """Faces [count × faces, 128] of people as like each other as those of real ones, and whose each is."""
    rng = np.random.default_rng(seed)
    common = unit(rng.normal(size=(1, WIDTH)))
    own = unit(common + rng.normal(size=(count, WIDTH)) * 0.05)
    shown = unit(np.repeat(own, faces, axis=0) + rng.normal(size=(count * faces, WIDTH)) * spread)
    return shown, np.repeat(np.arange(count), faces)


def name(person: int) -> str:
    """Of an order that is theirs."""
    return f"{person:03}"


def labelled(embeddings: np.ndarray, who: np.ndarray, strangers: np.ndarray | None = None) -> Labelled:
    return Labelled(
        embeddings,
        [name(each) for each in who],
        np.empty((0, WIDTH), np.float32) if strangers is None else strangers,
    )


def test_faces_get_the_names_of_their_people() -> None:
    faces, who = people(30, faces=13, seed=1)
    is_labelled = np.arange(len(who)) % 13 < 3
    model = fit(labelled(faces[is_labelled], who[is_labelled]))

    verdicts = judge(model, faces[~is_labelled])

    right = [each.persona == name(person) for each, person in zip(verdicts, who[~is_labelled], strict=True)]
    wrong = [
        each.persona not in (None, name(person))
        for each, person in zip(verdicts, who[~is_labelled], strict=True)
    ]
    assert np.mean(right) > 0.95
    assert np.mean(wrong) <= 0.01


@pytest.mark.parametrize("count", [15, 30, 60])
@pytest.mark.parametrize("faces", [2, 3, 6])
def test_at_most_one_stranger_in_a_hundred_gets_a_name(count: int, faces: int) -> None:
    """A promise with 95 % confidence: one set of people in twenty may be beyond it."""
    named = []
    for seed in range(12):
        shown, who = people(count + 200, faces=faces, seed=seed)
        is_known = who < count
        model = fit(labelled(shown[is_known], who[is_known]))
        named.append(np.mean([each.persona is not None for each in judge(model, shown[~is_known])]))

    assert np.mean([each <= 0.01 for each in named]) > 0.8
    assert np.mean(named) < 0.02


def test_a_face_is_never_whom_people_said_it_is_not_and_may_be_the_next() -> None:
    faces, who = people(5, faces=6, seed=2)
    model = fit(labelled(faces, who))

    (own, refused, all_refused) = judge(
        model, faces[[0, 0, 0]], {1: [name(0), "gone"], 2: [name(each) for each in range(5)]}
    )

    assert own.persona == name(0)
    assert refused.persona is None
    assert refused.nearest not in (None, name(0))
    assert (all_refused.persona, all_refused.nearest) == (None, None)


def test_the_same_labels_give_the_same_classifier_in_whatever_order_they_came() -> None:
    faces, who = people(8, faces=4, seed=3)
    order = np.random.default_rng(4).permutation(len(who))

    first, second = fit(labelled(faces, who)), fit(labelled(faces[order], who[order]))

    assert first.personas == second.personas
    assert np.allclose(first.means, second.means, atol=1e-6)
    assert (first.threshold, first.scale, first.bias) == pytest.approx(
        (second.threshold, second.scale, second.bias), rel=1e-4
    )


def test_with_few_labels_the_threshold_is_that_of_others_and_nothing_is_promised() -> None:
    faces, who = people(1, faces=2, seed=5)
    model = fit(labelled(faces, who))

    assert model.threshold == FIRST_THRESHOLD
    assert model.promise.strangers == 0
    assert model.promise.bounds == (0.0, 1.0)
    assert [each.persona for each in judge(model, faces)] == [name(0), name(0)]


def test_without_any_label_everybody_is_unknown() -> None:
    nobody = labelled(np.empty((0, WIDTH), np.float32), np.empty(0, int))
    faces, _ = people(2, faces=2, seed=6)

    assert {(each.persona, each.nearest) for each in judge(fit(nobody), faces)} == {(None, None)}
    assert likeness_to_own(nobody).shape == (0,)


def test_strangers_that_were_marked_count_for_the_promise() -> None:
    faces, who = people(120, faces=3, seed=7)
    is_known = who < 10
    without = fit(labelled(faces[is_known], who[is_known]))
    with_them = fit(labelled(faces[is_known], who[is_known], faces[~is_known]))

    assert with_them.promise.strangers == without.promise.strangers + 330
    low, high = with_them.promise.bounds
    assert low <= 0.01
    assert high - low < 0.03


def test_probabilities_rise_with_likeness_and_tell_own_from_others() -> None:
    faces, who = people(30, faces=4, seed=8)
    model = fit(labelled(faces, who))
    cosines = model.cosines(faces)
    own = cosines[np.arange(len(who)), who]
    others = np.where(np.arange(30) == who[:, np.newaxis], -1, cosines).max(axis=1)

    assert model.scale > 0
    assert model.probability(float(np.median(own))) > 0.9
    assert model.probability(float(np.median(others))) < 0.1


def test_a_wrong_label_is_the_least_like_its_own() -> None:
    faces, who = people(6, faces=6, seed=9)
    who[0] = 5
    who = np.append(who, 99)
    faces = np.concatenate([faces, unit(np.random.default_rng(1).normal(size=(1, WIDTH)))])

    found = likeness_to_own(labelled(faces, who))

    assert np.nanargmin(found) == 0
    assert np.isnan(found[-1])


def test_strangers_are_grouped_by_likeness_the_largest_group_first() -> None:
    faces, who = people(6, faces=5, seed=10, spread=0.01)
    kept = np.flatnonzero(~((who == 5) & (np.arange(len(who)) % 5 > 1)))  # of the last only two: no group

    found = groups(faces[kept])

    assert sorted(len(each) for each in found) == [5] * 5
    assert all(len({who[kept[place]] for place in each}) == 1 for each in found)
    assert groups(np.empty((0, WIDTH), np.float32)) == []


def test_a_chain_of_faces_makes_no_group_of_its_two_ends() -> None:
    angles = np.radians(np.arange(0, 91, 9))
    chain = np.zeros((len(angles), WIDTH), np.float32)
    chain[:, 0], chain[:, 1] = np.cos(angles), np.sin(angles)

    for group in groups(chain):
        assert max(group) - min(group) <= 4
