"""Several labels of one item as one text: how they are stored, written into tables, and read from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from production_server.models.tasks.label_words import label_of

BOUND = "\x1f"
"""Stands before, between and behind labels that are stored; ASCII's unit separator, which no label has."""
BETWEEN = "|"
"""Stands between labels that people write and read; no label of a model with several at once has it."""
NONE = "none"
"""What people write for an item that has none of the labels."""
_ALSO_BETWEEN = (BETWEEN, ";", ",")


def to_text(labels: Iterable[str]) -> str:
    """Labels as they are stored: of none it is one bound, so that it is a text all the same."""
    return "".join((BOUND, *(label + BOUND for label in labels)))


def labels_in(text: str | None) -> tuple[str, ...] | None:
    """The labels in a stored text; None: it is one label, or nothing."""
    if text is None or not text.startswith(BOUND):
        return None
    return tuple(text[1:-1].split(BOUND)) if len(text) > 1 else ()


def written(text: str) -> str:
    """A stored text as tables have it: `cat|dog`, `none`; one label as it is."""
    labels = labels_in(text)
    return text if labels is None else BETWEEN.join(labels) or NONE


def within(label: str) -> str:
    """What a stored text contains if the label is one of several."""
    return BOUND + label + BOUND


def read_labels(text: str, labels: Sequence[str]) -> str | None:
    """What people wrote for some of the labels, to be stored; None: that cannot be.

    Names, or numbers from 0, with a bar, semicolons or commas between them; `none`, or a bar alone, for no label.
    """
    if text == BETWEEN or (text.casefold() == NONE and label_of(text, labels) is None):
        return to_text(())
    for between in ("", *_ALSO_BETWEEN):
        parts = [part.strip() for part in text.split(between)] if between else [text]
        found = {label_of(part, labels) for part in parts if part}
        if found and None not in found:
            return to_text(label for label in labels if label in found)
    return None
