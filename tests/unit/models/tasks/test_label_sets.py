from __future__ import annotations

import pytest

from production_server.models.tasks.label_sets import labels_in, read_labels, to_text, written

LABELS = ("cat", "dog", "Dress, long", "no finding")


@pytest.mark.parametrize("labels", [(), ("cat",), ("cat", "dog"), ("a|b",)])
def test_labels_are_read_as_they_were_stored(labels: tuple[str, ...]) -> None:
    assert labels_in(to_text(labels)) == labels


def test_one_label_is_no_set_of_labels() -> None:
    assert [labels_in(text) for text in (None, "", "cat", "|", "|cat|")] == [None] * 5
    assert written("|cat|") == "|cat|"


def test_a_set_is_written_with_bars_and_an_empty_one_in_words() -> None:
    assert written(to_text(("cat", "dog"))) == "cat|dog"
    assert written(to_text(())) == "none"


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("cat|dog", ("cat", "dog")),
        ("dog | CAT", ("cat", "dog")),
        ("dog;cat;dog", ("cat", "dog")),
        ("0|2", ("cat", "Dress, long")),
        ("Dress, long", ("Dress, long",)),
        ("Dress, long|cat", ("cat", "Dress, long")),
        ("|cat|", ("cat",)),
        ("none", ()),
        ("None", ()),
        ("|", ()),
    ],
)
def test_what_people_write_is_read(text: str, labels: tuple[str, ...]) -> None:
    found = read_labels(text, LABELS)

    assert found == to_text(labels)


@pytest.mark.parametrize("text", ["mouse", "cat|mouse", "cat|4", "cat dog", ";", "cat|dog;cat"])
def test_what_names_another_label_is_refused(text: str) -> None:
    assert read_labels(text, LABELS) is None


def test_a_label_may_be_called_none() -> None:
    assert read_labels("none", ("none", "some")) == to_text(("none",))
    assert read_labels("|", ("none", "some")) == to_text(())
