"""What people write for a label in a column of what is true: the label, its number, or a word that means it."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Each pair: what is not so, and what is.
PAIRS = (
    ("no", "yes"),
    ("n", "y"),
    ("false", "true"),
    ("f", "t"),
    ("negative", "positive"),
    ("neg", "pos"),
    # OpenML's copies of the data on diabetes.
    ("tested negative", "tested positive"),
)
_NUMBER = re.compile(r"[+]?([0-9]+)(?:[.,](0*)(?:[eE][+]?0+)?)?")
_NOT = re.compile(r"(?:no|not|non|without)[ -]")


def label_of(text: str, labels: Sequence[str], *, is_yes_or_no: bool = False) -> str | None:
    """The label that is meant; None: none of them is.

    Labels are numbered from 0, and 1.0 is 1; labels that are numbers themselves go by what they say. `is_yes_or_no`:
    the second of two labels is what was looked for, so that `true` and `positive` mean it.
    """
    if text in labels:
        return text
    by_word = _by_word(labels)
    word = _word(text)
    if word in by_word:
        return by_word[word]
    number = _number(text)
    if number is not None:
        by_number = _by_number(labels)
        return by_number.get(number)
    return _meant(word, labels, is_yes_or_no=is_yes_or_no)


def words_for(labels: Sequence[str]) -> str:
    """What a column of what is true may hold, as faults say it."""
    numbered = {label: number for number, label in _by_number(labels).items() if str(number) != label}
    return " or ".join(f"{numbered[label]} ({label})" if label in numbered else label for label in labels)


def _meant(word: str, labels: Sequence[str], *, is_yes_or_no: bool) -> str | None:
    if _has_yes(labels, is_yes_or_no=is_yes_or_no):
        for pair in PAIRS:
            if word in pair:
                return labels[pair.index(word)]
    return None


def _has_yes(labels: Sequence[str], *, is_yes_or_no: bool) -> bool:
    """Whether it is known of two labels which one says that it is so."""
    if len(labels) != 2:
        return False
    first, second = map(_word, labels)
    if (second, first) in PAIRS:
        return False
    return is_yes_or_no or (first, second) in PAIRS or _NOT.sub("", first, count=1) == second != first


def _word(text: str) -> str:
    return re.sub(r"[\s_-]+", " ", text.strip()).casefold()


def _by_word(labels: Sequence[str]) -> dict[str, str]:
    """Labels by what is left of them in small letters; not those that are alike then."""
    words = [_word(label) for label in labels]
    return {word: label for word, label in zip(words, labels, strict=True) if words.count(word) == 1}


def _number(text: str) -> int | None:
    match = _NUMBER.fullmatch(text)
    return int(match[1]) if match and len(match[1]) < 10 else None


def _by_number(labels: Sequence[str]) -> dict[int, str]:
    """Labels by their numbers; where one is a number itself, those that are by what they say."""
    own = {number: label for label in labels if (number := _number(label)) is not None}
    return own or dict(enumerate(labels))
