"""What people write for a label in a table."""

from __future__ import annotations

import pytest

from production_server.models.tasks.label_words import label_of, words_for

DIABETES = ("no diabetes", "diabetes")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("0", "no diabetes"), ("1", "diabetes"), ("1.0", "diabetes"), ("0.0", "no diabetes"), ("1,0", "diabetes"),
        ("1.", "diabetes"), ("1.000000000000000000e+00", "diabetes"), ("+1", "diabetes"),
        ("Diabetes", "diabetes"), ("no_diabetes", "no diabetes"), ("NO DIABETES", "no diabetes"),
        ("yes", "diabetes"), ("No", "no diabetes"), ("True", "diabetes"), ("FALSE", "no diabetes"),
        ("positive", "diabetes"), ("neg", "no diabetes"), ("tested_positive", "diabetes"),
        ("tested_negative", "no diabetes"), ("y", "diabetes"), ("f", "no diabetes"),
    ],
)  # fmt: skip
def test_a_label_may_be_written_as_people_do(text: str, label: str) -> None:
    assert label_of(text, DIABETES) == label


@pytest.mark.parametrize(
    "text", ["2", "1.5", "0.1", "10", "-1", "1e1", "maybe", "NA", "sick", "1%", "9" * 5000]
)
def test_what_means_no_label_is_none(text: str) -> None:
    assert label_of(text, DIABETES) is None


@pytest.mark.parametrize(
    ("labels", "is_yes_or_no", "label"),
    [
        (("no", "yes"), False, "yes"),
        (("negative", "positive"), False, "positive"),
        (("healthy", "sick"), True, "sick"),
        # Which of these is so, nobody has said.
        (("cat", "dog"), False, None),
        (("yes", "no"), False, None),
        (("yes", "no"), True, None),
        (("a", "b", "c"), True, None),
    ],
)
def test_true_means_a_label_only_where_it_is_known_which_one_is_so(
    labels: tuple[str, ...], is_yes_or_no: bool, label: str | None
) -> None:
    assert label_of("true", labels, is_yes_or_no=is_yes_or_no) == label


def test_labels_that_are_numbers_go_by_what_they_say_and_not_by_their_place() -> None:
    labels = ("1", "0", "7")

    assert [label_of(text, labels) for text in ("0", "1", "1.0", "7.0", "2")] == ["0", "1", "1", "7", None]
    assert words_for(labels) == "1 or 0 or 7"


def test_labels_that_differ_only_in_case_are_told_apart_by_it() -> None:
    labels = ("a", "A", "b")

    assert [label_of(text, labels) for text in ("a", "A", "B")] == ["a", "A", "b"]
